"""Figures of merit against hand counts and brute force."""

import math

import numpy as np
from absl.testing import absltest, parameterized

from lacy import claims, measures


def tokens(**changes):
  """Eight tokens, three of them facts."""
  fields = dict(
    fact=np.array([1, 0, 0, 1, 0, 0, 1, 0], bool),
    loss=np.array([3.0, 1.0, 2.0, 5.0, 0.5, 0.1, 1.0, 4.0]),
    wrong=np.array([1, 0, 1, 1, 0, 0, 0, 1], bool),
    bad=np.array([1, 0, 0, 1, 0, 0, 0, 0], bool),
    score=np.array([0.9, 0.2, 0.3, 0.8, 0.1, 0.0, 0.4, 0.7]),
    log_call=np.log(np.array([0.5, 0.1, 0.3, 0.4, 0.2, 0.2, 0.3, 0.2])),
    argmax_call=np.array([1, 0, 0, 0, 0, 0, 0, 0], bool),
  )
  return measures.Tokens(**(fields | changes))


class TopShareTest(parameterized.TestCase):
  @parameterized.parameters((0.0, 0), (0.2, 2), (0.24, 2), (0.25, 3), (1.0, 10))
  def test_counts_round_half_up(self, beta, count):
    self.assertEqual(measures.top_share(np.arange(10.0), beta).sum(), count)

  def test_ties_go_to_the_earlier(self):
    got = measures.top_share(np.array([1.0, 2.0, 2.0, 2.0]), 0.5)
    np.testing.assert_array_equal(got, [False, True, True, False])


class TeacherForcedTest(absltest.TestCase):
  def test_hand_count(self):
    # Calls: the three highest scores, tokens 0, 3 (facts) and 7.
    got = measures.teacher_forced(tokens(), beta=3 / 8, oracle_error=0.1)
    want = {
      'fact_share_eval': 3 / 8,
      'call_rate': 3 / 8,
      'fact_error_cascade': (0.1 + 0.1 + 0.0) / 3,
      'fact_leakage': 1 / 3,
      'loss_fact': 3.0,
      'loss_nonfact': 7.6 / 5,
      'call_precision': 2 / 3,
      'call_recall': 2 / 3,
      'call_precision_wrong': 2 / 3,
      'call_recall_wrong': 1.0,
      'auroc_call_fact': 14 / 15,
      'log_mean_p_call_fact': math.log(0.4),
      'log_mean_p_call_nonfact': math.log(0.2),
      'argmax_call_rate': 1 / 8,
      'tokens_eval': 8,
    }
    for name, value in want.items():
      self.assertAlmostEqual(got[name], value, places=6, msg=name)

  def test_no_calls_leave_the_models_own_errors(self):
    got = measures.teacher_forced(tokens(), beta=0.0, oracle_error=0.0)
    self.assertAlmostEqual(got['fact_error_cascade'], 2 / 3)
    self.assertTrue(math.isnan(got['call_precision']))

  def test_without_facts_what_is_undefined_is_nan(self):
    none = tokens(fact=np.zeros(8, bool))
    got = measures.teacher_forced(none, beta=0.5, oracle_error=0.0)
    self.assertTrue(math.isnan(got['fact_error_cascade']))
    self.assertTrue(math.isnan(got['log_mean_p_call_fact']))

  def test_curve_runs_from_leakage_to_the_oracle(self):
    curve = measures.delegation_curve(
      tokens(), oracle_error=0.25, budgets=np.array([0.0, 1 / 8, 1.0])
    )
    np.testing.assert_allclose(
      curve['facts_right'], [1 / 3, (0.75 + 0 + 1) / 3, 0.75]
    )


class ClaimsTest(absltest.TestCase):
  def test_margins_over_seeds(self):
    def run(error, leak):
      names = 'loss_fact', 'loss_nonfact', 'call_precision', 'auroc_loss_wrong'
      return dict.fromkeys([*names, 'auroc_loss_unacceptable'], 1.0) | {
        'fact_error_cascade': error,
        'fact_leakage': leak,
      }

    got = claims.margins(
      {
        'standard': [run(0.5, 0.3), run(0.6, 0.3)],
        'loss': [run(0.4, 0.2), run(0.5, 0.4)],
        'lacy': [run(0.1, 0.1), run(0.3, 0.1)],
      }
    )
    self.assertEqual(got['o3_error_loss_minus_lacy'], [0.25, 0.2, 0.3])
    self.assertEqual(got['o3_error_standard_minus_lacy'], [0.35, 0.3, 0.4])
    self.assertEqual(got['o4_leakage_best_other_minus_lacy'], [0.15, 0.1, 0.2])
    self.assertNotIn('o3_error_rho_minus_loss', got)  # was not run


if __name__ == '__main__':
  absltest.main()
