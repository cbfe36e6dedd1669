"""The transformer against a few lines of numpy, and against itself."""

import dataclasses
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lm import inference, layers, ops, transformer
from tests.lm import tiny

SMALL = transformer.TransformerConfig(
  vocab_size=19, layers=3, width=24, heads=4, kv_heads=2, mlp_width=40
)


def make(config):
  return transformer.Transformer(config), tiny.params(config, spread=0.2)


@functools.partial(
  jax.jit, static_argnums=0, static_argnames=('capture', 'causal')
)
def run(model, params, tokens, **kwargs):
  return model.apply({'params': params}, tokens, **kwargs)


def shapes_of(config):
  """The parameters in their boxes, with shapes in place of arrays."""
  model = transformer.Transformer(config)
  tokens = jnp.zeros((1, 2), jnp.int32)
  return jax.eval_shape(model.init, jax.random.key(0), tokens)


def tokens_of(shape, seed=3):
  return np.random.default_rng(seed).integers(0, 19, shape, np.int32)


def by_hand(config, params, tokens):
  """One sequence, plain loops over heads and queries, float64."""
  p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)

  def norm(x, scale):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + config.norm_eps) * scale

  def rope(x, t):
    half = config.head_dim // 2
    angle = t / config.rope_base ** (np.arange(half) / half)
    pair = (x[:half] + 1j * x[half:]) * np.exp(1j * angle)
    return np.concatenate([pair.real, pair.imag])

  x = p['embedding'][np.asarray(tokens)]
  for layer in range(config.layers):
    w = p[f'layer_{layer}']
    y = norm(x, w['attention_norm']['scale'])
    q = np.einsum('td,dnh->tnh', y, w['query']['kernel'])
    k = np.einsum('td,dnh->tnh', y, w['key']['kernel'])
    v = np.einsum('td,dnh->tnh', y, w['value']['kernel'])
    for name, a in (('query', q), ('key', k), ('value', v)):
      if config.qkv_bias:
        a += w[name]['bias']
    if config.qk_norm:
      q = norm(q, w['query_norm']['scale'])
      k = norm(k, w['key_norm']['scale'])
    mixed = np.zeros_like(q)
    for t in range(len(x)):
      for n in range(config.heads):
        group = n // (config.heads // config.kv_heads)
        score = np.array(
          [rope(q[t, n], t) @ rope(k[s, group], s) for s in range(t + 1)]
        )
        e = np.exp(score / np.sqrt(config.head_dim))
        mixed[t, n] = (e / e.sum()) @ v[: t + 1, group]
    x = x + np.einsum('tnh,nhd->td', mixed, w['out']['kernel'])
    y = norm(x, w['mlp_norm']['scale'])
    gate = y @ w['gate']['kernel']
    up = y @ w['up']['kernel']
    x = x + (gate / (1 + np.exp(-gate)) * up) @ w['down']['kernel']
  return norm(x, p['final_norm']['scale'])


