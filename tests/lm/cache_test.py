"""The ring of slots against a list of what each row has read."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lm import cache as caches
from lm import transformer
from tests.lm import tiny

SIZE = 7
CONFIG = transformer.TransformerConfig(
  vocab_size=8, layers=1, width=4, heads=1, mlp_width=4
)


@jax.jit
def begun_anew(cache, row):
  return cache.replace(lengths=cache.lengths.at[row].set(0))


@jax.jit
def advanced(cache):
  return cache.advanced(cache.keys, cache.values, 1)


def seen_by_next(cache, count, window):
  """Positions and mask of the next `count` tokens, on the host."""
  return jax.device_get(_seen_by_next(cache, count, window))


@functools.partial(jax.jit, static_argnums=(1, 2))
def _seen_by_next(cache, count, window):
  return cache.positions(count), cache.mask(count, window)


class CacheTest(parameterized.TestCase):
  @parameterized.parameters(None, 3)
  def test_a_row_sees_what_it_has_read_wherever_it_lies(self, window):
    """Rows that begin at different times, over three rounds of the ring."""
    cache = tiny.cache(CONFIG, 3, SIZE)
    read = [[], [], []]  # slots of each row, oldest first
    for time in range(20):
      if time in (4, 9, 16):  # a row begins anew
        row = {4: 1, 9: 2, 16: 1}[time]
        read[row] = []
        cache = begun_anew(cache, row)
      for row in range(3):
        if len(read[row]) == SIZE:  # no more than fits: begins anew
          read[row] = []
          cache = begun_anew(cache, row)
      positions, mask = seen_by_next(cache, 1, window)
      for row in range(3):
        self.assertEqual(int(positions[row, 0]), len(read[row]))
        read[row].append(time % SIZE)
        want = read[row][-(window or SIZE) :]
        seen = np.flatnonzero(mask[row, 0]).tolist()
        self.assertEqual(seen, sorted(want), (time, row))
      cache = advanced(cache)

  def test_padding_is_seen_by_nobody_and_not_counted(self):
    cache = tiny.cache(CONFIG, 3, SIZE, jnp.array([0, 2, 3]))
    positions, mask = seen_by_next(cache, 4, None)
    np.testing.assert_array_equal(
      positions, [[0, 1, 2, 3], [0, 0, 0, 1], [0, 0, 0, 0]]
    )
    for row, padding in enumerate((0, 2, 3)):
      for query in range(padding, 4):
        want = [padding <= slot <= query for slot in range(SIZE)]
        self.assertEqual(mask[row, query].tolist(), want)

  @parameterized.parameters('float32', 'bfloat16')
  def test_write_and_place(self, dtype):
    rng = np.random.default_rng(0)

    def some(*shape):
      return rng.normal(size=shape).astype(jnp.dtype(dtype))

    keys, values = some(2, 3, 4, SIZE), some(2, 3, SIZE, 4)  # B K H S, B K S H
    k, v = some(2, 2, 3, 4), some(2, 2, 3, 4)  # B T K H
    write = jax.jit(caches.write)
    new_keys, new_values = map(np.asarray, write((keys, values), k, v, 4))
    for t in range(2):
      np.testing.assert_array_equal(new_keys[..., 4 + t], k[:, t])
      np.testing.assert_array_equal(new_values[:, :, 4 + t], v[:, t])
    rest = [0, 1, 2, 3, 6]
    np.testing.assert_array_equal(new_keys[..., rest], keys[..., rest])
    np.testing.assert_array_equal(new_values[:, :, rest], values[:, :, rest])

    # Three slots of another cache come to lie before the cursor, round the end.
    whole = caches.Cache(
      (keys,), (values,), np.int32(1), np.array([5, 5], np.int32)
    )
    one = caches.Cache(
      (some(1, 3, 4, 3),),
      (some(1, 3, 3, 4),),
      np.int32(0),
      np.array([2], np.int32),
    )
    got = jax.device_get(jax.jit(caches.place)(whole, one, 1))
    self.assertEqual(got.lengths.tolist(), [5, 2])
    self.assertEqual(int(got.cursor), 1)
    for slot, where in enumerate((5, 6, 0)):
      np.testing.assert_array_equal(
        got.keys[0][1, ..., where], one.keys[0][0, ..., slot]
      )
      np.testing.assert_array_equal(
        got.values[0][1, :, where], one.values[0][0, :, slot]
      )
    np.testing.assert_array_equal(got.keys[0][0], keys[0])
    with self.assertRaisesRegex(ValueError, 'at most 3 slots to place, came 7'):
      caches.place(one, whole, 0)

  @parameterized.product(dtype=('float32', 'bfloat16'), cursor=(0, 2))
  def test_grown(self, dtype, cursor):
    # Each slot holds the time at which it was written, oldest at the cursor.
    config = dataclasses.replace(CONFIG, dtype=dtype)
    cache = tiny.cache(config, 2, 3)
    times = np.roll([0, 1, 2], cursor)
    cache = cache.replace(
      keys=(cache.keys[0] + jnp.asarray(times, dtype),),
      values=(cache.values[0] + jnp.asarray(times, dtype)[:, None],),
      cursor=jnp.int32(cursor),
      lengths=jnp.array([3, 2]),
    )
    got = jax.jit(caches.grown, static_argnums=1)(cache, 5)
    np.testing.assert_array_equal(
      got.keys[0][:, :, :, :3] * 1.0, [[[[0, 1, 2]] * 4]] * 2
    )
    np.testing.assert_array_equal(got.values[0][0, 0, :3, 1], [0, 1, 2])
    self.assertEqual((int(got.cursor), got.size), (3, 5))
    # What is written next lies in slot 3; the rows see three and two before it.
    _, mask = seen_by_next(got, 1, None)
    np.testing.assert_array_equal(
      mask[:, 0], [[1, 1, 1, 1, 0], [0, 1, 1, 1, 0]]
    )
    with self.assertRaisesRegex(ValueError, 'at least 5 slots, came 4'):
      caches.grown(got, 4)

  def test_rows_may_come_several_times(self):
    for scan_layers, axis in ((False, 0), (True, 1)):
      config = transformer.TransformerConfig(
        vocab_size=8,
        layers=2,
        width=4,
        heads=1,
        mlp_width=4,
        scan_layers=scan_layers,
      )
      cache = tiny.cache(config, 2, SIZE, np.array([1, 2]))
      got = jax.jit(caches.Cache.rows)(cache, np.array([1, 0, 1]))
      self.assertEqual(got.lengths.tolist(), [-2, -1, -2])
      for leaf in jax.tree.leaves((got.keys, got.values)):
        self.assertEqual(leaf.shape[axis], 3)


def without_cache(config, ids):
  out = tiny.forward(config, tiny.params(config), tiny.padded(ids))
  return np.asarray(out.hidden)[0, : len(ids)]


class BaseTest(parameterized.TestCase):
  """A cache of one row beneath: as if every row had read it itself."""

  @parameterized.parameters(
    (None, False, 4), (None, True, 0), (3, False, 0), (6, False, 4)
  )
  def test_as_without_a_cache(self, window, scan_layers, spare):
    """Uneven rows, padded at the front, then a token at a time."""
    config = transformer.TransformerConfig(
      vocab_size=31,
      layers=3,
      width=16,
      heads=4,
      kv_heads=2,
      mlp_width=24,
      window=window,
      local_rope_base=100.0 if window else None,
      global_every=3,
      scan_layers=scan_layers,
    )
    model = transformer.Transformer(config)
    rng = np.random.default_rng(0)
    first, *rest = (rng.integers(0, 31, n).tolist() for n in (10, 7, 4))
    params = {'params': tiny.params(config)}
    read = jax.jit(model.apply)
    empty = tiny.cache(config, 1, 10 + spare)
    base = read(params, np.array([first]), cache=empty).cache

    padding = np.array([0, 3])
    cache = tiny.cache(config, 2, 9, padding, base)
    tokens_BT = np.array([rest[0][:5], [0, 0, 0, *rest[1][:2]]])
    out = read(params, tokens_BT, cache=cache)
    hidden = [out.hidden]
    for step in range(2):
      token_B1 = np.array([[rest[0][5 + step]], [rest[1][2 + step]]])
      out = read(params, token_B1, cache=out.cache)
      hidden.append(out.hidden)
    hidden_BTD = np.concatenate(hidden, 1)
    for row, own in enumerate(rest):
      want = without_cache(config, first + own)[len(first) :]
      got = hidden_BTD[row, int(padding[row]) :]
      np.testing.assert_allclose(got, want, atol=2e-5)
    self.assertEqual(out.cache.lengths.tolist(), [7, 4])

  def test_in_half_precision_it_is_as_near_as_its_own(self):
    config = transformer.TransformerConfig(
      vocab_size=31, layers=2, width=32, heads=2, mlp_width=48, dtype='bfloat16'
    )
    model = transformer.Transformer(config)
    read = jax.jit(model.apply)
    first, own = np.arange(20)[None] % 31, np.array([[7, 3, 30, 2]])
    params = {'params': tiny.params(config)}
    base = tiny.cache(config, 1, 20)
    base = read(params, first, cache=base).cache
    cache = tiny.cache(config, 1, 4, base=base)
    got = read(params, own, cache=cache).hidden
    self.assertEqual(got.dtype, jnp.bfloat16)
    both = np.concatenate([first, own], 1)
    want = np.asarray(read(params, both).hidden)[:, 20:]
    exact = dataclasses.replace(config, dtype='float32')
    exact = jax.jit(transformer.Transformer(exact).apply)(params, both)
    exact = np.asarray(exact.hidden)[:, 20:]
    error = np.abs(np.float32(got) - np.float32(exact)).max()
    self.assertLess(error, 2 * np.abs(np.float32(want) - exact).max())

  @parameterized.parameters((None, False), (None, True), (5, False), (9, True))
  def test_rows_of_a_base_lie_before_their_own(self, window, scan_layers):
    """One row beneath two of uneven length beneath six, each as if alone."""
    config = transformer.TransformerConfig(
      vocab_size=31,
      layers=2,
      width=16,
      heads=4,
      kv_heads=2,
      mlp_width=24,
      window=window,
      global_every=2,
      scan_layers=scan_layers,
    )
    model = transformer.Transformer(config)
    rng = np.random.default_rng(1)
    first, *prompts = (rng.integers(0, 31, n).tolist() for n in (6, 4, 3))
    own = rng.integers(0, 31, (6, 3))
    params = {'params': tiny.params(config)}
    read = jax.jit(model.apply)
    empty = tiny.cache(config, 1, 8)
    cache = read(params, np.array([first]), cache=empty).cache
    cache = tiny.cache(config, 2, 5, np.array([0, 1]), cache)
    tokens_BT = np.array([prompts[0], [0, *prompts[1]]])
    cache = read(params, tokens_BT, cache=cache).cache
    cache = tiny.cache(config, 6, 3, base=cache)
    hidden = []
    for step in range(3):
      out = read(params, own[:, step : step + 1], cache=cache)
      cache = out.cache
      hidden.append(np.asarray(out.hidden)[:, 0])
    for row in range(6):
      ids = [*first, *prompts[row // 3], *own[row].tolist()]
      want = without_cache(config, ids)[-3:]
      got = np.stack([h[row] for h in hidden])
      np.testing.assert_allclose(got, want, atol=2e-5)
    with self.assertRaisesRegex(ValueError, 'base of one row, came 2'):
      cache.rows(jnp.array([0]))

  def test_rows_that_a_base_cannot_lie_before_are_refused(self):
    two = caches.Cache.create(CONFIG, 2, SIZE)
    with self.assertRaisesRegex(ValueError, 'multiple of the 2 .* came 3'):
      caches.Cache.create(CONFIG, 3, SIZE, base=two)
    above = caches.Cache.create(CONFIG, 4, SIZE, base=two)
    with self.assertRaisesRegex(ValueError, 'base of one row, came 2'):
      caches.Cache.create(CONFIG, 8, SIZE, base=above)


if __name__ == '__main__':
  absltest.main()
