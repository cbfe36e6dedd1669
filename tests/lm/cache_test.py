"""The ring of slots against a list of what each row has read."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lm import cache as caches
from lm import transformer

SIZE = 7
CONFIG = transformer.TransformerConfig(
  vocab_size=8, layers=1, width=4, heads=1, mlp_width=4
)


class CacheTest(parameterized.TestCase):
  @parameterized.parameters(None, 3)
  def test_a_row_sees_what_it_has_read_wherever_it_lies(self, window):
    """Rows that begin at different times, over three rounds of the ring."""
    cache = caches.Cache.create(CONFIG, 3, SIZE)
    read = [[], [], []]  # slots of each row, oldest first
    for time in range(20):
      if time in (4, 9, 16):  # a row begins anew
        row = {4: 1, 9: 2, 16: 1}[time]
        read[row] = []
        cache = cache.replace(lengths=cache.lengths.at[row].set(0))
      for row in range(3):
        if len(read[row]) == SIZE:  # no more than fits: begins anew
          read[row] = []
          cache = cache.replace(lengths=cache.lengths.at[row].set(0))
      positions, mask = cache.positions(1), cache.mask(1, window)
      for row in range(3):
        self.assertEqual(int(positions[row, 0]), len(read[row]))
        read[row].append(time % SIZE)
        want = read[row][-(window or SIZE) :]
        seen = np.flatnonzero(mask[row, 0]).tolist()
        self.assertEqual(seen, sorted(want), (time, row))
      cache = cache.advanced(cache.keys, cache.values, 1)

  def test_padding_is_seen_by_nobody_and_not_counted(self):
    cache = caches.Cache.create(CONFIG, 3, SIZE, jnp.array([0, 2, 3]))
    np.testing.assert_array_equal(
      cache.positions(4), [[0, 1, 2, 3], [0, 0, 0, 1], [0, 0, 0, 0]]
    )
    mask = np.asarray(cache.mask(4))
    for row, padding in enumerate((0, 2, 3)):
      for query in range(padding, 4):
        want = [padding <= slot <= query for slot in range(SIZE)]
        self.assertEqual(mask[row, query].tolist(), want)

  @parameterized.parameters('float32', 'bfloat16')
  def test_write_and_place(self, dtype):
    rng = np.random.default_rng(0)

    def some(*shape):
      return jnp.asarray(rng.normal(size=shape), dtype)

    keys, values = some(2, 3, 4, SIZE), some(2, 3, SIZE, 4)  # B K H S, B K S H
    k, v = some(2, 2, 3, 4), some(2, 2, 3, 4)  # B T K H
    new_keys, new_values = caches.write((keys, values), k, v, jnp.int32(4))
    for t in range(2):
      np.testing.assert_array_equal(new_keys[..., 4 + t], k[:, t])
      np.testing.assert_array_equal(new_values[:, :, 4 + t], v[:, t])
    rest = [0, 1, 2, 3, 6]
    np.testing.assert_array_equal(new_keys[..., rest], keys[..., rest])
    np.testing.assert_array_equal(new_values[:, :, rest], values[:, :, rest])

    # Three slots of another cache come to lie before the cursor, round the end.
    whole = caches.Cache((keys,), (values,), jnp.int32(1), jnp.array([5, 5]))
    one = caches.Cache(
      (some(1, 3, 4, 3),), (some(1, 3, 3, 4),), jnp.int32(0), jnp.array([2])
    )
    got = jax.jit(caches.place)(whole, one, jnp.int32(1))
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
      cache = caches.Cache.create(config, 2, SIZE, jnp.array([1, 2]))
      got = cache.rows(jnp.array([1, 0, 1]))
      self.assertEqual(got.lengths.tolist(), [-2, -1, -2])
      for leaf in jax.tree.leaves((got.keys, got.values)):
        self.assertEqual(leaf.shape[axis], 3)


if __name__ == '__main__':
  absltest.main()
