"""Distributions over sets against known figures (section 12.2, 12.3)."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.policy import actions

BERNOULLI = actions.ActionConfig()
DPLS = actions.ActionConfig(kind='dpls')
LOGITS = np.array([[2.0, -1.0, 0.5, 3.0]], np.float32)
ELIGIBLE = np.array([[True, True, True, False]])


def places(*order):
  """[1, 4] places of an ordered draw; Bernoulli reads it as a set."""
  out = np.full((1, 4), -1)
  out[0, list(order)] = np.arange(len(order))
  return out


def all_sets():
  return itertools.chain.from_iterable(
    itertools.combinations(range(3), size) for size in range(4)
  )


compiled = jax.jit(actions.log_prob, static_argnums=0)
drawn = jax.jit(actions.draw, static_argnums=0, static_argnames='fallback')


def log_prob(config, *order, temperature=1.0):
  got = compiled(config, LOGITS, places(*order), ELIGIBLE, temperature)
  return float(got[0])


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
    total = sum(np.exp(log_prob(BERNOULLI, *s)) for s in all_sets())
    self.assertAlmostEqual(total, 1.0, places=6)

  def test_gradient_is_action_less_probability(self):
    def total(logits):
      return compiled(BERNOULLI, logits, places(0, 2), ELIGIBLE).sum()

    want = [[0.119203, -0.268941, 0.377541, 0.0]]
    np.testing.assert_allclose(
      jax.jit(jax.grad(total))(LOGITS), want, atol=1e-6
    )

  def test_extreme_logits_keep_finite_gradients(self):
    def total(logits):
      return compiled(BERNOULLI, logits, places(1), ELIGIBLE).sum()

    value, grad = jax.jit(jax.value_and_grad(total))(
      np.float32([[200.0, -200.0, 0, 0]])
    )
    self.assertAlmostEqual(float(value), -400.0 - np.log(2.0), places=3)
    np.testing.assert_allclose(grad, [[-1.0, 1.0, -0.5, 0.0]], atol=1e-6)

  def test_entropy(self):
    got = jax.jit(actions.entropy)(LOGITS, ELIGIBLE)
    np.testing.assert_allclose(got, [0.536795], atol=1e-6)

  def test_falls_back_on_the_largest_eligible_logit(self):
    low = LOGITS - 1000.0
    keys = jax.random.split(jax.random.key(0), 1)
    got = drawn(BERNOULLI, low, ELIGIBLE, keys, fallback=True)
    np.testing.assert_array_equal(got, [[0, -1, -1, -1]])
    keys = jax.random.split(jax.random.key(0), 1)
    got = drawn(BERNOULLI, low, ELIGIBLE, keys)
    np.testing.assert_array_equal(got, [[-1, -1, -1, -1]])

  @parameterized.parameters((1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (1.0, 1.3))
  def test_draws_follow_the_scaled_probabilities(self, temperature, scale):
    count = 40_000
    keys = jax.random.split(jax.random.key(1), count)
    rows = np.broadcast_to(LOGITS, (count, 4))
    got = drawn(
      BERNOULLI,
      rows,
      np.broadcast_to(ELIGIBLE, (count, 4)),
      keys,
      temperature=temperature,
      scale=scale,
    )
    got = np.mean(np.asarray(got) >= 0, axis=0)
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

  def test_a_set_has_the_probability_of_all_its_orders(self):
    # An expert says which positions it writes, and no order (7.1).
    @jax.jit
    @jax.value_and_grad
    def summed(logits, orders, count):
      rows, may = (
        jnp.broadcast_to(x, orders.shape) for x in (logits, ELIGIBLE)
      )
      each = actions.log_prob(DPLS, rows, orders, may)
      return jax.nn.logsumexp(jnp.where(jnp.arange(6) < count, each, -jnp.inf))

    def of(rows):
      return summed(LOGITS, np.resize(rows, (6, 4)), len(rows))

    total = 0.0
    for taken in all_sets():
      orders = np.concatenate(
        [places(*o) for o in itertools.permutations(taken)]
      )
      want, got = of(orders), of(np.minimum(places(*taken), 0))
      np.testing.assert_allclose(got[0], want[0], atol=1e-5)
      np.testing.assert_allclose(got[1], want[1], atol=1e-5)
      total += np.exp(float(got[0]))
    self.assertAlmostEqual(total, 1.0, places=5)

  @parameterized.parameters((8, 3), (8, 8), (64, 20), (200, 200))
  def test_sets_of_equals_by_counting(self, length, size):
    # All logits 0: 1 / n, then 1 / (left + STOP) for each further item and for
    # STOP, and every one of size! orders alike. Far from 0 they lead or wait.
    for logit, stop in ((0.0, 0.0), (6.0, 6.0), (-9.0, -9.0)):
      config = actions.ActionConfig(kind='dpls', stop=stop)
      place = np.where(np.arange(length) < size, 0, -1)[None]
      got = compiled(
        config,
        np.full((1, length), logit, np.float32),
        place,
        np.ones((1, length), bool),
      )
      left = np.arange(length - 1, length - size, -1)
      want = -np.log(length) - np.log(left + 1.0).sum()
      want += math.lgamma(size + 1) - np.log(length - size + 1)
      np.testing.assert_allclose(got, [want], rtol=1e-5, atol=1e-4)

  def test_sets_of_unlike_logits_by_counting(self):
    # One certain item and one that next to never comes.
    logits = np.array([[12.0, -12.0, 0.0]], np.float32)
    everything = np.ones((1, 3), bool)
    for taken in ((0, 1), (0, 2), (0, 1, 2)):
      w = np.exp(np.float64([12, -12, 0]))
      want = 0.0
      for order in itertools.permutations(taken):
        p, left = w[order[0]] / w.sum(), w.sum() + 1 - w[order[0]]
        for item in order[1:]:
          p, left = p * w[item] / left, left - w[item]
        want += p / left
      place = np.where(np.isin(np.arange(3), taken), 0, -1)[None]
      got = compiled(DPLS, logits, place, everything)
      np.testing.assert_allclose(got, [np.log(want)], atol=1e-5)

  def test_nothing_eligible_has_likelihood_1(self):
    got = compiled(DPLS, LOGITS, places(), np.zeros((1, 4), bool))
    np.testing.assert_array_equal(got, [0.0])

  def test_draws_follow_the_likelihood(self):
    count = 60_000
    keys = jax.random.split(jax.random.key(2), count)
    got = drawn(
      DPLS,
      np.broadcast_to(LOGITS, (count, 4)),
      np.broadcast_to(ELIGIBLE, (count, 4)),
      keys,
    )
    rows, counts = np.unique(np.asarray(got), axis=0, return_counts=True)
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
    got = np.asarray(drawn(low, LOGITS, ELIGIBLE, keys))
    self.assertEqual(sorted(got[0].tolist()), [-1, 0, 1, 2])
    keys = jax.random.split(jax.random.key(3), 1)
    high = actions.ActionConfig(kind='dpls', stop=1e6)
    got = np.asarray(drawn(high, LOGITS, ELIGIBLE, keys))
    self.assertEqual((got >= 0).sum(), 1)


class ConfigTest(absltest.TestCase):
  def test_refuses_an_unknown_kind(self):
    with self.assertRaisesRegex(ValueError, 'action.kind must be one of'):
      actions.ActionConfig(kind='gaussian')


if __name__ == '__main__':
  absltest.main()
