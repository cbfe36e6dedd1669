"""Replies that people can read, and the uncertainties in them."""

import math

import numpy as np
from absl.testing import absltest, parameterized

from calibration.estimators import verbal


class VerbalTest(parameterized.TestCase):
  @parameterized.parameters(
    ('Probability: 0.8', 0.8),
    ('.75', 0.75),
    ('80%', 0.8),
    ('80 %.', 0.8),
    ('I am 90 percent sure', 0.9),
    ('1', 1.0),
    ('0', 0.0),
    ('', math.nan),
    ('very sure', math.nan),
    ('about 2000', math.nan),
  )
  def test_a_number_is_a_probability_or_percent(self, reply, want):
    np.testing.assert_equal(verbal.confidence(reply), want)

  def test_a_guess_is_no_probability(self):
    reply = 'Guess: 12\nProbability: 0.35'
    self.assertEqual(verbal.confidence(reply, verbal.AFTER_GUESS), 0.35)
    only = 'Guess: 12'
    self.assertTrue(math.isnan(verbal.confidence(only, verbal.AFTER_GUESS)))

  def test_a_reply_without_a_number_says_nothing_and_is_counted(self):
    values, unread = verbal.uncertainty(['0.9', 'no', '30%', ''])
    np.testing.assert_allclose(values, [0.1, 0.5, 0.7, 0.5])
    self.assertEqual(unread, 0.5)
    values, unread = verbal.uncertainty([])
    self.assertEqual((values.size, unread), (0, 0))

  def test_p_true_in_nats(self):
    found = verbal.p_true([math.log(0.25), 0.0, 1e-6, -math.inf])
    np.testing.assert_allclose(found, [math.log(4), 0, 0, math.inf])
    for wrong in (math.nan, 0.5):
      with self.assertRaisesRegex(ValueError, 'at most 0, got .*compute'):
        verbal.p_true([wrong, -1])


if __name__ == '__main__':
  absltest.main()
