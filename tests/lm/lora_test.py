"""Low-rank updates: neutral at first, merged equals apart, the rest frozen."""

import functools
import tempfile

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from engine import experiment, mesh, optim
from lm import layout, lora, losses, transformer
from lm.checkpoints import families, weights

FIRST_ROW = 23


def config(**changes):
  fields = dict(
    vocab_size=28,
    layers=2,
    width=12,
    heads=2,
    kv_heads=1,
    head_dim=4,
    mlp_width=10,
  )
  return transformer.TransformerConfig(**(fields | changes))


def tokens():
  ids = np.random.default_rng(7).integers(0, 28, (3, 5))
  return jax.device_put(ids.astype(np.int32))


def fresh(c, rank=3, boxed=False, **fields):
  model = transformer.Transformer(c)
  params = jax.jit(model.init)(jax.random.key(0), tokens())['params']
  params = params if boxed else nn.meta.unbox(params)
  chosen = lora.LoraConfig(rank=rank, **fields)
  return params, lora.init(jax.random.key(1), params, chosen)


def moved(params):
  """Updates that are no longer zero."""
  part = lora.take(params, first_row=FIRST_ROW)
  rng = np.random.default_rng(2)
  part = {
    name: np.asarray(leaf)
    + 0.3 * rng.normal(size=leaf.shape).astype(np.float32)
    for name, leaf in part.items()
  }
  return lora.put(params, part, first_row=FIRST_ROW)


@functools.partial(jax.jit, static_argnums=0)
def hidden(c, params):
  return transformer.Transformer(c).apply({'params': params}, tokens()).hidden