class TransformerTest(parameterized.TestCase):
  @parameterized.parameters(
    {}, {'qkv_bias': True}, {'qk_norm': True}, {'kv_heads': 1}
  )
  def test_matches_loops_in_numpy(self, **change):
    config = dataclasses.replace(SMALL, **change)
    model, params = make(config)
    tokens = tokens_of((1, 7))
    np.testing.assert_allclose(
      run(model, params, tokens).hidden[0],
      by_hand(config, params, tokens[0]),
      atol=2e-5,
    )

  @parameterized.parameters({}, {'tied': False}, {'qkv_bias': True})
  def test_counts_its_parameters(self, **change):
    config = dataclasses.replace(SMALL, **change)
    sizes = sum(p.size for p in jax.tree.leaves(shapes_of(config)))
    self.assertEqual(config.parameters(), sizes)

  def test_causal_output_ignores_later_tokens(self):
    model, params = make(SMALL)
    a = tokens_of((2, 9))
    b = np.concatenate([a[:, :5], (a[:, 5:] + 1) % 19], 1)

    def difference(**kwargs):
      one, other = (run(model, params, x, **kwargs).hidden for x in (a, b))
      return np.abs(np.asarray(one) - np.asarray(other))

    causal = difference()
    np.testing.assert_array_equal(causal[:, :5], 0.0)
    self.assertGreater(causal[:, 5:].min(-1).max(), 0.0)
    self.assertGreater(difference(causal=False)[:, 0].max(), 1e-4)

  def test_packed_documents_do_not_see_one_another(self):
    model, params = make(SMALL)
    first, second = tokens_of((1, 4), 1), tokens_of((1, 5), 2)
    packed = run(
      model,
      params,
      np.concatenate([first, second], 1),
      positions=np.array([[0, 1, 2, 3, 0, 1, 2, 3, 4]]),
      segments=np.array([[1, 1, 1, 1, 2, 2, 2, 2, 2]]),
    ).hidden
    alone = [run(model, params, a).hidden for a in (first, second)]
    np.testing.assert_allclose(packed, np.concatenate(alone, 1), atol=1e-5)

  @parameterized.parameters(False, True)
  def test_scanned_equals_unrolled(self, remat):
    model, params = make(SMALL)
    scanned = dataclasses.replace(SMALL, scan_layers=True, remat=remat)
    other = tiny.stacked(SMALL, params)
    tokens = tokens_of((2, 6))
    capture = (0, 2, 3)
    want = run(model, params, tokens, capture=capture)
    got = run(transformer.Transformer(scanned), other, tokens, capture=capture)
    np.testing.assert_allclose(got.hidden, want.hidden, atol=1e-5)
    for a, b in zip(got.captured, want.captured, strict=True):
      np.testing.assert_allclose(a, b, atol=1e-5)

  def test_captures_the_embedding_and_the_last_layer(self):
    model, params = make(SMALL)
    tokens = tokens_of((2, 5))
    out = run(model, params, tokens, capture=(0, 3))
    embedding, scale = np.asarray(params['embedding']), params['final_norm']
    np.testing.assert_array_equal(out.captured[0], embedding[tokens])
    last = np.asarray(out.captured[1])
    rms = np.sqrt(np.mean(last**2, -1, keepdims=True) + SMALL.norm_eps)
    np.testing.assert_allclose(
      last / rms * np.asarray(scale['scale']), out.hidden, rtol=1e-5
    )
    with self.assertRaisesRegex(ValueError, r'layer 4 is not in \[0, 3\]'):
      run(model, params, tokens, capture=(4,))

  @parameterized.parameters(False, True)
  def test_cached_equals_full(self, scan_layers):
    config = dataclasses.replace(SMALL, scan_layers=scan_layers)
    model, params = make(config)
    tokens = tokens_of((2, 8))
    cache = tiny.cache(config, 2, 11)
    pieces = []
    for piece in (tokens[:, :3], tokens[:, 3:4], tokens[:, 4:]):
      out = run(model, params, piece, cache=cache)
      cache = out.cache
      pieces.append(out.hidden)
    np.testing.assert_allclose(
      np.concatenate(pieces, 1), run(model, params, tokens).hidden, atol=1e-5
    )
    self.assertEqual(cache.cursor, 8)
    self.assertEqual(cache.lengths.tolist(), [8, 8])

  def test_bfloat16_stays_near_float32(self):
    model, params = make(SMALL)
    half = transformer.Transformer(dataclasses.replace(SMALL, dtype='bfloat16'))
    tokens = tokens_of((2, 6))
    got = run(half, params, tokens).hidden
    self.assertEqual(got.dtype, jnp.bfloat16)
    want = np.asarray(run(model, params, tokens).hidden)
    error = np.abs(np.float32(got) - want).max()
    self.assertLess(error, 0.1 * np.abs(want).max())

  @parameterized.product(
    sizes=(((8,), 1, (6,)), ((2, 4), 2, (3, 2))), outputs_first=(False, True)
  )
  def test_one_row_is_multiplied_like_many(self, sizes, outputs_first):
    inner, contract, outer = sizes
    rng = np.random.default_rng(0)
    x = np.asarray(rng.normal(size=(5, *inner)), jnp.bfloat16)
    kernel = np.asarray(rng.normal(size=(*inner, *outer)), jnp.bfloat16)
    want = np.tensordot(
      np.asarray(x, np.float64), np.asarray(kernel, np.float64), contract
    )
    if outputs_first:
      kernel = turned(kernel, contract)
    for row in range(5):
      got = matmul(x[row][None, None], kernel, contract, outputs_first)
      self.assertEqual(got.shape, (1, 1, *outer))
      np.testing.assert_allclose(
        np.asarray(got[0, 0], np.float64), want[row], rtol=1e-2, atol=1e-2
      )

  @parameterized.parameters(False, True)
  def test_every_parameter_has_logical_axes(self, fused):
    leaves = jax.tree.leaves(
      shapes_of(dataclasses.replace(SMALL, fused=fused)),
      is_leaf=lambda x: isinstance(x, nn.LogicallyPartitioned),
    )
    for leaf in leaves:
      self.assertIsInstance(leaf, nn.LogicallyPartitioned)
      self.assertLen(leaf.names, leaf.value.ndim)

  @parameterized.parameters(
    ({'heads': 5}, 'model.width=24 must divide'),
    ({'kv_heads': 3}, 'multiple of model.kv_heads=3'),
    ({'head_dim': 5}, 'must be even'),
    ({'dtype': 'float16'}, 'float32, bfloat16, int8'),
  )
  def test_refuses_what_does_not_fit(self, change, message):
    fields = dict(vocab_size=19, layers=1, width=24, heads=4, mlp_width=8)
    with self.assertRaisesRegex(ValueError, message):
      transformer.TransformerConfig(**(fields | change))


