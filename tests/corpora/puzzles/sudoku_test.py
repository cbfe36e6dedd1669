"""Grids found by trying, one cell after another."""

import numpy as np
from absl.testing import absltest, parameterized

from corpora.puzzles import sudoku


def fits(grid, cell, digit):
  row, column = divmod(cell, 4)
  for other, there in enumerate(grid):
    r, c = divmod(other, 4)
    box = (r // 2, c // 2) == (row // 2, column // 2)
    if there == digit and (r == row or c == column or box):
      return False
  return True


def solutions(grid=()):
  """Complete grids that begin so."""
  if len(grid) == 16:
    return [grid]
  return [
    found
    for digit in range(1, 5)
    if fits(grid, len(grid), digit)
    for found in solutions((*grid, digit))
  ]


class SudokuTest(parameterized.TestCase):
  def test_there_are_288_grids(self):
    found = solutions()
    self.assertLen(found, 288)
    np.testing.assert_array_equal(sudoku.grids(), found)

  def test_grids_are_not_to_be_written_to(self):
    with self.assertRaises(ValueError):
      sudoku.grids()[0, 0] = 2

  def test_prompts_are_parts_of_grids(self):
    made = sudoku.Sudoku().generate(np.random.default_rng(0), 2000)
    grids = set(map(tuple, sudoku.grids().tolist()))
    for prompt, answer, level in zip(*made.values(), strict=True):
      self.assertIn(tuple(answer.tolist()), grids)
      given = prompt > 0
      np.testing.assert_array_equal(prompt[given], answer[given])
      self.assertEqual((~given).sum(), level)

  def test_every_number_of_givens_and_every_cell_is_as_likely(self):
    puzzle = sudoku.Sudoku(fewest=3, most=5)
    made = puzzle.generate(np.random.default_rng(0), 9000)
    counts = np.bincount(made['level'], minlength=17)
    self.assertEqual(counts.nonzero()[0].tolist(), [11, 12, 13])
    np.testing.assert_allclose(counts[11:14], 3000, atol=180)  # 4 deviations
    shown = (made['prompt'] > 0).mean(0)
    np.testing.assert_allclose(shown, 4 / 16, atol=0.02)

  def test_every_grid_is_as_likely(self):
    made = sudoku.Sudoku().generate(np.random.default_rng(0), 28_800)
    _, counts = np.unique(made['answer'], axis=0, return_counts=True)
    self.assertLen(counts, 288)
    chi_square = np.sum((counts - 100.0) ** 2) / 100
    self.assertLess(chi_square, 287 + 4 * np.sqrt(2 * 287))

  @parameterized.parameters((0, 16), (16, 0))
  def test_none_or_all_may_be_given(self, count, blanks):
    puzzle = sudoku.Sudoku(fewest=count, most=count)
    made = puzzle.generate(np.random.default_rng(0), 5)
    self.assertEqual((made['prompt'] == 0).sum(-1).tolist(), [blanks] * 5)

  def test_sizes(self):
    puzzle = sudoku.Sudoku()
    self.assertEqual((puzzle.prompt, puzzle.answer), (16, 16))
    self.assertEqual((puzzle.mask_id, puzzle.vocab_size), (5, 6))
    self.assertIsNone(puzzle.eos_id)

  @parameterized.parameters(
    ({'most': 17}, 'most of Sudoku must lie in .0, 16., got 17'),
    ({'fewest': 13}, 'fewest of Sudoku must lie in .0, most=12., got 13'),
    ({'fewest': -1}, 'fewest of Sudoku .* got -1'),
  )
  def test_refuses(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      sudoku.Sudoku(**fields)


if __name__ == '__main__':
  absltest.main()
