"""AUROC within lengths against all pairs, and ranks without length's."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration.length_bias import controlled
from engine.stats import auroc


def f32(x):
  return jnp.asarray(x, jnp.float32)


def answers(seed, n=400):
  """Uncertainties that grow with length, and labels that short ones get."""
  rng = np.random.default_rng(seed)
  words = rng.integers(3, 12, n)
  truth = rng.integers(0, 2, n)
  u = rng.integers(0, 9, n) - 2 * truth + 1.5 * words
  accepted = truth * (rng.random(n) < np.where(words < 6, 0.95, 0.1))
  return u, accepted, words


def by_pairs(scores, labels, strata, weights):
  won = counted = total = 0.0
  for i, j in itertools.product(range(len(scores)), repeat=2):
    if labels[i] == 1 and labels[j] == 0:
      pair = weights[i] * weights[j]
      total += pair
      if strata[i] == strata[j]:
        counted += pair
        won += pair * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
  return won / counted, counted / total


class StratifiedTest(parameterized.TestCase):
  @parameterized.parameters(1, 4, 100)
  def test_equals_all_pairs_within_in_batches_with_padding(self, levels):
    rng = np.random.default_rng(levels)
    scores = rng.integers(0, levels, (2, 30)).astype(float)
    labels, strata = rng.integers(0, 2, 30), rng.integers(-2, 3, 30)
    weights = rng.integers(0, 3, (2, 30)).astype(float)
    shown = np.where(weights > 0, scores, np.nan)
    got = controlled.stratified_auroc(
      f32(shown), jnp.asarray(labels), jnp.asarray(strata), f32(weights)
    )
    for row in range(2):
      area, share = by_pairs(scores[row], labels, strata, weights[row])
      self.assertAlmostEqual(float(got.area[row]), area, places=6)
      self.assertAlmostEqual(float(got.share[row]), share, places=6)

  def test_one_stratum_is_the_auroc_and_length_itself_a_half(self):
    u, accepted, words = answers(3)
    label = jnp.asarray(accepted)
    one = controlled.stratified_auroc(
      f32(u), label, jnp.zeros(len(u), jnp.int32)
    )
    self.assertAlmostEqual(
      float(one.area), float(auroc.auroc(f32(u), label)), places=6
    )
    self.assertAlmostEqual(float(one.share), 1, places=6)
    strata = jnp.asarray(controlled.strata(words))
    own = controlled.stratified_auroc(f32(-words), label, strata)
    self.assertAlmostEqual(float(own.area), 0.5, places=6)

  def test_any_monotone_change_within_lengths_is_nothing(self):
    u, accepted, words = answers(4)
    strata = jnp.asarray(controlled.strata(words))
    label = jnp.asarray(accepted)
    want = controlled.stratified_auroc(f32(u), label, strata)
    for changed in (u + 100 * words, np.exp(u / 9) * words):
      got = controlled.stratified_auroc(f32(changed), label, strata)
      self.assertEqual(float(got.area), float(want.area))

  def test_without_pairs_or_with_broken_scores_it_is_nan(self):
    labels, strata = jnp.array([1, 0, 1]), jnp.array([0, 1, 2])
    got = controlled.stratified_auroc(f32([1, 2, 3]), labels, strata)
    self.assertTrue(np.isnan(got.area))
    self.assertEqual(float(got.share), 0)
    broken = controlled.stratified_auroc(
      f32([1, np.nan, 3]), labels, jnp.zeros(3, jnp.int32)
    )
    self.assertTrue(np.isnan(broken.area))

  def test_strata_keep_equal_lengths_together(self):
    lengths = np.array([7, 3, 3, 3, 3, 9, 12, 40])
    np.testing.assert_array_equal(
      controlled.strata(lengths), [1, 0, 0, 0, 0, 2, 3, 4]
    )
    np.testing.assert_array_equal(
      controlled.strata(lengths, bins=2), [1, 0, 0, 0, 0, 1, 1, 1]
    )
    np.testing.assert_array_equal(
      controlled.strata(np.arange(9), bins=3), np.repeat([0, 1, 2], 3)
    )
    with self.assertRaisesRegex(ValueError, 'bins of 0 or more'):
      controlled.strata(lengths, bins=-1)

  def test_interval_covers_what_new_answers_give(self):
    def area(seed, n=300):
      u, accepted, words = answers(seed, n)
      strata = jnp.asarray(controlled.strata(words))
      return f32(-u), jnp.asarray(accepted), strata

    other = [
      float(controlled.stratified_auroc(*area(100 + s)).area) for s in range(40)
    ]
    args = area(5)
    mask = jnp.arange(400) < 300
    padded = [jnp.pad(x, (0, 100), constant_values=1) for x in args]
    with jax.debug_key_reuse(True):
      estimate, low, high = controlled.bootstrap_stratified(
        jax.random.key(0), *padded, mask, draws=500
      )
    want = controlled.stratified_auroc(*args).area
    self.assertAlmostEqual(float(estimate), float(want), places=6)
    width = float(high - low) / (2 * 1.96 * np.std(other))
    self.assertBetween(width, 0.75, 1.3)

  def test_padding_makes_no_interval_narrower(self):
    u, accepted, words = answers(8, 400)
    strata, mask = controlled.strata(words), np.arange(400) < 100

    def width(keep, mask):
      _, low, high = controlled.bootstrap_stratified(
        jax.random.key(1),
        f32(-u[keep]),
        jnp.asarray(accepted[keep]),
        jnp.asarray(strata[keep]),
        jnp.asarray(mask),
        draws=400,
      )
      return float(high - low)

    alone = width(mask, np.ones(100, bool))
    self.assertAlmostEqual(
      width(np.ones(400, bool), mask) / alone, 1.0, delta=0.12
    )

  def test_nonsense_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'draws must be positive'):
      controlled.bootstrap_stratified(
        jax.random.key(0), f32([1, 2]), jnp.arange(2), jnp.arange(2), draws=0
      )


class PartialTest(absltest.TestCase):
  def test_residuals_are_those_of_a_line_through_ranks(self):
    rng = np.random.default_rng(0)
    scores, lengths = rng.integers(0, 9, 25), rng.integers(3, 8, 25)

    def ranks(x):
      return np.array([np.sum(x < v) + np.sum(x == v) / 2 for v in x])

    slope, base = np.polyfit(ranks(lengths), ranks(scores), 1)
    want = ranks(scores) - base - slope * ranks(lengths)
    got = controlled.rank_residuals(f32(scores), jnp.asarray(lengths))
    np.testing.assert_allclose(got, want, atol=3e-4)

  def test_what_is_left_out_does_not_matter(self):
    rng = np.random.default_rng(1)
    scores, lengths = rng.integers(0, 9, 20) * 1.0, rng.integers(3, 8, 20)
    scores[[3, 9]] = np.inf  # as a perplexity may be
    labels, mask = rng.integers(0, 2, 20), np.arange(20) < 14
    want = controlled.partial_auroc(
      f32(scores[:14]), jnp.asarray(labels[:14]), jnp.asarray(lengths[:14])
    )
    shown = np.where(mask, scores, np.nan)
    residuals = controlled.rank_residuals(
      f32(shown), jnp.asarray(lengths), jnp.asarray(mask)
    )
    np.testing.assert_allclose(
      residuals[:14],
      controlled.rank_residuals(f32(scores[:14]), jnp.asarray(lengths[:14])),
      atol=3e-4,
    )
    got = controlled.partial_auroc(
      f32(shown),
      jnp.asarray(labels),
      jnp.asarray(np.where(mask, lengths, 99)),
      jnp.asarray(mask),
    )
    self.assertAlmostEqual(float(got), float(want), places=6)

  def test_length_and_what_grows_with_it_are_at_a_half(self):
    _, accepted, words = answers(6, 5000)
    for scores in (words, -words, words**3):
      got = controlled.partial_auroc(
        f32(scores), jnp.asarray(accepted), jnp.asarray(words)
      )
      self.assertAlmostEqual(float(got), 0.5, places=6)

  def test_equal_lengths_leave_the_auroc(self):
    u, accepted, _ = answers(7)
    got = controlled.partial_auroc(
      f32(u), jnp.asarray(accepted), jnp.full(len(u), 5)
    )
    want = auroc.auroc(f32(u), jnp.asarray(accepted))
    self.assertAlmostEqual(float(got), float(want), places=6)


if __name__ == '__main__':
  absltest.main()
