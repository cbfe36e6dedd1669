"""Closed forms of length against strings, cases against all pairs."""

import fractions
import itertools

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration.correctness import lexical
from calibration.length_bias import controlled, theory


def f32(x):
  return jnp.asarray(x, jnp.float32)


class ClosedFormTest(parameterized.TestCase):
  @parameterized.parameters((0.5, 3), (0.3, 5), (0.1, 19), (1.0, 1))
  def test_one_word_references_of_the_spec(self, threshold, longest):
    self.assertEqual(theory.longest_passing(1, threshold), longest)

  def test_equals_rouge_on_sentences(self):
    for m, words in itertools.product((1, 2, 3), range(3, 26)):
      reference = ' '.join(f'gold{i}' for i in range(m))
      answer = ' '.join(['oak'] * (words - m) + [reference])
      value = lexical.rougel_f1(answer, reference)
      for threshold in (0.1, 0.15, 0.3, 0.45, 0.5, 0.7, 1.0):
        if fractions.Fraction(2 * m, words + m) == fractions.Fraction(
          str(threshold)
        ):
          continue  # there the float's rounding decides
        with self.subTest(f'{m=} {words=} {threshold=}'):
          for rule in ('>', '>='):
            longest = theory.longest_passing(m, threshold, rule=rule)
            self.assertEqual(words <= longest, value > threshold)

  def test_equals_pass_by_the_rule(self):
    # m = 2, t = 1/2: F1 of 6 words is 4 / 8.
    self.assertEqual(theory.longest_passing(2, 0.5, rule='>='), 6)
    self.assertEqual(theory.longest_passing(2, 0.5, rule='>'), 5)
    # No float of 1/10 is in the way: 19 words have F1 2 / 20.
    self.assertEqual(theory.longest_passing(1, 0.1, rule='>'), 18)
    self.assertEqual(theory.longest_passing(2, 1.0, rule='>'), 1)

  def test_nonsense_is_refused(self):
    for args in ((0, 0.5), (1, 0.0), (1, 1.1)):
      with self.assertRaisesRegex(ValueError, 'must be positive and thresh'):
        theory.longest_passing(*args)
    with self.assertRaisesRegex(ValueError, "rule must be '>' or '>='"):
      theory.longest_passing(1, 0.5, rule='<')


class Case1Test(parameterized.TestCase):
  @parameterized.parameters((0.8, 0.71), (0.6, 0.57), (0.5, 0.5))
  def test_numbers_of_the_spec_both_ways(self, true, observed):
    self.assertAlmostEqual(theory.observed_auroc(true, 0.9, 0.8), observed)
    self.assertAlmostEqual(theory.true_auroc(observed, 0.9, 0.8), true)

  def test_perfect_labels_change_nothing_and_reversed_ones_turn(self):
    for area in (0.0, 0.3, 1.0):
      self.assertEqual(theory.observed_auroc(area, 1.0, 1.0), area)
      self.assertAlmostEqual(theory.observed_auroc(area, 0.0, 0.0), 1 - area)
      self.assertAlmostEqual(theory.observed_auroc(area, 0.4, 0.6), 0.5)

  def test_labels_that_know_nothing_have_no_way_back(self):
    with self.assertRaisesRegex(ValueError, r't1 \+ t0 must not be 1'):
      theory.true_auroc(0.7, 0.4, 0.6)
    with self.assertRaisesRegex(ValueError, r't0 must lie in \[0, 1\]'):
      theory.observed_auroc(0.7, 0.4, 1.6)

  def test_predictive_values_are_shares_of_what_is_said(self):
    accepted = jnp.array([1, 1, 1, 0, 0, 1])
    truth = jnp.array([1, 1, 0, 0, 1, 0])
    weights = jnp.array([1, 1, 1, 1, 1, 0])
    np.testing.assert_allclose(
      theory.predictive_values(accepted, truth), [2 / 4, 1 / 2]
    )
    np.testing.assert_allclose(
      theory.predictive_values(accepted, truth, weights), [2 / 3, 1 / 2]
    )


def answers(seed, n=400):
  """Uncertainties that know something and lengths; errors by length."""
  rng = np.random.default_rng(seed)
  truth = rng.integers(0, 2, n)
  words = rng.integers(3, 12, n)
  u = rng.integers(0, 9, n) - 2 * truth + 1.5 * words
  p = np.where(truth == 1, np.where(words < 6, 0.95, 0.05), 0.05)
  accepted = (rng.random(n) < p).astype(int)
  return u, accepted, truth, words


class Case2Test(absltest.TestCase):
  def test_rates_are_shares_of_each_cell(self):
    _, accepted, truth, words = answers(0)
    strata = controlled.strata(words)
    rates = theory.acceptance_rates(
      jnp.asarray(accepted), jnp.asarray(truth), jnp.asarray(strata)
    )
    for i in range(9):
      cell = (truth == truth[i]) & (words == words[i])
      self.assertAlmostEqual(float(rates[i]), accepted[cell].mean(), places=6)

  def test_prediction_is_the_sum_over_all_pairs(self):
    rng = np.random.default_rng(1)
    u, a = rng.integers(0, 5, 30).astype(float), rng.random(30)
    pairs = a[:, None] * (1 - a)
    won = (u[:, None] < u) + 0.5 * (u[:, None] == u)
    self.assertAlmostEqual(
      float(theory.predicted_auroc(f32(u), f32(a))),
      np.sum(won * pairs) / pairs.sum(),
      places=5,
    )

  def test_with_one_stratum_it_is_case_1(self):
    u, accepted, truth, _ = answers(2)
    args = jnp.asarray(accepted), jnp.asarray(truth)
    found = theory.bias(f32(u), *args, jnp.zeros(len(u), jnp.int32))
    t1, t0 = map(float, theory.predictive_values(*args))
    want = theory.observed_auroc(float(found.true), t1, t0)
    self.assertAlmostEqual(float(found.case1), want, places=5)
    self.assertEqual(float(found.case2), float(found.case1))

  def test_lengths_explain_a_bias_that_case_1_has_with_the_wrong_sign(self):
    found = []
    for seed in range(8):
      u, accepted, truth, words = answers(seed, 3000)
      strata = jnp.asarray(controlled.strata(words))
      found.append(
        theory.bias(f32(u), jnp.asarray(accepted), jnp.asarray(truth), strata)
      )
    true, observed, case1, case2 = np.mean(found, 0)
    self.assertGreater(observed, true + 0.03)
    self.assertLess(case1, true)
    self.assertAlmostEqual(case2, observed, delta=0.005)


if __name__ == '__main__':
  absltest.main()
