"""Oracles of section 9, and distances by other roads."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized
from scipy import optimize

from calibration.selfreflect import distances

P, Q = (0.7, 0.2, 0.1), (0.4, 0.4, 0.2)


tv = jax.jit(distances.total_variation)
soften = jax.jit(distances.soften)
hellinger, kl = jax.jit(distances.hellinger), jax.jit(distances.kl)
wasserstein = jax.jit(distances.wasserstein)
accuracy = jax.jit(distances.accuracy)


def array(*rows):
  return jnp.asarray(np.array(rows, np.float32))


class OracleTest(parameterized.TestCase):
  def test_total_variation_is_not_ordinal(self):
    got = tv(array(*P), array(*Q))
    self.assertAlmostEqual(float(got), 0.3, places=6)  # ordinal: .4

  @parameterized.parameters((1.0, 0.9865253), (5.0, 0.3857804))
  def test_temperature(self, temperature, want):
    one = soften(array(10, 5, 0, 0), temperature)
    other = soften(array(5, 10, 0, 0), temperature)
    got = tv(one, other)
    self.assertAlmostEqual(float(got), want, places=6)

  def test_softmax_at_five(self):
    got = soften(array(10, 5, 0, 0), 5.0)
    np.testing.assert_allclose(
      got, [0.610296, 0.224515, 0.082595, 0.082595], atol=1e-6
    )

  @parameterized.parameters(
    (((0.65, 0.25, 0.1), (0.5, 0.3, 0.2)), 0.05),
    (((0.1, 0.8, 0.1), (0.2, 0.2, 0.6)), 0.475),
    (((0.7, 0.2, 0.1), (0.5, 0.25, 0.25)), 0.0),
  )
  def test_two_positions(self, candidate, want):
    reference = array((0.7, 0.2, 0.1), (0.5, 0.25, 0.25))
    far = tv(array(*candidate), reference)
    got = distances.question_score(np.asarray(far), [1, 1])
    self.assertAlmostEqual(got, want, places=6)

  def test_questions(self):
    got = distances.dataset_score([0.05, float('nan'), 0.6])
    self.assertAlmostEqual(got, 0.325)
    self.assertTrue(np.isnan(distances.dataset_score([float('nan')])))
    self.assertTrue(np.isnan(distances.question_score([], [])))

  def test_what_occurs_often_weighs_more(self):
    self.assertAlmostEqual(distances.question_score([0.1, 0.4], [3, 1]), 0.175)


class OtherTest(parameterized.TestCase):
  def test_closed_forms(self):
    p, q = array(*P), array(*Q)
    want = np.sqrt(1 - np.sqrt(np.array(P) * np.array(Q)).sum())
    self.assertAlmostEqual(float(hellinger(p, q)), want, places=6)
    want = sum(b * np.log(b / a) for a, b in zip(P, Q, strict=True))
    self.assertAlmostEqual(float(kl(p, q)), want, places=6)
    # A reference with a token that the summary rules out is far, not infinite.
    self.assertGreater(float(kl(array(1, 0), array(0.5, 0.5))), 30)

  @parameterized.parameters(0, 1, 2)
  def test_wasserstein_is_the_least_cost_of_moving(self, seed):
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.ones(6), 2)
    groups = np.array([0, 1, 0, 2, 1, 0], np.int32)
    cost = np.where(groups[:, None] == groups, distances.SPELLINGS, 1.0)
    np.fill_diagonal(cost, 0.0)
    rows = np.kron(np.eye(6), np.ones(6))
    columns = np.kron(np.ones(6), np.eye(6))
    least = optimize.linprog(
      cost.ravel(),
      A_eq=np.concatenate([rows, columns]),
      b_eq=np.concatenate([p, q]),
    )
    got = wasserstein(array(*p), array(*q), jnp.asarray(groups))
    self.assertAlmostEqual(float(got), least.fun, places=5)

  def test_wasserstein_without_spellings_is_total_variation(self):
    p, q = array(P, Q), array(Q, Q)
    got = wasserstein(p, q, jnp.asarray(np.arange(3, dtype=np.int32)))
    np.testing.assert_allclose(got, [0.3, 0.0], atol=1e-6)

  def test_accuracy(self):
    p = array((0.6, 0.4), (0.6, 0.4), (0.2, 0.8))
    q = array((0.7, 0.3), (0.3, 0.7), (0.3, 0.7))
    got = accuracy(p, q, jnp.asarray(np.zeros(3, np.int32)))
    np.testing.assert_array_equal(got, [0, 1, 0])

  def test_spellings(self):
    got = distances.spellings([' Paris', 'paris', 'Rome', ' ', '  ', 'PARIS'])
    np.testing.assert_array_equal(got, [0, 0, 1, 2, 3, 0])


if __name__ == '__main__':
  absltest.main()
