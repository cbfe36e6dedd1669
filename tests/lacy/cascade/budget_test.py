"""The share of delegated text, held on scripted streams."""

import numpy as np
from absl.testing import absltest, parameterized

from lacy.cascade import budget


def written(rule, worth, *, steps=60, rows=100, seed=0, drift=0.0):
  """(share of text, share of decisions) of a simulated lockstep.

  A call is worth a number of tokens, written one a step; a row does not decide
  while the partner writes.
  """
  rng = np.random.default_rng(seed)
  busy = np.zeros(rows, int)
  tokens = delegated = calls = decisions = 0
  for step in range(steps):
    free = np.flatnonzero(busy == 0)
    scores = rng.normal(size=len(free)) + drift * step
    called = free[np.array(rule.decide(scores.tolist()), bool)]
    busy[called] = rng.integers(1, 2 * worth, len(called))
    at_work = int((busy > 0).sum())
    busy = np.maximum(busy - 1, 0)
    rule.wrote(
      rows, written=at_work, calls=len(called), at_work=int((busy > 0).sum())
    )
    tokens, delegated = tokens + rows, delegated + at_work
    calls, decisions = calls + len(called), decisions + len(free)
  return delegated / tokens, calls / decisions


class FeedbackTest(parameterized.TestCase):
  @parameterized.product(
    beta=(0.1, 0.22, 0.4), worth=(1, 3), drift=(-0.02, 0.0, 0.02)
  )
  def test_the_share_is_within_a_twentieth(self, beta, worth, drift):
    """Also where scores rise or fall along the texts."""
    share, rate = written(budget.Feedback(beta), worth, drift=drift)
    self.assertAlmostEqual(share / beta, 1.0, delta=0.05)
    if worth > 1:
      self.assertLess(rate, 0.75 * beta)

  def test_the_calls_are_the_highest_scores(self):
    rule = budget.Feedback(0.25)
    self.assertEqual(
      rule.decide([0.1, 0.9, 0.2, 0.3]), [False, True, False, False]
    )

  def test_the_formula(self):
    rule = budget.Feedback(0.2, gain=2.0, damping=50.0)
    self.assertEqual(rule.target, 0.2)
    rule.wrote(100, written=10, calls=5)
    self.assertAlmostEqual(rule.target, 0.2 + 2 * (20 - 10) / 150)
    # r L / (r L + 1 - r) is the target; a first call of one token is assumed.
    rate, worth = rule.rate, 11 / 6
    share = rate * worth / (rate * worth + 1 - rate)
    self.assertAlmostEqual(share, rule.target)
    # Two turns are not over: each is to add the rest of a call.
    rule.wrote(0, at_work=2)
    coming = 2 * (worth - 1)
    missed = 0.2 * (100 + coming) - (10 + coming)
    self.assertAlmostEqual(rule.target, 0.2 + 2 * missed / 150)

  def test_only_the_last_scores_are_compared(self):
    rule = budget.Feedback(0.5, window=4)
    rule.decide([9.0] * 40)
    self.assertEqual(rule.decide([1.0, 2.0, 3.0, 4.0]), [0, 0, 1, 1])
    rule = budget.Feedback(0.5, window=0)
    rule.decide([9.0] * 40)
    self.assertEqual(rule.decide([1.0, 2.0, 3.0, 4.0]), [0, 0, 0, 0])

  @parameterized.parameters((0.0, 0), (1.0, 4))
  def test_limits_stay(self, beta, calls):
    rule = budget.Feedback(beta)
    for _ in range(3):
      self.assertEqual(sum(rule.decide([3.0, 1.0, 2.0, 0.0])), calls)
      rule.wrote(4, written=calls, calls=calls)

  @parameterized.parameters(-0.1, 1.1, 22)
  def test_refuses_a_budget_outside_01(self, beta):
    with self.assertRaisesRegex(ValueError, 'budget'):
      budget.Feedback(beta)

  def test_refuses_a_negative_gain(self):
    with self.assertRaisesRegex(ValueError, 'cascade.gain'):
      budget.Feedback(0.2, gain=-1)


if __name__ == '__main__':
  absltest.main()
