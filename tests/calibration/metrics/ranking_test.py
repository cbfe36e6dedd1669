"""Areas and ranks against all orders, hand counts and copies."""

import itertools

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration.metrics import ranking
from engine.stats import auroc
from tests.calibration.metrics import binned_test

arrays, world = binned_test.arrays, binned_test.world

# World, scikit-learn 1.9.1 roc_auc_score, cohen_kappa_score, scipy 1.17.1
# spearmanr.
PEERS = (
  ((0, 60, 0), 0.8761574074074074, 0.607129865405602, 0.7616697494433462),
  ((1, 300, 0), 0.8801880141010576, 0.6003938147912202, 0.5730700920669607),
  ((2, 200, 20), 0.8565365025466892, 0.6176403875441496, 0.58096856175295),
  ((3, 500, 10), 0.8604845654478007, 0.6042175406647077, 0.48488368569453677),
  ((4, 40, 5), 0.8308080808080809, 0.5869737887212073, 0.7685355034419455),
)


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
  'aurc': ranking.aurc,
  'prr': ranking.prr,
  'spearman': ranking.spearman,
  'kappa': lambda a, b, w=None: ranking.kappa(
    jnp.round(a * 3).astype(jnp.int32), b, w
  ),
}


class RankingTest(parameterized.TestCase):
  @parameterized.parameters(
    ([3, 2, 1, 0], [1, 0, 1, 0]),
    ([2, 2, 1, 1, 1], [1, 0, 1, 0, 0]),
    ([1, 1, 1, 1], [1, 0, 0, 0]),
    ([0, 3, 0, 3, 3, 1], [0, 1, 1, 0, 1, 0]),
    ([0, 3, 0, 3, 3, 1], [0.2, 0.9, 1, 0, 0.5, 0.4]),
  )
  def test_area_is_the_mean_over_all_orders(self, scores, quality):
    found = ranking.aurc(jnp.asarray(scores, jnp.float32), jnp.array(quality))
    self.assertAlmostEqual(
      float(found), 1 - over_orders(scores, quality), places=6
    )

  def test_ratio_of_rejection_by_hand(self):
    # Kept 1..4 of 1, 0, 1, 0: 1, 1/2, 2/3, 1/2; best 1, 1, 2/3, 1/2.
    found = ranking.prr(
      jnp.array([4.0, 3.0, 2.0, 1.0]), jnp.array([1, 0, 1, 0])
    )
    want = ((1 + 1 / 2 + 2 / 3 + 1 / 2) / 4 - 1 / 2) / (
      (1 + 1 + 2 / 3 + 1 / 2) / 4 - 1 / 2
    )
    self.assertAlmostEqual(float(found), want, places=6)

  def test_best_order_is_one_and_no_order_is_nothing(self):
    right = jnp.array([1, 0, 0, 1, 1, 0, 1])
    self.assertAlmostEqual(float(ranking.prr(right * 2.0, right)), 1, places=6)
    self.assertAlmostEqual(
      float(ranking.prr(jnp.ones(7), right)), 0.0, places=6
    )
    self.assertLess(float(ranking.prr(-1.0 * right, right)), -0.5)

  def test_only_the_order_matters(self):
    conf, right = arrays(*world(0, 80, 20))
    for function in (ranking.prr, ranking.aurc):
      want = float(function(conf, right))
      found = float(function(jnp.exp(5 * conf) - 100, right))
      self.assertAlmostEqual(found, want, places=6)

  def test_large_areas_keep_to_float64(self):
    rng = np.random.default_rng(0)
    right = rng.random(50_000) < 0.6
    score = rng.standard_normal(50_000).astype(np.float32) + right
    order = np.argsort(-score, kind='stable')
    want = np.mean(np.cumsum(right[order]) / np.arange(1, 50_001))
    found = ranking.aurc(jnp.asarray(score), jnp.asarray(right))
    self.assertAlmostEqual(float(found), 1 - want, delta=2e-6)

  def test_curve_of_risk_by_hand(self):
    coverage, risk = ranking.risk_coverage(
      jnp.array([0.1, 0.9, 0.5, 0.5]), jnp.array([0, 1, 1, 0])
    )
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1.0])
    # Of the two equals, half is right: 0.5 of 2, then 1 of 3, then 2 of 4.
    np.testing.assert_allclose(risk, [0, 0.25, 1 / 3, 0.5], atol=1e-6)

  def test_padding_repeats_points_of_the_curve(self):
    coverage, risk = ranking.risk_coverage(
      jnp.array([0.1, jnp.nan, 0.9]),
      jnp.array([0, 1, 1]),
      jnp.array([True, False, True]),
    )
    kept = {tuple(map(float, p)) for p in zip(coverage, risk, strict=True)}
    self.assertEqual(kept - {(0.0, 0.0)}, {(0.5, 0.0), (1.0, 0.5)})

  @parameterized.parameters(*PEERS)
  def test_peers_agree(self, of, area, kappa, spearman):
    conf, right = world(*of)
    found = auroc.auroc(*arrays(conf, right))
    self.assertAlmostEqual(float(found), area, places=6)
    rng = np.random.default_rng(of[0] + 100)
    one = (conf * 4).astype(int)
    other = np.where(rng.random(of[1]) < 0.6, one, rng.integers(0, 5, of[1]))
    found = ranking.kappa(jnp.asarray(one), jnp.asarray(other))
    self.assertAlmostEqual(float(found), kappa, places=6)
    found = ranking.spearman(*arrays(conf, other))
    self.assertAlmostEqual(float(found), spearman, places=6)

  def test_agreement_by_hand(self):
    # 20 both yes, 15 both no, 5 and 10 apart: 0.7 observed, 0.5 by chance.
    a = jnp.array([1] * 25 + [0] * 25)
    b = jnp.array([1] * 20 + [0] * 5 + [1] * 10 + [0] * 15)
    self.assertAlmostEqual(float(ranking.kappa(a, b)), 0.4, places=6)
    self.assertEqual(float(ranking.kappa(a, a)), 1)

  @parameterized.named_parameters(*FUNCTIONS.items())
  def test_batched_and_padded_is_one_by_one(self, function):
    rng = np.random.default_rng(0)
    score = np.round(rng.random((2, 3, 13)), 1).astype(np.float32)
    right = rng.integers(0, 2, (2, 3, 13))
    mask = rng.random((2, 3, 13)).argsort(axis=-1) < 9
    shown = np.where(mask, score, np.nan)
    found = function(jnp.asarray(shown), jnp.asarray(right), jnp.asarray(mask))
    self.assertEqual(found.shape, (2, 3))
    for at in itertools.product(range(2), range(3)):
      want = function(
        jnp.asarray(score[at][mask[at]]), jnp.asarray(right[at][mask[at]])
      )
      self.assertAlmostEqual(float(found[at]), float(want), places=5)

  @parameterized.named_parameters(*FUNCTIONS.items())
  def test_weights_are_copies(self, function):
    score, right = world(5, 60, 10)
    times = np.random.default_rng(1).integers(0, 40, 60)
    found = function(*arrays(score, right), jnp.asarray(times, jnp.float32))
    copied = arrays(np.repeat(score, times), np.repeat(right, times))
    self.assertAlmostEqual(float(found), float(function(*copied)), places=5)

  @parameterized.named_parameters(
    (name, FUNCTIONS[name]) for name in ('prr', 'spearman', 'kappa')
  )
  def test_nothing_to_tell_apart_is_nan(self, function):
    same = jnp.ones(5)
    self.assertTrue(np.isnan(function(same, jnp.full(5, 3))))


class CheckTest(parameterized.TestCase):
  def test_both_classes_with_scores_pass(self):
    ranking.check('capitals', [0.1, 0.2], [0, 1])

  @parameterized.parameters(
    ([0.1, 0.2], [1, 1], 'labels of both classes are needed, got 2 of class 1'),
    ([0.1, 0.2, 0.3], [0, 1], r'one shape, got \(3,\) and \(2,\)'),
    ([0.1, np.nan], [0, 1], 'needs a score, 1 of 2 are NaN'),
  )
  def test_others_are_refused_by_name(self, scores, labels, message):
    with self.assertRaisesRegex(ValueError, f"task 'capitals'.*{message}"):
      ranking.check('capitals', scores, labels)


if __name__ == '__main__':
  absltest.main()
