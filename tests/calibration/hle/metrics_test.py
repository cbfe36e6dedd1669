"""Oracles of the official figures, and of what they leave out."""

import numpy as np
from absl.testing import absltest, parameterized

from calibration.hle import metrics

CONF = (0.97, 0.92, 0.83, 0.78, 0.66, 0.61, 0.54, 0.43, 0.31, 0.12)
CORRECT = (1, 1, 1, 0, 1, 0, 1, 0, 1, 0)
SURE = (95, 95, 90, 90, 90, 85, 80, 80, 70, 60)
RIGHT = (0, 0, 1, 0, 0, 0, 0, 1, 0, 0)


def three_hundred():
  conf = np.concatenate(
    [
      np.linspace(0.5, 0.599, 100),
      np.linspace(0.7, 0.799, 100),
      np.linspace(0.9, 0.999, 100),
    ]
  )
  correct = np.zeros(300)
  correct[[0, 1, 2, 3, 4, 100, 101, 102, 200, 201]] = 1
  return conf, correct


class OracleTest(parameterized.TestCase):
  @parameterized.parameters(
    (3, 0.0430891, 0.0900370),
    (4, 0.0948683, 0.1374106),
    (5, 0.0014142, 0.0226716),
  )
  def test_ten_answers(self, beta, official, whole):
    for drop_last, want in ((True, official), (False, whole)):
      got = metrics.rms_calibration(
        CONF, CORRECT, beta=beta, drop_last=drop_last
      )
      self.assertAlmostEqual(got, want, places=7)

  def test_percent_bug(self):
    got = metrics.rms_calibration(CONF, CORRECT, beta=3, percent_bug=True)
    self.assertAlmostEqual(got, 36.1782624, places=7)

  def test_too_sure(self):
    conf = np.array(SURE) / 100
    for drop_last, want in ((True, 0.3889087), (False, 0.6406637)):
      got = metrics.rms_calibration(conf, RIGHT, beta=5, drop_last=drop_last)
      self.assertAlmostEqual(got, want, places=7)

  def test_three_hundred(self):
    conf, correct = three_hundred()
    for how, want in (
      ({}, 0.5056944),
      ({'drop_last': False}, 0.7373716),
      ({'percent_bug': True}, 53.6252938),
    ):
      got = metrics.rms_calibration(conf, correct, **how)
      self.assertAlmostEqual(got, want, places=7)
    self.assertEqual(metrics.accuracy(10, 300), (3.33, 2.03))

  @parameterized.parameters(
    (99, 3000, 3.3, 0.64),
    (83, 2700, 3.07, 0.65),
    (200, 2500, 8.0, 1.06),
  )
  def test_half_width(self, correct, questions, value, half):
    found = metrics.accuracy(correct, questions)
    self.assertAlmostEqual(found.value, value, places=2)
    self.assertAlmostEqual(found.half_width, half, places=9)

  def test_attempts_are_not_averaged_first(self):
    conf = np.tile([0.0, 1.0], 100)
    correct = np.tile([1.0, 0.0], 100)
    whole = metrics.rms_calibration(conf, correct, drop_last=False)
    self.assertAlmostEqual(whole, 1.0)
    official = metrics.rms_calibration(conf, correct)
    self.assertAlmostEqual(official, 0.7071068, places=7)
    means = metrics.rms_calibration(
      np.full(100, 0.5), np.tile([1, 0], 50), drop_last=False
    )
    self.assertAlmostEqual(means, 0.0)

  def test_below_two_bins_the_official_error_is_zero(self):
    self.assertEqual(metrics.rms_calibration([1.0] * 150, [0] * 150), 0.0)
    with self.assertRaisesRegex(ValueError, 'at least beta=100'):
      metrics.rms_calibration([1.0] * 99, [0] * 99)

  def test_printed_after_scaling(self):
    self.assertEqual(metrics.printed(0.57), 57.0)

  @parameterized.parameters(
    # Accuracy, mean confidence, reported; each may be off by rounding.
    (8.0, 93.0, 83.0, True),
    (13.4, 96.0, 80.0, True),
    (18.1, 77.0, 57.0, True),
    (20.3, 55.0, 34.0, False),
  )
  def test_published_rows_below_the_bound(self, right, sure, reported, below):
    least = metrics.bound(right, sure) - 0.55
    self.assertEqual(reported + 0.5 < least, below)


class TieTest(absltest.TestCase):
  def test_holds_every_order(self):
    conf, correct = [0.9] * 4, [1, 1, 0, 0]
    # Bins of two of one confidence: (1, 1), (1, 0) or (0, 0) come first.
    found = metrics.tie_spread(conf, correct, beta=2, drop_last=True)
    self.assertAlmostEqual(found.low, (0.5 * 0.1**2) ** 0.5)
    self.assertAlmostEqual(found.high, (0.5 * 0.9**2) ** 0.5)

  def test_bad_input(self):
    for conf, correct, message in (
      ([50.0], [1], 'divide percents'),
      ([float('nan')], [1], 'divide percents'),
      ([0.5], [0.5], '0 or 1'),
      ([0.5], [1, 0], 'a confidence an answer'),
    ):
      with self.assertRaisesRegex(ValueError, message):
        metrics.rms_calibration(conf, correct, beta=1)
    with self.assertRaisesRegex(ValueError, '3 of 2'):
      metrics.accuracy(3, 2)


if __name__ == '__main__':
  absltest.main()
