"""Distributions over sets against known figures (section 12.2, 12.3)."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.policy import actions

BERNOULLI = actions.ActionConfig()
DPLS = actions.ActionConfig(kind='dpls')
LOGITS = jnp.array([[2.0, -1.0, 0.5, 3.0]])
ELIGIBLE = jnp.array([[True, True, True, False]])


def places(*order):
  """[1, 4] places of an ordered draw; Bernoulli reads it as a set."""
  out = np.full((1, 4), -1)
  out[0, list(order)] = np.arange(len(order))
  return jnp.asarray(out)


def log_prob(config, *order, temperature=1.0):
  return float(
    actions.log_prob(config, LOGITS, places(*order), ELIGIBLE, temperature)[0]
  )


class KeysTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    jax.config.update('jax_debug_key_reuse', True)
    self.addCleanup(jax.config.update, 'jax_debug_key_reuse', False)


class BernoulliTest(KeysTest, parameterized.TestCase):
  @parameterized.parameters(
    (1.0, -0.914267), (0.5, -0.458340), (2.0, -1.363278)
  )
  def test_log_prob_of_a_set(self, temperature, want):
    got = log_prob(BERNOULLI, 0, 2, temperature=temperature)
    self.assertAlmostEqual(got, want, places=5)

  def test_log_prob_of_nothing(self):
    self.assertAlmostEqual(log_prob(BERNOULLI), -3.414267, places=5)
    self.assertAlmostEqual(np.exp(log_prob(BERNOULLI)), 0.032901, places=6)

  def test_probabilities_of_all_sets_sum_to_one(self):
    sets = itertools.chain.from_iterable(
      itertools.combinations(range(3), n) for n in range(4)
    )
    total = sum(np.exp(log_prob(BERNOULLI, *s)) for s in sets)
    self.assertAlmostEqual(total, 1.0, places=6)

  def test_gradient_is_action_less_probability(self):
    def total(logits):
      return actions.log_prob(BERNOULLI, logits, places(0, 2), ELIGIBLE).sum()

    want = [[0.119203, -0.268941, 0.377541, 0.0]]
    np.testing.assert_allclose(jax.grad(total)(LOGITS), want, atol=1e-6)

  def test_extreme_logits_keep_finite_gradients(self):
    def total(logits):
      return actions.log_prob(BERNOULLI, logits, places(1), ELIGIBLE).sum()

    value, grad = jax.value_and_grad(total)(jnp.array([[200.0, -200.0, 0, 0]]))
    self.assertAlmostEqual(float(value), -400.0 - np.log(2.0), places=3)
    np.testing.assert_allclose(grad, [[-1.0, 1.0, -0.5, 0.0]], atol=1e-6)

  def test_entropy(self):
    got = actions.entropy(LOGITS, ELIGIBLE)
    np.testing.assert_allclose(got, [0.536795], atol=1e-6)

  def test_falls_back_on_the_largest_eligible_logit(self):
    low = LOGITS - 1000.0
    keys = jax.random.split(jax.random.key(0), 1)
    got = actions.draw(BERNOULLI, low, ELIGIBLE, keys, fallback=True)
    np.testing.assert_array_equal(got, [[0, -1, -1, -1]])
    keys = jax.random.split(jax.random.key(0), 1)
    got = actions.draw(BERNOULLI, low, ELIGIBLE, keys)
    np.testing.assert_array_equal(got, [[-1, -1, -1, -1]])

  @parameterized.parameters((1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (1.0, 1.3))
  def test_draws_follow_the_scaled_probabilities(self, temperature, scale):
    count = 40_000
    keys = jax.random.split(jax.random.key(1), count)
    rows = jnp.broadcast_to(LOGITS, (count, 4))
    drawn = actions.draw(
      BERNOULLI,
      rows,
      jnp.broadcast_to(ELIGIBLE, (count, 4)),
      keys,
      temperature=temperature,
      scale=scale,
    )
    got = np.mean(np.asarray(drawn) >= 0, axis=0)
    p = 1 / (1 + np.exp(-np.asarray(LOGITS[0]) / temperature))
    want = np.minimum(scale * p, 1.0) * np.array([1, 1, 1, 0])
    sigma = np.sqrt(want * (1 - want) / count)
    self.assertTrue((np.abs(got - want) <= 4.5 * sigma + 1e-9).all())


class DplsTest(KeysTest, parameterized.TestCase):
  @parameterized.parameters(
    ((0,), -1.345442),
    ((0, 2), -1.158704),
    ((2, 0), -2.224419),
    ((0, 1, 2), -2.819519),
    ((0, 2, 1), -2.158704),
  )
  def test_log_prob_of_an_ordered_draw(self, order, want):
    self.assertAlmostEqual(log_prob(DPLS, *order), want, places=5)

  def test_set_probabilities(self):
    want = {
      (0,): 0.260425,
      (1,): 0.003897,
      (2,): 0.020017,
      (0, 1): 0.047040,
      (0, 2): 0.422023,
      (1, 2): 0.001644,
      (0, 1, 2): 0.244955,
    }
    got = {
      s: sum(np.exp(log_prob(DPLS, *o)) for o in itertools.permutations(s))
      for s in want
    }
    for s, probability in want.items():
      self.assertAlmostEqual(got[s], probability, places=5)
    self.assertAlmostEqual(sum(got.values()), 1.0, places=6)

  def test_nothing_eligible_has_likelihood_1(self):
    got = actions.log_prob(DPLS, LOGITS, places(), jnp.zeros((1, 4), bool))
    np.testing.assert_array_equal(got, [0.0])

  def test_draws_follow_the_likelihood(self):
    count = 60_000
    keys = jax.random.split(jax.random.key(2), count)
    drawn = actions.draw(
      DPLS,
      jnp.broadcast_to(LOGITS, (count, 4)),
      jnp.broadcast_to(ELIGIBLE, (count, 4)),
      keys,
    )
    rows, counts = np.unique(np.asarray(drawn), axis=0, return_counts=True)
    seen = dict(zip(map(tuple, rows.tolist()), counts, strict=True))
    orders = itertools.chain.from_iterable(
      itertools.permutations(range(3), n) for n in (1, 2, 3)
    )
    expected = {
      tuple(np.asarray(places(*o))[0].tolist()): count
      * np.exp(log_prob(DPLS, *o))
      for o in orders
    }
    self.assertLessEqual(set(seen), set(expected))
    chi2 = sum(
      (seen.get(o, 0) - want) ** 2 / want for o, want in expected.items()
    )
    # 15 orders: the 0.9999 quantile of chi-square with 14 degrees.
    self.assertLen(expected, 15)
    self.assertLess(chi2, 42.6)

  def test_a_low_stop_takes_all_and_a_high_one_a_single_one(self):
    keys = jax.random.split(jax.random.key(3), 1)
    low = actions.ActionConfig(kind='dpls', stop=-1e6)
    got = np.asarray(actions.draw(low, LOGITS, ELIGIBLE, keys))
    self.assertEqual(sorted(got[0].tolist()), [-1, 0, 1, 2])
    keys = jax.random.split(jax.random.key(3), 1)
    high = actions.ActionConfig(kind='dpls', stop=1e6)
    got = np.asarray(actions.draw(high, LOGITS, ELIGIBLE, keys))
    self.assertEqual((got >= 0).sum(), 1)


class ConfigTest(absltest.TestCase):
  def test_refuses_an_unknown_kind(self):
    with self.assertRaisesRegex(ValueError, 'action.kind must be one of'):
      actions.ActionConfig(kind='gaussian')


if __name__ == '__main__':
  absltest.main()
