"""Tests of probes.group_lasso: limits in which it is a lasso."""

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from probes.fitting import group_lasso, objective, solvers
from tests.probes.fitting import solvers_test


def problem(seeds):
  found = [solvers_test.data(s, 60, 20) for s in seeds]
  x, y = (jnp.array(np.stack(v)) for v in zip(*found, strict=True))
  x = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
  return objective.Problem(x, y, jnp.full(y.shape, 1 / 60))


class GroupLassoTest(absltest.TestCase):
  def test_one_task_is_a_lasso(self):
    one = problem([1])
    lam = solvers_test.fit(one.x[0], one.y[0], solvers.L1).lambdas[0, 0, 5:30:8]
    lasso = solvers_test.fit(one.x[0], one.y[0], solvers.L1, lambdas=lam)
    group = group_lasso.path(one, lam)
    np.testing.assert_allclose(group.value, lasso.value[0, 0], rtol=1e-5)
    np.testing.assert_allclose(group.w[:, 0], lasso.w[0, 0], atol=2e-3)

  def test_equal_tasks(self):
    # The norm of T equal rows is sqrt(T) of one.
    one = problem([1])
    lam = float(group_lasso.lambda_max(one)) * 0.2
    three = problem([1, 1, 1])
    alone = group_lasso.path(one, jnp.array([lam]))
    group = group_lasso.path(three, jnp.array([lam / 3**0.5]))
    np.testing.assert_allclose(group.value, alone.value, rtol=1e-5)
    for t in range(3):
      np.testing.assert_allclose(group.w[:, t], alone.w[:, 0], atol=2e-3)

  def test_support_is_shared_and_grows(self):
    three = problem([1, 2, 3])
    top = float(group_lasso.lambda_max(three))
    path = group_lasso.path(three, top * jnp.array([1.001, 0.8, 0.4, 0.1]))
    on = np.asarray(path.w != 0)
    np.testing.assert_array_equal(on.any(1), on.all(1))
    sizes = on.any(1).sum(-1)
    self.assertEqual(sizes[0], 0)
    self.assertTrue((np.diff(sizes) > 0).all(), sizes)
    self.assertLess(float(jnp.max(path.gap / path.value)), 1e-4)
    self.assertTrue((np.asarray(path.gap) > -1e-6).all())

  def test_gap_sees_a_bad_point(self):
    three = problem([1, 2, 3])
    lam = 0.3 * float(group_lasso.lambda_max(three))
    path = group_lasso.path(three, jnp.array([lam]), most_steps=3)
    self.assertGreater(float(path.gap[0]), 1e-4)
    self.assertGreater(float(path.kkt[0]), 1e-4)


if __name__ == '__main__':
  absltest.main()