class LoraTest(parameterized.TestCase):
  @parameterized.product(scan_layers=(False, True), remat=(False, True))
  def test_at_first_the_model_is_the_one_it_was(self, scan_layers, remat):
    c = config(scan_layers=scan_layers, remat=remat)
    params, adapted = fresh(c)
    np.testing.assert_array_equal(hidden(c, params), hidden(c, adapted))
    jax.tree.map(np.testing.assert_array_equal, lora.merge(adapted), params)

  @parameterized.product(scan_layers=(False, True), bias=(False, True))
  def test_merged_equals_apart_and_differs_from_the_base(
    self, scan_layers, bias
  ):
    c = config(scan_layers=scan_layers, qkv_bias=bias)
    params, adapted = fresh(c)
    adapted = moved(adapted)
    apart, merged = hidden(c, adapted), hidden(c, lora.merge(adapted))
    np.testing.assert_allclose(apart, merged, rtol=2e-4, atol=2e-5)
    self.assertGreater(np.abs(apart - hidden(c, params)).max(), 0.1)

  def test_an_update_is_the_product_of_its_factors(self):
    c = config()
    _, adapted = fresh(c)
    block = moved(adapted)['layer_1']
    merged = lora.merge({'layer_1': block})['layer_1']
    for name, letters in (('query', 'dr,rnh->dnh'), ('out', 'nhr,rd->nhd')):
      a, b = block[name]['lora_a'], block[name]['lora_b']
      self.assertEqual(a.shape[-1], 3)
      np.testing.assert_allclose(
        merged[name]['kernel'] - block[name]['kernel'],
        np.einsum(letters, a, b),
        atol=1e-5,
      )

  @parameterized.parameters(False, True)
  def test_parameters_counted_by_hand(self, scan_layers):
    c = config(scan_layers=scan_layers)
    params, adapted = fresh(c, kernels=('query', 'value', 'out', 'down'))
    part = lora.take(adapted, first_row=FIRST_ROW)
    # In and out: query 12, 8; value 12, 4; out 8, 12; down 10, 12.
    layer = 3 * ((12 + 8) + (12 + 4) + (8 + 12) + (10 + 12))
    rows = (28 - 23) * 12
    sizes = {n: x.size for n, x in part.items()}
    self.assertEqual(sum(sizes.values()), 2 * layer + rows)
    total = sum(x.size for x in jax.tree.leaves(adapted))
    base = sum(x.size for x in jax.tree.leaves(params))
    self.assertEqual(total - base, 2 * layer)

  @parameterized.parameters(True, False)
  def test_frozen_weights_are_bit_identical_after_steps(self, tied):
    c = config(tied=tied)
    _, before = fresh(c)
    part = optim.Part(
      take=lambda p: lora.take(p, first_row=FIRST_ROW),
      put=lambda p, q: lora.put(p, q, first_row=FIRST_ROW),
    )
    optimiser, _ = optim.make(
      optim.OptimConfig(peak_lr=1e-2, warmup_steps=0, weight_decay=0.1), 9
    )

    def loss(trained, params):
      params = part.put(params, trained)
      stats = losses.vocab_stats(
        hidden(c, params), transformer.unembedding(params), tokens()
      )
      return (stats.lse - stats.target).mean()

    @jax.jit
    def step(state):
      value, grads = jax.value_and_grad(loss)(
        part.take(state.params), state.params
      )
      return optim.apply(optimiser, state, grads, part)[0], value

    state = experiment.TrainState(
      step=jnp.int32(0),
      params=before,
      opt_state=optimiser.init(part.take(before)),
    )
    values = []
    for _ in range(3):
      state, value = step(state)
      values.append(float(value))
    self.assertLess(values[-1], values[0])
    after = state.params
    flat = jax.tree_util.tree_leaves_with_path(after)
    for path, leaf in flat:
      old = before
      for entry in path:
        old = old[entry.key]
      name = path[-1].key
      if name.startswith('lora'):
        self.assertGreater(np.abs(leaf - old).max(), 0)
      elif name.endswith('embedding'):
        np.testing.assert_array_equal(leaf[:FIRST_ROW], old[:FIRST_ROW])
        self.assertGreater(np.abs(leaf[FIRST_ROW:] - old[FIRST_ROW:]).max(), 0)
      else:
        np.testing.assert_array_equal(leaf, old)
    # Moments are kept of what is trained, and of nothing else.
    moments = sum(x.size for x in jax.tree.leaves(state.opt_state) if x.ndim)
    trained = sum(x.size for x in jax.tree.leaves(part.take(after)))
    self.assertEqual(moments, 2 * trained)

  @parameterized.parameters(False, True)
  def test_axes_have_names_that_shard(self, scan_layers):
    c = config(scan_layers=scan_layers, heads=4, kv_heads=2)
    _, adapted = fresh(c, boxed=True)
    block = adapted['layers']['block'] if scan_layers else adapted['layer_0']
    stack = ('layers',) if scan_layers else ()
    names = {
      (kernel, factor): block[kernel][factor].names
      for kernel in ('query', 'out')
      for factor in ('lora_a', 'lora_b')
    }
    want = {
      ('query', 'lora_a'): (*stack, 'embed', None),
      ('query', 'lora_b'): (*stack, None, 'heads', 'head_dim'),
      ('out', 'lora_a'): (*stack, 'heads', 'head_dim', None),
      ('out', 'lora_b'): (*stack, None, 'embed'),
    }
    self.assertEqual(names, want)
    devices = mesh.make(mesh.MeshConfig(fsdp=2, model=2), jax.devices()[:4])
    part = lora.take(adapted, first_row=FIRST_ROW)
    mesh.state_shardings(devices, {'params': adapted, 'part': part})
    self.assertEqual(part['embedding'].names, (None, 'embed'))

  def test_export_and_fuse_write_the_merged_model(self):
    c = config()
    _, adapted = fresh(c)
    adapted = moved(adapted)
    folder = self.enter_context(tempfile.TemporaryDirectory()) + '/out'
    weights.export(folder, families.find('llama'), c, adapted)
    np.testing.assert_allclose(
      hidden(c, weights.load(folder).params),
      hidden(c, adapted),
      rtol=2e-4,
      atol=2e-5,
    )
    fused, params = layout.fuse(c, adapted)
    np.testing.assert_allclose(
      hidden(fused, params), hidden(c, adapted), rtol=2e-4, atol=2e-5
    )

  def test_rank_0_changes_nothing(self):
    params, same = fresh(config(), rank=0)
    jax.tree.map(np.testing.assert_array_equal, params, same)

  def test_unknown_kernels_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'lora.kernels must be some of'):
      lora.LoraConfig(rank=1, kernels=('qeury',))
    with self.assertRaisesRegex(ValueError, 'lora.rank'):
      lora.LoraConfig(rank=-1)
    c, params = layout.fuse(config(), fresh(config())[0])
    del c
    with self.assertRaisesRegex(ValueError, 'fused ones must be split'):
      lora.init(jax.random.key(0), params, lora.LoraConfig(rank=1))


if __name__ == '__main__':
  absltest.main()
