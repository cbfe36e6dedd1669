"""Sites of a small transformer, against a pass over each sequence alone."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lm import transformer
from probes.recording import activations

SMALL = transformer.TransformerConfig(
  vocab_size=19, layers=3, width=24, heads=4, kv_heads=2, mlp_width=40
)
PROMPTS = [[1, 2, 3], [4, 5], list(range(1, 18)), [7]]
ANSWERS = [[6, 7], [], [3], [8, 9, 10, 11]]
LONGEST = 48


@functools.partial(jax.jit, static_argnums=0)
def params_of(config):
  model = transformer.Transformer(config)
  tokens = jnp.zeros((1, 2), jnp.int32)
  boxed = model.init(jax.random.key(0), tokens)['params']
  return jax.tree.map(
    lambda p: p + 0.05 * jax.random.normal(jax.random.key(p.size), p.shape),
    nn.unbox(boxed),
  )


@jax.jit
def captured(params, ids):
  """Embedding and outputs of the layers, [L + 1, T, D], of one sequence."""
  out = transformer.Transformer(SMALL).apply(
    {'params': params}, ids[None], capture=(0, 1, 2, 3)
  )
  return jnp.stack([state[0] for state in out.captured])


class ExtractTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.params = params_of(SMALL)

  def states(self, prompt, answer):
    """`captured`; what follows a token does not change it."""
    ids = prompt + answer
    padded = np.array(ids + [0] * (LONGEST - len(ids)), np.int32)
    return np.asarray(captured(self.params, padded))[:, : len(ids)]

  @parameterized.product(batch=(1, 4), shared=(0, 5, 20))
  def test_every_token_and_both_residuals(self, batch, shared):
    # What all prompts begin with is read once, if it is long.
    first = [(3 * i) % 19 for i in range(shared)]
    prompts = [first + prompt for prompt in PROMPTS]
    wanted = activations.sites(
      3, streams=('resid_pre', 'resid_post'), tokens=activations.TOKENS
    )
    found = activations.extract(
      SMALL, self.params, prompts, ANSWERS, wanted, batch=batch
    )
    self.assertEqual(set(found), set(wanted))
    for n, (prompt, answer) in enumerate(zip(prompts, ANSWERS, strict=True)):
      states = self.states(prompt, answer)
      last = len(prompt) + len(answer) - 1
      first = min(len(prompt), last)
      for site in wanted:
        state = states[site.layer + (site.stream == 'resid_post')]
        expected = {
          'last_prompt': state[len(prompt) - 1],
          'first_answer': state[first],
          'last_answer': state[last],
          'mean_answer': state[first:].mean(0),
        }[site.token]
        np.testing.assert_allclose(
          found[site][n], expected, atol=2e-5, err_msg=site.name
        )

  def test_what_a_layer_adds(self):
    wanted = activations.sites(
      3, streams=activations.STREAMS, tokens=('last_answer',)
    )
    found = activations.extract(SMALL, self.params, PROMPTS, ANSWERS, wanted)
    for layer in range(3):
      pre, post, attention, mlp = (
        found[activations.Site(layer, stream, 'last_answer')]
        for stream in activations.STREAMS
      )
      np.testing.assert_allclose(pre + attention + mlp, post, atol=2e-5)
      self.assertGreater(np.abs(attention).max(), 0.01)

  def test_memory_does_not_grow_with_layers_that_nobody_asked_for(self):
    deep = dataclasses.replace(SMALL, layers=12)
    params = jax.eval_shape(functools.partial(params_of, deep))
    tokens = jnp.zeros((8, 64), jnp.int32)
    ends = jnp.ones(8, jnp.int32)

    def temporary(wanted):
      lowered = activations._read.lower(
        deep, tuple(wanted), 'float32', params, None, tokens, ends, ends
      )
      return lowered.compile().memory_analysis().temp_size_in_bytes

    one = temporary(activations.sites(12, wanted=[11]))
    every = temporary(activations.sites(12))
    state = 8 * 64 * 24 * 4
    # Twelve layers of it would be twelve states more.
    self.assertLess(every, one + 3 * state)

  def test_layers_after_the_last_site_are_not_computed(self):
    tokens = jnp.zeros((2, 16), jnp.int32)
    ends = jnp.ones(2, jnp.int32)

    def flops(layer):
      lowered = activations._read.lower(
        SMALL,
        activations.sites(3, wanted=[layer]),
        'float32',
        self.params,
        None,
        tokens,
        ends,
        ends,
      )
      return lowered.compile().cost_analysis()['flops']

    self.assertLess(flops(0), 0.45 * flops(2))

  def test_batches_share_programs(self):
    wanted = activations.sites(3, wanted=[1])
    before = activations._read._cache_size()
    activations.extract(
      SMALL, self.params, PROMPTS[:2] * 9, ANSWERS[:2] * 9, wanted, batch=5
    )
    self.assertEqual(activations._read._cache_size(), before + 1)

  def test_bfloat16(self):
    wanted = activations.sites(3, wanted=[1])
    found = activations.extract(
      SMALL, self.params, PROMPTS, ANSWERS, wanted, dtype='bfloat16'
    )
    exact = activations.extract(SMALL, self.params, PROMPTS, ANSWERS, wanted)
    for site in wanted:
      self.assertEqual(found[site].dtype, jnp.bfloat16)
      np.testing.assert_allclose(
        found[site].astype(np.float32), exact[site], rtol=2**-8
      )

  def test_unknown_sites_are_named(self):
    with self.assertRaisesRegex(ValueError, 'sites.streams.*got resid_mid'):
      activations.sites(3, streams=('resid_mid',))
    with self.assertRaisesRegex(ValueError, 'sites.layers.*got 3'):
      activations.sites(3, wanted=[3])

  def test_what_cannot_be_read(self):
    wanted = activations.sites(3)
    with self.assertRaisesRegex(ValueError, 'prompts of 0 tokens'):
      activations.extract(SMALL, self.params, [[]], [[1]], wanted)
    scanned = dataclasses.replace(SMALL, scan_layers=True)
    with self.assertRaisesRegex(ValueError, 'scan_layers=False'):
      activations.extract(scanned, self.params, [[1]], [[]], wanted)


if __name__ == '__main__':
  absltest.main()
