"""Figures of those that answer, by hand."""

import jax
import numpy as np
from absl.testing import absltest

from calibration.semantic import answered


def measure(numbers, said, right):
  return answered.measure(
    jax.random.key(0),
    np.array(numbers, np.int32),
    np.array(said, bool),
    np.array(right, bool),
    draws=20,
  )


class AnsweredTest(absltest.TestCase):
  def test_by_hand(self):
    """Class 0 is no answer; a question of four samples a row."""
    found = measure(
      # 1 has both answers, right; 2 has 2 of 3, wrong; none is an answer; 1
      # has one, in the first half alone, right.
      [[0, 1, 0, 1], [2, 1, 2, 0], [0, 0, 0, 0], [1, 0, 0, 0]],
      [[0, 1, 1]] * 4,
      [[0, 1, 0]] * 4,
    )
    self.assertEqual(found['answered/n'], 3)
    np.testing.assert_allclose(found['answered/right'], 2 / 3, rtol=1e-6)
    confidence = (1 + 2 / 3 + 1) / 3
    np.testing.assert_allclose(found['answered/confidence'], confidence)
    np.testing.assert_allclose(
      found['answered/gap'], confidence - 2 / 3, rtol=1e-5
    )
    # First halves choose 1 and 1 (the lower of two), right for the first
    # question only where they are read: shares 1 and 0. Second halves choose 1
    # and 2: shares 1 and 1/2. Class 1 is right: gaps 0, -1, 0, 1/2. The last
    # question has no second half.
    np.testing.assert_allclose(
      found['answered/split_gap'], (0 - 1 + 0 + 0.5) / 4, atol=1e-6
    )

  def test_nothing_to_tell(self):
    said, right = [[0, 1]], [[0, 1]]
    self.assertEqual(measure([[1, 1]], said, right), {})
    self.assertEqual(measure([[0, 0]], said, right), {})


if __name__ == '__main__':
  absltest.main()