matmul = jax.jit(ops.matmul, static_argnums=(2, 3))
argmax = jax.jit(inference.argmax)


def normal(seed, *shapes):
  rng = np.random.default_rng(seed)
  return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def turned(kernel, contract):
  """With its outputs first."""
  axes = tuple(range(kernel.ndim))
  return kernel.transpose(*axes[contract:], *axes[:contract])


def slopes(ours, plain, *args):
  """Value and gradients of two functions, in one program."""
  every = tuple(range(len(args)))
  both = [jax.value_and_grad(function, every) for function in (ours, plain)]
  return jax.jit(lambda *args: [function(*args) for function in both])(*args)


class OpsTest(parameterized.TestCase):
  """Hand-written gradients against those that JAX derives."""

  @parameterized.product(
    contract=(1, 2), outer=((7,), (3, 2)), outputs_first=(False, True)
  )
  def test_matmul(self, contract, outer, outputs_first):
    inner = (4,) if contract == 1 else (4, 3)
    x, kernel, weight = normal(
      0, (2, 5, *inner), (*inner, *outer), (2, 5, *outer)
    )

    def ours(x, kernel):
      if outputs_first:
        kernel = turned(kernel, contract)
      y = ops.matmul(x, kernel, contract, outputs_first)
      return jnp.sum(y**2 * weight)

    def plain(x, kernel):
      return jnp.sum(jnp.tensordot(x, kernel, contract) ** 2 * weight)

    got, want = slopes(ours, plain, x, kernel)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
      got,
      want,
    )

  def test_rows_of_a_table(self):
    (table,) = normal(0, (9, 4))
    ids = jnp.array([[3, 0, 3], [8, 3, 1]])

    def ours(table):
      rows = ops.take(table.astype(jnp.bfloat16), ids).astype(jnp.float32)
      return (rows * jnp.arange(3)[:, None]).sum(), rows

    (total, rows), slope = jax.jit(jax.value_and_grad(ours, has_aux=True))(
      table
    )
    half = np.asarray(jnp.asarray(table, jnp.bfloat16), np.float32)
    np.testing.assert_array_equal(rows, half[np.asarray(ids)])
    # Row 3 stands in columns 0, 2 and 1, row 0 in 1, row 1 in 2, row 8 in 0.
    want = np.zeros((9, 4))
    want[3], want[0], want[1] = 0 + 2 + 1, 1, 2
    np.testing.assert_array_equal(slope, want)
    self.assertAlmostEqual(total, (half * want).sum(), places=4)

  def test_attend(self):
    q, k, v, chance = normal(
      1, (2, 5, 6, 4), (2, 7, 3, 4), (2, 7, 3, 4), (2, 5, 7)
    )
    mask = (chance < 0.25) | (np.arange(7) == 0)

    def plain(q, k, v):
      return jax.nn.dot_product_attention(q, k, v, mask=mask[:, None])

    def loss(attend):
      return lambda *args: jnp.sum(jnp.sin(attend(*args)))

    ours = loss(lambda *a: ops.attend(*a, mask))
    got, want = slopes(ours, loss(plain), q, k, v)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), got, want
    )

  def test_angles_are_made_once(self):
    config = transformer.TransformerConfig(
      vocab_size=16, layers=3, width=16, heads=2, mlp_width=16
    )
    model, tokens = transformer.Transformer(config), jnp.zeros((2, 8), int)
    params = nn.unbox(shapes_of(config))

    @jax.grad
    def slope(params, positions):
      return model.apply(params, tokens, positions).hidden.sum()

    compiled = jax.jit(slope).lower(params, tokens).compile()
    self.assertEqual(compiled.as_text().count(' cosine('), 1)

  def test_argmax_takes_the_first_of_equals(self):
    nan, least = jnp.nan, -jnp.inf
    rows = [[1, 3, 3, 0], [least] * 4, [least, 2, 2, 2], [0, nan, 1, 5]]
    got = argmax(np.array(rows, np.float32))
    np.testing.assert_array_equal(got[:3], [1, 0, 1])
    self.assertBetween(got[3], 0, 3)  # somewhere in the row
    x = normal(0, (3, 5, 70))[0].astype(jnp.bfloat16)
    np.testing.assert_array_equal(argmax(x), np.float32(x).argmax(-1))

  def test_argmax_of_a_vocabulary_is_that_of_its_runs(self):
    rng = np.random.default_rng(0)
    for size in (4096, 4096 + 32, 8190):  # runs of 256, of 32, and none
      # Few values, so that equals lie in one run and in several.
      x = rng.integers(0, 40, (5, 3, size)).astype(np.float32)
      x[0, 0] = -np.inf
      x[0, 1, :-1] = -1.0
      np.testing.assert_array_equal(argmax(x), x.argmax(-1))
      x[1, 1, 7] = np.nan
      self.assertBetween(np.asarray(argmax(x))[1, 1], 0, size - 1)

  def test_gelu_is_x_times_the_normal_distribution(self):
    x = np.linspace(-6, 6, 241)
    want = [v * (1 + math.erf(v / 2**0.5)) / 2 for v in x]
    got = jax.jit(ops.gelu)(np.float32(x))
    np.testing.assert_allclose(got, want, atol=1e-6)
    # Its slope at zero is one half.
    slope = jax.jit(jax.grad(ops.gelu))(0.0)
    self.assertAlmostEqual(float(slope), 0.5, places=6)

  def test_rows_that_see_nothing_stay_finite(self):
    q, mask = np.ones((1, 2, 1, 4), np.float32), np.zeros((1, 2, 2), bool)
    slope = jax.jit(jax.grad(lambda q: ops.attend(q, q, q, mask).sum()))
    self.assertTrue(np.isfinite(slope(q)).all())

  @parameterized.parameters((False, False), (True, False), (True, True))
  def test_blocks_of_queries_change_nothing(self, causal, opens):
    size = layers.QUERY_BLOCK + 7
    q, k, v = normal(2, *[(1, size, 2, 4)] * 3)
    segments = np.where(np.arange(size) < 100, 1, 2)[None]
    opened = np.arange(size)[:, None] % 3 == 1  # for these queries
    opened = np.broadcast_to(opened, (size, size)) if opens else None

    @jax.jit
    def both(q, k, v, segments, opened):
      mask = layers.Mask(causal=causal, segments=segments, opened=opened)
      whole = mask.block(1, slice(0, size), slice(0, size))
      blocks = layers.blockwise(ops.attend, q, k, v, mask)
      return blocks, ops.attend(q, k, v, whole), whole

    blocks, want, whole = both(q, k, v, segments, opened)
    np.testing.assert_allclose(blocks, want, atol=1e-5)
    allowed = np.asarray(whole[0])
    self.assertEqual(allowed[99, 50], True)
    self.assertEqual(allowed[100, 99], False)
    self.assertEqual(allowed[101, 102], not causal)
    self.assertEqual(allowed[103, 134], opens or not causal)
    self.assertEqual(allowed[1, 101], False)  # another document


if __name__ == '__main__':
  absltest.main()
