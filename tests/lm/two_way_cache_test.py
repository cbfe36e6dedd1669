"""Columns that run again, against whole passes with stale ones held still."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lm import cache as caches
from lm import layers, transformer, two_way_cache
from tests.lm import tiny
from tests.lm import two_way_support as support

GEMMA = dict(
  window=3,
  global_every=2,
  embed_scale=True,
  post_norms=True,
  qk_norm=True,
  query_scalar=8.0,
  activation='gelu',
)
SPAN = two_way_cache.Span(
  first=np.array([0, 3, 5], np.int32), begin=np.array([0, 4, 8], np.int32)
)
take = jax.jit(two_way_cache.take, static_argnums=(2, 3))
put = jax.jit(two_way_cache.put, static_argnums=3)


@functools.partial(jax.jit, static_argnums=0)
def full(config, params, tokens, positions=None, segments=None):
  return transformer.Transformer(config).apply(
    {'params': params}, tokens, positions, segments, causal=False, keep=True
  )


@functools.partial(jax.jit, static_argnums=0)
def again(config, params, tokens, positions, cache):
  return transformer.Transformer(config).apply(
    {'params': params}, tokens, positions, causal=False, cache=cache
  )


class SpanTest(parameterized.TestCase):
  @parameterized.product(axis=(1, 2, 3), dtype=('float32', 'bfloat16'))
  def test_put_and_take_against_loops(self, axis, dtype):
    rng = np.random.default_rng(0)
    shape, few = [3, 2, 4, 5], [3, 2, 4, 5]
    shape[axis], few[axis] = 8, 3
    old, new = (
      rng.normal(size=s).astype(jnp.dtype(dtype)) for s in (shape, few)
    )
    want = np.array(old)
    taken = np.zeros(few, want.dtype)
    for row, first, begin in zip(range(3), SPAN.first, SPAN.begin, strict=True):
      for w in range(3):
        at = [row, slice(None), slice(None), slice(None)]
        to = list(at)
        at[axis], to[axis] = int(first) + w, w
        taken[tuple(to)] = want[tuple(at)]
        if first + w >= begin:
          want[tuple(at)] = np.asarray(new)[tuple(to)]
    np.testing.assert_array_equal(take(old, SPAN, 3, axis), taken)
    np.testing.assert_array_equal(put(old, new, SPAN, axis), want)

  @parameterized.product(window=(None, 3), padded=(False, True))
  def test_mask_is_the_rows_of_the_whole_one(self, window, padded):
    segments = np.array([[1] * 8, [0, 0] + [1] * 6, [1] * 4 + [2] * 4])
    segments = segments if padded else None
    kept = (np.zeros((3, 1, 2, 8)),), (np.zeros((3, 1, 8, 2)),)

    @jax.jit
    def both(segments, span):
      cache = two_way_cache.TwoWayCache.of(*kept, segments)
      whole = layers.Mask(causal=False, segments=segments, window=window)
      whole = whole.block(3, slice(0, 8), slice(0, 8))
      return cache.at(span.first, span.begin).mask(3, window), whole

    got, whole = both(segments, SPAN)
    for row in range(3):
      first = int(SPAN.first[row])
      np.testing.assert_array_equal(got[row], whole[row, first : first + 3])


class PassTest(parameterized.TestCase):
  """Two rows of nine columns, the second one padded; four run again."""

  def setUp(self):
    super().setUp()
    rng = np.random.default_rng(0)
    self.before = rng.integers(0, 11, (2, 9), np.int32)
    other = (self.before + rng.integers(1, 11, (2, 9), np.int32)) % 11
    # Row 0 writes columns 2 to 5, row 1 the last three: its run begins earlier.
    self.first, self.begin = np.array([[2, 5], [2, 6]], np.int32)
    column = np.arange(9)
    begin, end = self.begin[:, None], (self.first + 4)[:, None]
    self.fresh = (column >= begin) & (column < end)
    self.after = np.where(self.fresh, other, self.before)
    self.segments = (column >= np.array([[0], [2]])).astype(np.int32)
    self.positions = np.maximum(np.cumsum(self.segments, -1) - 1, 0)

  def run_again(self, config, params, tokens):
    kept = full(config, params, self.before, self.positions, self.segments)
    cache = kept.cache.at(
      jax.device_put(self.first), jax.device_put(self.begin)
    )
    some = (take(a, cache.span, 4, 1) for a in (tokens, self.positions))
    return kept, again(config, params, *some, cache)

  @parameterized.parameters(
    dict(), dict(scan_layers=True), dict(tied=False, fused=True), GEMMA
  )
  def test_equals_whole_passes_whose_stale_columns_are_held(self, **fields):
    config, params = support.small(**fields | dict(scan_layers=False))
    where = self.positions, self.segments
    kept = support.inputs(config, params, self.before, *where)
    want = support.stale_hidden(
      config, params, self.after, *where, kept, ~self.fresh
    )
    scanned = tiny.stacked(config, params)
    config, given = support.small(**fields)
    params = scanned if config.scan_layers else params
    jax.tree.map(lambda a, b: self.assertEqual(a.shape, b.shape), given, params)
    whole, out = self.run_again(config, params, self.after)
    hidden, want = np.asarray(out.hidden), np.asarray(want)
    for row in range(2):
      # What runs ahead of `begin` gives what nobody asked for.
      ran = slice(int(self.begin[row]), int(self.first[row]) + 4)
      got = hidden[row, int(self.begin[row] - self.first[row]) :]
      np.testing.assert_allclose(got, want[row, ran], atol=2e-5)
    exact = np.asarray(full(config, params, self.after, *where).hidden)
    self.assertGreater(np.abs(exact - want)[self.fresh].max(), 1e-2)
    # Nothing but what was written has changed in the cache.
    for kind, axis in (('keys', -1), ('values', -2)):
      pairs = zip(
        jax.tree.leaves(getattr(whole.cache, kind)),
        jax.tree.leaves(getattr(out.cache, kind)),
        strict=True,
      )
      for old, new in pairs:
        same = np.asarray(old) == np.asarray(new)
        same = np.moveaxis(same, (old.ndim - 4, axis), (0, 1))
        same = same.reshape(2, 9, -1).all(-1)
        np.testing.assert_array_equal(same, ~self.fresh)

  @parameterized.parameters(False, True)
  def test_what_has_not_changed_gives_the_same_again(self, scan_layers):
    config, params = support.small(scan_layers=scan_layers)
    whole, out = self.run_again(config, params, self.before)
    want = take(whole.hidden, out.cache.span, 4, 1)
    np.testing.assert_allclose(out.hidden, want, atol=2e-5)

  def test_keeping_changes_no_bit(self):
    config, params = support.small()
    where = self.positions, self.segments
    kept = full(config, params, self.before, *where)
    plain = jax.jit(
      transformer.Transformer(config).apply, static_argnames='causal'
    )
    want = plain({'params': params}, self.before, *where, causal=False)
    np.testing.assert_array_equal(kept.hidden, want.hidden)
    self.assertIsNone(want.cache)

  def test_one_layer_is_exact(self):
    """Its keys depend on no other column: stale are only those of others."""
    config, params = support.small(layers=1)
    _, out = self.run_again(config, params, self.after)
    exact = full(config, params, self.after, self.positions, self.segments)
    got, want = np.asarray(out.hidden), np.asarray(exact.hidden)
    for row in range(2):
      ran = slice(int(self.begin[row]), int(self.first[row]) + 4)
      ours = got[row, int(self.begin[row] - self.first[row]) :]
      np.testing.assert_allclose(ours, want[row, ran], atol=2e-5)

  def test_half_precision_is_kept_as_such(self):
    config, params = support.small(dtype='bfloat16')
    _, out = self.run_again(config, params, self.after)
    for leaf in jax.tree.leaves((out.cache.keys, out.cache.values)):
      self.assertEqual(leaf.dtype, jnp.bfloat16)
    config, params = support.small()
    _, want = self.run_again(config, params, self.after)
    error = np.abs(np.float32(out.hidden) - np.asarray(want.hidden)).max()
    self.assertLess(error, 0.2)

  def test_a_block_of_an_eighth_costs_less_than_a_fifth(self):
    """Of T = 16 + 64 columns 8 run: a tenth, attention and writing besides."""
    config, params = support.small(width=32, mlp_width=64)
    tokens = jnp.zeros((2, 80), jnp.int32)
    kept = jax.eval_shape(functools.partial(full, config), params, tokens)

    def flops(function, *args):
      compiled = function.lower(config, params, *args).compile()
      return compiled.cost_analysis()['flops']

    positions = jnp.zeros((2, 8), jnp.int32)
    whole = flops(full, tokens)
    part = flops(again, positions, positions, kept.cache)
    self.assertGreater(part, 0)
    self.assertLess(part, whole / 5)

  def test_what_does_not_fit_is_refused(self):
    config, params = support.small()
    model = functools.partial(
      transformer.Transformer(config).apply,
      {'params': params},
      jax.device_put(self.before),
    )
    kept = jax.eval_shape(functools.partial(full, config), params, self.before)
    kept = kept.cache
    with self.assertRaisesRegex(ValueError, 'keep'):
      model(keep=True)
    with self.assertRaisesRegex(ValueError, 'keep'):
      model(keep=True, causal=False, cache=kept)
    with self.assertRaisesRegex(ValueError, 'two-way'):
      model(cache=kept)
    with self.assertRaisesRegex(ValueError, 'two-way'):
      segments = jax.device_put(self.segments)
      model(segments=segments, causal=False, cache=kept)
    with self.assertRaisesRegex(ValueError, 'two-way'):
      model(causal=False, cache=caches.Cache.create(config, 2, 9))


if __name__ == '__main__':
  absltest.main()
