"""How a path goes from one fit to the next; its fits are in solvers_test."""

import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from probes.fitting import lasso, objective

GRID = 0.1 * 0.9 ** np.arange(24)


def problem(seed, samples=120, features=90):
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(1, samples, features))
  z = x[..., :5].sum(-1) + rng.logistic(size=(1, samples))
  m = np.full((1, samples), 1 / samples)
  y = (z > 0).astype(np.float32)
  return objective.Problem(*(jnp.asarray(a, jnp.float32) for a in (x, y, m)))


def fitter(tolerance=1e-6):
  """(problem, lambdas) -> path, compiled once a number of lambdas."""
  path = jax.jit(functools.partial(lasso.path, tolerance=tolerance))

  def fit(one, lambdas):
    lambdas = jnp.asarray(lambdas, jnp.float32)[None]
    return path(one, lambdas, 0 * lambdas)

  return fit


FIT = fitter()


class PathTest(parameterized.TestCase):
  @parameterized.parameters(
    ([8, 4, 2, 2, 1], [0, 0, 1, 0, 0]),
    ([9, 3, 1 / 3, 1 / 9], [0, 0, 2, 0.5]),
    ([8, 4, 0.01], [0, 0, 2]),
    ([8, 4], [0, 0]),
    ([8], [0]),
  )
  def test_strides(self, lambdas, want):
    got = lasso._strides(jnp.array([lambdas], jnp.float32))
    np.testing.assert_allclose(got[0], want, rtol=1e-5)

  def test_buckets(self):
    self.assertEqual(
      lasso.buckets(576), (64, 128, 192, 256, 320, 384, 448, 512, 576)
    )
    self.assertEqual(lasso.buckets(1200)[-5:], (640, 768, 896, 1024, 1200))
    self.assertEqual(lasso.buckets(20), (20,))
    self.assertEqual(lasso.buckets(64), (64,))

  @parameterized.parameters(
    ([0.1, 0.09, 0.03, 0.03, 0.029, 0.01],), (GRID[::4],)
  )
  def test_where_a_fit_begins_does_not_show(self, lambdas):
    """Whatever the grid, each is what it is when fitted from nothing."""
    one = problem(0)
    path = FIT(one, lambdas)
    for i, lam in enumerate(lambdas):
      alone = FIT(one, [lam])
      np.testing.assert_allclose(path.value[0, i], alone.value[0, 0], rtol=2e-6)
      np.testing.assert_allclose(path.w[0, i], alone.w[0, 0], atol=2e-3)
      self.assertLess(float(path.kkt[0, i]), 1e-5)

  def test_the_line_through_the_last_two_saves_steps(self):
    one = problem(1)
    ahead = fitter(1e-3)(one, GRID)
    with mock.patch.object(lasso, '_ahead', lambda problem, last, *_: last):
      behind = fitter(1e-3)(one, GRID)
    self.assertLess(int(ahead.steps.sum()), 0.6 * int(behind.steps.sum()))
    np.testing.assert_allclose(ahead.value, behind.value, rtol=2e-6)

  def test_how_many_features_come_at_once_does_not_show(self):
    one = problem(2)
    path = FIT(one, [0.01])
    with mock.patch.object(lasso, 'buckets', lambda features: (features,)):
      whole = fitter()(one, [0.01])
    np.testing.assert_allclose(path.value, whole.value, rtol=1e-6)
    np.testing.assert_allclose(path.w, whole.w, atol=2e-3)


if __name__ == '__main__':
  absltest.main()
