"""Weights of replicates: how many are drawn, of what, and never padding.

Intervals made of them are in auroc_test.py and, over all draws, in
tests/calibration/metrics/resampling_test.py.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from engine.stats import replicates

WEIGHTS = np.array([0, 2, 0.5, 0, 1, 3, 1], np.float32)


class RedrawTest(parameterized.TestCase):
  @parameterized.parameters((3,), (1000,), (2**31 - 1,))
  def test_numbers_are_bits_scaled(self, bound):
    bits = np.random.default_rng(0).integers(0, 2**32, 500, np.uint32)
    bits[:2] = 0, 2**32 - 1
    found = jax.jit(replicates.numbers)(bits, np.uint32(bound))
    want = [int(b) * bound >> 32 for b in bits]
    np.testing.assert_array_equal(found, want)

  def times(self, **how):
    """How often each sample is drawn, [500, 7]; padding must not be."""

    @jax.jit
    def draw(key):
      drawn = replicates.redraw(jnp.asarray(WEIGHTS), **how)
      return jax.vmap(drawn)(jax.random.split(key, 500))

    drawn = np.asarray(draw(jax.random.key(0)))
    self.assertTrue((drawn[:, WEIGHTS == 0] == 0).all())
    return drawn / np.where(WEIGHTS > 0, WEIGHTS, 1)

  def test_as_many_as_there_are(self):
    times = self.times()
    np.testing.assert_array_equal(times.sum(1), 5)
    # Each once on average, with a binomial's variance of 4/5.
    self.assertLess(np.abs(times.mean(0)[WEIGHTS > 0] - 1).max(), 0.16)

  def test_as_many_of_each_class(self):
    positive = np.array([1, 1, 0, 0, 1, 0, 0], bool)
    times = self.times(classes=jnp.asarray(positive))
    np.testing.assert_array_equal(times[:, positive].sum(1), 2)
    np.testing.assert_array_equal(times[:, ~positive].sum(1), 3)

  def test_groups_are_drawn_whole(self):
    # Group 6 is padding alone; 1 has a padded member.
    group = np.array([6, 1, 5, 1, 5, 0, 1])
    times = self.times(groups=jnp.asarray(group))
    np.testing.assert_array_equal(times[:, 1], times[:, 6])
    np.testing.assert_array_equal(times[:, 2], times[:, 4])
    np.testing.assert_array_equal(times[:, [1, 2, 5]].sum(1), 3)


class EachTest(absltest.TestCase):
  def test_blocks_change_nothing(self):
    key = jax.random.key(1)

    @functools.partial(jax.jit, static_argnums=1)
    def each(key, size):
      return replicates.each(jax.random.uniform, key, 7, size)

    whole = each(key, 1)
    # Blocks of 3: the surplus of the last is cut off.
    parts = each(key, 2**18 // 3)
    np.testing.assert_array_equal(parts, whole)
    self.assertLen(np.unique(whole), 7)


if __name__ == '__main__':
  absltest.main()
