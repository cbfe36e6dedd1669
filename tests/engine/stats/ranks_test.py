"""Ranks, correlations and kappa, against definitions, peers and copies."""

import fractions
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from engine.stats import auroc, ranks

# World, scikit-learn 1.9.1 roc_auc_score, cohen_kappa_score, scipy 1.17.1
# spearmanr.
PEERS = (
  ((0, 60, 0), 0.8761574074074074, 0.607129865405602, 0.7616697494433462),
  ((1, 300, 0), 0.8801880141010576, 0.6003938147912202, 0.5730700920669607),
  ((2, 200, 20), 0.8565365025466892, 0.6176403875441496, 0.58096856175295),
  ((3, 500, 10), 0.8604845654478007, 0.6042175406647077, 0.48488368569453677),
  ((4, 40, 5), 0.8308080808080809, 0.5869737887212073, 0.7685355034419455),
)


def world(seed, size, samples=0):
  """Overconfident answers in float64; frequencies k/M if there are samples."""
  rng = np.random.default_rng(seed)
  p = rng.random(size)
  conf = np.round(p * samples) / samples if samples else p
  return conf, (rng.random(size) < p**1.5).astype(int)


def kappa_of_thirds(a, b, weights=None):
  return ranks.kappa(np.round(a * 3), b, weights)


FUNCTIONS = {'spearman': ranks.spearman, 'kappa': kappa_of_thirds}


