"""Risk by coverage and its areas, against all orders and hand counts."""

import itertools

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from engine.stats import rejection
from tests.engine.stats import ranks_test


def arrays(conf, correct):
  return jnp.asarray(conf, jnp.float32), jnp.asarray(correct)


def mean_kept(quality):
  """Mean over k of the mean of the first k, one by one."""
  return np.mean([np.mean(quality[:k]) for k in range(1, len(quality) + 1)])


def over_orders(scores, quality):
  """Of all orders that the scores allow, the mean."""
  return np.mean(
    [
      mean_kept([quality[i] for i in order])
      for order in itertools.permutations(range(len(scores)))
      if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
  )


FUNCTIONS = {
  'aurc': rejection.aurc,
  'prr': rejection.prr,
}


class RejectionTest(parameterized.TestCase):
  @parameterized.parameters(
    ([3, 2, 1, 0], [1, 0, 1, 0]),
    ([2, 2, 1, 1, 1], [1, 0, 1, 0, 0]),
    ([1, 1, 1, 1], [1, 0, 0, 0]),
    ([0, 3, 0, 3, 3, 1], [0, 1, 1, 0, 1, 0]),
    ([0, 3, 0, 3, 3, 1], [0.2, 0.9, 1, 0, 0.5, 0.4]),
  )
  def test_area_is_the_mean_over_all_orders(self, scores, quality):
    found = rejection.aurc(jnp.asarray(scores, jnp.float32), jnp.array(quality))
    self.assertAlmostEqual(
      float(found), 1 - over_orders(scores, quality), places=6
    )

  def test_ratio_of_rejection_by_hand(self):
    # Kept 1..4 of 1, 0, 1, 0: 1, 1/2, 2/3, 1/2; best 1, 1, 2/3, 1/2.
    found = rejection.prr(
      jnp.array([4.0, 3.0, 2.0, 1.0]), jnp.array([1, 0, 1, 0])
    )
    want = ((1 + 1 / 2 + 2 / 3 + 1 / 2) / 4 - 1 / 2) / (
      (1 + 1 + 2 / 3 + 1 / 2) / 4 - 1 / 2
    )
    self.assertAlmostEqual(float(found), want, places=6)

  def test_best_order_is_one_and_no_order_is_nothing(self):
    right = np.array([1, 0, 0, 1, 1, 0, 1])

    def prr(scores):
      return float(rejection.prr(*arrays(scores, right)))

    self.assertAlmostEqual(prr(right), 1, places=6)
    self.assertAlmostEqual(prr(np.ones(7)), 0.0, places=6)
    self.assertLess(prr(-right), -0.5)

  def test_only_the_order_matters(self):
    conf, right = arrays(*ranks_test.world(0, 80, 20))
    for function in (rejection.prr, rejection.aurc):
      want = float(function(conf, right))
      found = float(function(jnp.asarray(np.exp(5 * conf) - 100), right))
      self.assertAlmostEqual(found, want, places=6)

  def test_large_areas_keep_to_float64(self):
    rng = np.random.default_rng(0)
    right = rng.random(50_000) < 0.6
    score = rng.standard_normal(50_000).astype(np.float32) + right
    order = np.argsort(-score, kind='stable')
    want = np.mean(np.cumsum(right[order]) / np.arange(1, 50_001))
    found = rejection.aurc(jnp.asarray(score), jnp.asarray(right))
    self.assertAlmostEqual(float(found), 1 - want, delta=2e-6)

  def test_curve_of_risk_by_hand(self):
    coverage, risk = rejection.risk_coverage(
      jnp.array([0.1, 0.9, 0.5, 0.5]), jnp.array([0, 1, 1, 0])
    )
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1.0])
    # Of the two equals, half is right: 0.5 of 2, then 1 of 3, then 2 of 4.
    np.testing.assert_allclose(risk, [0, 0.25, 1 / 3, 0.5], atol=1e-6)

  def test_padding_repeats_points_of_the_curve(self):
    coverage, risk = rejection.risk_coverage(
      jnp.array([0.1, jnp.nan, 0.9]),
      jnp.array([0, 1, 1]),
      jnp.array([True, False, True]),
    )
    kept = {tuple(map(float, p)) for p in zip(coverage, risk, strict=True)}
    self.assertEqual(kept - {(0.0, 0.0)}, {(0.5, 0.0), (1.0, 0.5)})

  @parameterized.named_parameters(*FUNCTIONS.items())
  def test_batched_and_padded_is_one_by_one(self, function):
    rng = np.random.default_rng(0)
    score = np.round(rng.random((2, 3, 13)), 1).astype(np.float32)
    right = rng.integers(0, 2, (2, 3, 13))
    mask = rng.random((2, 3, 13)).argsort(axis=-1) < 9
    shown = np.where(mask, score, np.nan)
    found = np.asarray(
      function(jnp.asarray(shown), jnp.asarray(right), jnp.asarray(mask))
    )
    self.assertEqual(found.shape, (2, 3))
    for at in itertools.product(range(2), range(3)):
      want = function(
        jnp.asarray(score[at][mask[at]]), jnp.asarray(right[at][mask[at]])
      )
      self.assertAlmostEqual(float(found[at]), float(want), places=5)

  @parameterized.named_parameters(*FUNCTIONS.items())
  def test_weights_are_copies(self, function):
    score, right = ranks_test.world(5, 60, 10)
    times = np.random.default_rng(1).integers(0, 40, 60)
    found = function(*arrays(score, right), jnp.asarray(times, jnp.float32))
    copied = arrays(np.repeat(score, times), np.repeat(right, times))
    self.assertAlmostEqual(float(found), float(function(*copied)), places=5)

  def test_nothing_to_tell_apart_is_nan(self):
    self.assertTrue(np.isnan(rejection.prr(jnp.arange(4.0), jnp.full(4, 3))))
    # No answers, as well.
    for function in (rejection.prr, rejection.aurc):
      self.assertTrue(np.isnan(function(np.zeros(0), np.zeros(0))))

  def test_a_score_that_counts_and_is_nan_makes_the_area_nan(self):
    scores = jnp.array([0.1, jnp.nan, 0.9, 0.3])
    right = jnp.array([0, 1, 1, 0])
    self.assertTrue(np.isnan(rejection.prr(scores, right)))
    self.assertTrue(np.isnan(rejection.aurc(scores, right)))
    self.assertTrue(np.isnan(rejection.risk_coverage(scores, right)[1]).all())


class CheckTest(parameterized.TestCase):
  def test_both_classes_with_scores_pass(self):
    rejection.check('capitals', [0.1, 0.2], [0, 1])

  @parameterized.parameters(
    ([0.1, 0.2], [1, 1], 'labels of both classes are needed, got 2 of class 1'),
    ([0.1, 0.2, 0.3], [0, 1], r'one shape, got \(3,\) and \(2,\)'),
    ([0.1, np.nan], [0, 1], 'needs a score, 1 of 2 are NaN'),
  )
  def test_others_are_refused_by_name(self, scores, labels, message):
    with self.assertRaisesRegex(ValueError, f"task 'capitals'.*{message}"):
      rejection.check('capitals', scores, labels)


if __name__ == '__main__':
  absltest.main()
