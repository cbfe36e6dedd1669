"""Sums done by Python's own integers."""

import numpy as np
from absl.testing import absltest, parameterized

from corpora.puzzles import addition


def value(digits):
  return int(''.join(map(str, digits)))


def longest_run(a, b, digits):
  """Column i carries where what lies right of its left edge overflows."""
  carries = ''.join(
    '01'[a % 10**i + b % 10**i >= 10**i] for i in range(1, digits + 1)
  )
  return max(map(len, carries.split('0')))


class AdditionTest(parameterized.TestCase):
  @parameterized.parameters(1, 2, 5, 12)
  def test_sums_and_runs_of_carries(self, digits):
    puzzle = addition.Addition(digits=digits)
    made = puzzle.generate(np.random.default_rng(0), 1000)
    self.assertEqual(made['prompt'].shape, (1000, puzzle.prompt))
    self.assertEqual(made['answer'].shape, (1000, puzzle.answer))
    for prompt, answer, level in zip(*made.values(), strict=True):
      a, b = value(prompt[:digits]), value(prompt[digits:])
      self.assertEqual(value(answer), a + b)
      self.assertBetween(answer.min(), 0, 9)
      self.assertEqual(level, longest_run(a, b, digits))

  def test_frequencies(self):
    made = addition.Addition().generate(np.random.default_rng(0), 40_000)
    digits = np.bincount(made['prompt'].ravel(), minlength=10)
    np.testing.assert_allclose(digits, 40_000, atol=800)  # 4 deviations
    # No carry at all: 55 of the 100 pairs of digits, in five columns.
    none = np.mean(made['level'] == 0)
    self.assertAlmostEqual(none, 0.55**5, delta=0.005)

  def test_sizes(self):
    puzzle = addition.Addition(digits=3)
    self.assertEqual((puzzle.prompt, puzzle.answer), (6, 4))
    self.assertEqual((puzzle.mask_id, puzzle.vocab_size), (10, 11))
    self.assertIsNone(puzzle.eos_id)

  def test_refuses_no_digits(self):
    with self.assertRaisesRegex(ValueError, 'digits of Addition .* got 0'):
      addition.Addition(digits=0)


if __name__ == '__main__':
  absltest.main()
