"""Tests of probes.selection."""

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from probes import selection, solvers
from tests.probes import solvers_test


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