class MidranksTest(parameterized.TestCase):
  def test_equals_share_the_middle_of_their_ranks(self):
    found = ranks.midranks(np.array([[3, 1, 3, 2, 3], [7, 7, 7, 7, 7]]))
    np.testing.assert_array_equal(found, [[4, 1, 4, 2, 4], [3] * 5])

  def test_both_libraries_rank_alike(self):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, (3, 9)).astype(np.float32)
    weights = rng.integers(0, 3, (3, 9)).astype(np.float32)
    want = ranks.midranks(values, weights)
    found = jax.jit(ranks.midranks)(values, weights)
    np.testing.assert_array_equal(found, want)

  def test_runs_of_two_keys(self):
    first = np.array([1, 0, 1, 1, 0])
    second = np.array([5, 6, 5, 4, 6])
    at = ranks.runs(first, second)
    np.testing.assert_array_equal(first[at.order], [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(second[at.order], [6, 6, 4, 5, 5])
    np.testing.assert_array_equal(at.first, [0, 0, 2, 3, 3])
    np.testing.assert_array_equal(at.end, [2, 2, 3, 5, 5])

  def test_more_samples_than_float32_counts_are_refused(self):
    many = jax.ShapeDtypeStruct((2**24 + 1,), jnp.float32)
    with self.assertRaisesRegex(ValueError, 'exact up to 16,777,216 samples'):
      jax.eval_shape(ranks.midranks, many)
    with self.assertRaisesRegex(ValueError, 'give NumPy arrays'):
      jax.eval_shape(auroc.auroc, many, many)


class PearsonTest(absltest.TestCase):
  def test_is_that_of_numpy_in_both_libraries(self):
    a, b = np.random.default_rng(0).standard_normal((2, 3, 8))
    want = [np.corrcoef(*two)[0, 1] for two in zip(a, b, strict=True)]
    found = ranks.pearson(a, b, np.ones(a.shape))
    np.testing.assert_allclose(found, want, rtol=1e-13)
    found = jax.jit(ranks.pearson)(a, b, np.ones(a.shape))
    np.testing.assert_allclose(found, want, rtol=1e-5)


class AgreementTest(parameterized.TestCase):
  @parameterized.parameters(*PEERS)
  def test_peers_agree(self, of, area, kappa, spearman):
    conf, right = world(*of)
    self.assertAlmostEqual(auroc.auroc(conf, right), area, places=14)
    found = auroc.auroc(jnp.asarray(conf, jnp.float32), jnp.asarray(right))
    self.assertAlmostEqual(float(found), area, places=6)
    rng = np.random.default_rng(of[0] + 100)
    one = (conf * 4).astype(int)
    other = np.where(rng.random(of[1]) < 0.6, one, rng.integers(0, 5, of[1]))
    self.assertAlmostEqual(float(ranks.kappa(one, other)), kappa, places=14)
    found = ranks.spearman(conf, other)
    self.assertAlmostEqual(float(found), spearman, places=14)

  def test_by_hand(self):
    # 20 both yes, 15 both no, 5 and 10 apart: 0.7 observed, 0.5 by chance.
    a = np.array([1] * 25 + [0] * 25)
    b = np.array([1] * 20 + [0] * 5 + [1] * 10 + [0] * 15)
    self.assertEqual(float(ranks.kappa(a, b)), 0.4)
    self.assertEqual(float(ranks.kappa(a, a)), 1)
    # Ranks 0, 1, 2, 3.5, 3.5 and 1.5, 0, 1.5, 3, 4 about their mean, 2.
    x, y = np.array([1.0, 2, 3, 4, 4]), np.array([2.0, 1, 2, 5, 7])
    a, b = np.array([0, 1, 2, 3.5, 3.5]) - 2, np.array([1.5, 0, 1.5, 3, 4]) - 2
    want = a @ b / np.sqrt((a @ a) * (b @ b))
    self.assertAlmostEqual(float(ranks.spearman(x, y)), want, places=14)
    self.assertAlmostEqual(float(ranks.spearman(x, -(x**3))), -1, places=14)

  def test_kappa_counts_in_whole_numbers(self):
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 3, (2, 40))
    times = rng.integers(0, 10**7, 40)
    total = int(times.sum())
    agreed = fractions.Fraction(int(times[a == b].sum()), total)
    chance = sum(
      fractions.Fraction(int(times[a == c].sum() * times[b == c].sum()))
      for c in range(3)
    ) / (total * total)
    want = (agreed - chance) / (1 - chance)
    self.assertAlmostEqual(
      float(ranks.kappa(a, b, times)), float(want), places=15
    )

  def test_neighbours_in_float64_are_not_equals(self):
    rising = 1 + np.arange(5) * 1e-9
    self.assertAlmostEqual(
      float(ranks.spearman(rising, np.arange(5))), 1.0, places=14
    )
    self.assertEqual(auroc.auroc(rising, np.array([0, 0, 1, 1, 1])), 1.0)
    big = 2**24 + np.array([0, 1, 1, 0])
    self.assertEqual(float(ranks.kappa(big, big[::-1].copy())), 1.0)
    self.assertEqual(
      float(ranks.kappa(big, 2**24 + np.array([1, 0, 0, 1]))), -1
    )

  @parameterized.named_parameters(*FUNCTIONS.items())
  def test_batched_and_padded_is_one_by_one(self, function):
    rng = np.random.default_rng(0)
    score = np.round(rng.random((2, 3, 13)), 1)
    right = rng.integers(0, 2, (2, 3, 13))
    mask = rng.random((2, 3, 13)).argsort(axis=-1) < 9
    found = function(np.where(mask, score, np.nan), right, mask)
    self.assertEqual(found.shape, (2, 3))
    for at in itertools.product(range(2), range(3)):
      want = function(score[at][mask[at]], right[at][mask[at]])
      self.assertAlmostEqual(float(found[at]), float(want), places=13)

  @parameterized.named_parameters(*FUNCTIONS.items())
  def test_weights_are_copies(self, function):
    score, right = world(5, 60, 10)
    times = np.random.default_rng(1).integers(0, 40, 60)
    copied = function(np.repeat(score, times), np.repeat(right, times))
    for weights in (times, times * 1.0):
      found = function(score, right, weights)
      self.assertAlmostEqual(float(found), float(copied), places=13)

  @parameterized.named_parameters(*FUNCTIONS.items())
  def test_undefined_is_nan(self, function):
    same, rising = np.ones(4), np.arange(4.0)
    self.assertTrue(np.isnan(function(same, np.full(4, 3))))
    self.assertTrue(np.isnan(function(np.zeros(0), np.zeros(0))))
    self.assertTrue(np.isnan(function(rising, rising, np.zeros(4))))
    # A NaN that counts; then one that does not.
    broken = np.array([np.nan, 0, 1 / 3, 2 / 3])
    self.assertTrue(np.isnan(function(broken, rising)))
    self.assertTrue(np.isnan(function(rising, broken)))
    counted = np.array([False, True, True, True])
    self.assertFalse(np.isnan(function(broken, rising, counted)))

  def test_one_column_that_does_not_vary(self):
    # Spearman is undefined; two judges of whom one never wavers agree as often
    # as chance would have it.
    same, rising = np.ones(4), np.arange(4)
    self.assertTrue(np.isnan(ranks.spearman(same, rising)))
    self.assertEqual(float(ranks.kappa(same, rising)), 0.0)


if __name__ == '__main__':
  absltest.main()
