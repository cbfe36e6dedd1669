"""Intervals on the host, against all draws and the standard error."""

import itertools

import jax
import numpy as np
from absl.testing import absltest, parameterized

from engine.stats import bootstrap, ranks


class IntervalTest(parameterized.TestCase):
  @parameterized.parameters(0.5, 0.9)
  def test_quantiles_are_those_of_all_samples_drawn_again(self, level):
    values = np.array([0.5, 2.0, 3.0, 7.0])
    every = [np.mean(drawn) for drawn in itertools.product(values, repeat=4)]
    tail = (1 - level) / 2
    want = np.quantile(every, [tail, 1 - tail])
    found = bootstrap.interval(
      lambda at: values[at].mean(-1), 4, draws=20_000, level=level
    )
    np.testing.assert_allclose(found, [3.125, *want], atol=0.13)

  def test_width_is_that_of_the_standard_error(self):
    values = np.random.default_rng(0).standard_normal(400)
    found = bootstrap.interval(lambda at: values[at].mean(-1), 400)
    error = values.std() / 20
    self.assertAlmostEqual(
      (found[2] - found[1]) / (2 * 1.96 * error), 1, delta=0.1
    )

  def test_undefined_replicates_are_left_out(self):
    # Half of the draws are of one point, twice, and have no correlation.
    x, y = np.array([1.0, 2.0]), np.array([5.0, 3.0])
    found = bootstrap.interval(lambda at: ranks.spearman(x[at], y[at]), 2)
    np.testing.assert_allclose(found, -1)

  def test_an_undefined_estimate_is_nan(self):
    found = bootstrap.interval(lambda at: 0.0 * at.sum(-1) / np.nan, 3)
    self.assertTrue(np.isnan(found).all())

  @parameterized.parameters(
    dict(draws=0), dict(draws=5, level=1.0), dict(draws=5, level=0.0)
  )
  def test_nonsense_is_refused(self, **knobs):
    with self.assertRaisesRegex(ValueError, 'draws must be positive and level'):
      bootstrap.interval(lambda at: at.mean(-1), 3, **knobs)


class PercentileTest(absltest.TestCase):
  def test_columns_each_have_theirs_in_both_libraries(self):
    values = np.random.default_rng(0).random((21, 2)).astype(np.float32)
    values[0, 0] = np.nan
    want = [np.sort(values[1:, 0]), np.sort(values[:, 1])]
    estimate = np.array([0.5, np.nan], np.float32)
    for percentile in (
      bootstrap.percentile,
      jax.jit(bootstrap.percentile, static_argnums=2),
    ):
      found = np.asarray(percentile(estimate, values, 0.9))
      np.testing.assert_allclose(
        found[:, 0],
        [0.5, *np.quantile(want[0], [0.05, 0.95])],
        atol=1e-6,
      )
      self.assertTrue(np.isnan(found[:, 1]).all())


if __name__ == '__main__':
  absltest.main()
