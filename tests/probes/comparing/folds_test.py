"""Tests of probes.selection."""

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from probes.comparing import folds as selection
from probes.fitting import solvers
from tests.probes.fitting import solvers_test


class SelectionTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    found = [solvers_test.data(s, 120, 20) for s in range(2)]
    self.x, self.y = (jnp.array(np.stack(v)) for v in zip(*found, strict=True))
    self.train = jnp.arange(120)[None] < jnp.array([[90], [80]])

  def folds(self, count=3):
    rng = np.random.default_rng(0)
    return selection.folds(rng, self.y, self.train, count)

  def test_folds(self):
    left_out = self.folds()
    np.testing.assert_array_equal(left_out.sum(1), np.asarray(self.train))
    positives = (left_out * np.asarray(self.y)[:, None]).sum(-1)
    self.assertLessEqual(int(np.ptp(positives, axis=1).max()), 1)
    few = self.train & ((self.y == 0) | (jnp.arange(120) < 1))
    with self.assertRaisesRegex(ValueError, 'site 0: 3 folds need 3'):
      selection.folds(np.random.default_rng(0), self.y, few, 3)

  def test_groups_are_whole_in_every_fold(self):
    # Up to seven samples about a thing; numbers have gaps, and those that are
    # not to be learned from are about the same things.
    rng = np.random.default_rng(1)
    group = np.stack([rng.integers(0, n, 120) for n in (40, 25)]) * 3
    train = np.asarray(self.train)
    for count in (2, 3, 5):
      left_out = selection.folds(
        np.random.default_rng(2), self.y, train, count, group
      )
      self.assertEqual(left_out.shape, (2, count, 120))
      # Every training sample in one, no other sample in any.
      np.testing.assert_array_equal(left_out.sum(1), train)
      for s in range(2):
        for fold in left_out[s]:
          inner = train[s] & ~fold
          self.assertEmpty(set(group[s, fold]) & set(group[s, inner]))
          for side in (fold, inner):
            self.assertEqual(set(np.asarray(self.y)[s, side]), {0, 1})
          # No fold has more than twice its share.
          self.assertLess(fold.sum(), 2 * train[s].sum() / count)

  def test_rare_labels_are_spread_over_folds_of_groups(self):
    # Of 30 groups of four every fifth is right throughout, the rest never.
    group = np.arange(120)[None] // 4
    y = (group % 5 == 0).astype(np.float32)
    left_out = selection.folds(
      np.random.default_rng(3), y, np.ones((1, 120), bool), 3, group
    )
    np.testing.assert_array_equal((left_out * y[:, None]).sum(-1), [[8] * 3])
    np.testing.assert_array_equal(left_out.sum(-1), [[40] * 3])

  def test_fewer_groups_than_folds(self):
    group = np.arange(120)[None] % 2 * np.ones((2, 1), int)
    with self.assertRaisesRegex(
      ValueError, 'site 0: 3 folds of whole groups .* about 2 things; lower'
    ):
      selection.folds(np.random.default_rng(0), self.y, self.train, 3, group)

  def test_cross_validated(self):
    # Labels of the first site are real, those of the second are coins.
    y = self.y.at[1].set(jnp.arange(120) % 2)
    left_out = jnp.array(
      selection.folds(np.random.default_rng(0), y, self.train, 3)
    )
    found = selection.cross_validated(
      self.x, y, self.train, left_out, solvers.L1
    )
    best = np.asarray(found.score).max(-1)
    self.assertGreater(best[0], 0.75)
    self.assertLess(best[1], 0.68)
    rows = np.arange(2)
    np.testing.assert_allclose(
      np.asarray(found.score)[rows, found.at], best, rtol=1e-6
    )
    np.testing.assert_array_equal(
      found.w, np.asarray(found.path.w)[rows, 0, found.at]
    )
    # By hand, one fold at that lambda alone.
    inner = (self.train & ~left_out[:, 1]).astype(jnp.float32)[:1, None]
    path = solvers.fit_paths(
      self.x[:1],
      y[:1],
      inner,
      solvers.L1,
      lambdas=found.path.lambdas[:1, :, : int(found.at[0]) + 1],
    )
    w, _ = path.raw()
    z = np.asarray(self.x[0] @ w[0, 0, -1])[np.asarray(left_out[0, 1])]
    label = np.asarray(y[0])[np.asarray(left_out[0, 1])]
    pairs = z[label == 1][:, None] - z[label == 0]
    one = float((pairs > 0).mean())
    scores = selection._fold_scores(self.x[:1], y[:1], left_out[:1, 1:2], path)
    self.assertAlmostEqual(float(scores[0, -1]), one, places=5)

  def test_at_sparsity(self):
    w = jnp.array([[[0, 0, 0, 0.0], [0, 1, 0, 0], [3, 1, 2, 0], [3, 1, 2, 1]]])
    support, at = selection.at_sparsity(w, 2)
    np.testing.assert_array_equal(support, [[True, False, True, False]])
    np.testing.assert_array_equal(at, [2])
    # A path that ends too soon keeps what it has.
    support, at = selection.at_sparsity(w[:, :2], 3)
    np.testing.assert_array_equal(support, [[False, True, False, False]])


if __name__ == '__main__':
  absltest.main()
