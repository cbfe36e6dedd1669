"""Right and wrong answers to every puzzle, written by hand."""

import jax
import numpy as np
from absl.testing import absltest, parameterized

from corpora.puzzles import addition, chain, sudoku
from diffusion_sampler.evaluation import rewards

CHAIN = chain.Chain(symbols=5, answer=6, short=2)
END, MASK = CHAIN.eos_id, CHAIN.mask_id


correct = jax.jit(rewards.correct, static_argnums=0)


def judge(puzzle, prompt, answers, target):
  """Whether each of `answers` is right, traced."""
  count = len(answers)
  judged = correct(
    puzzle,
    np.tile(prompt, (count, 1)),
    np.array(answers),
    np.tile(target, (count, 1)),
  )
  return judged.tolist()


class ChainTest(parameterized.TestCase):
  @parameterized.parameters(
    ([3, 1, 0, END, END, END], True),
    ([3, 1, 0, END, MASK, MASK], True),
    ([3, 1, 0, END, 2, 4], True),
    ([3, 1, 0, MASK, END, END], False),  # the end itself is missing
    ([3, 1, 0, 2, END, END], False),
    ([MASK, 1, 0, END, END, END], False),
    ([3, 2, 0, END, END, END], False),
    ([3, 1, END, END, END, END], False),  # cut
    ([3, END, 0, END, END, END], False),
    ([MASK] * 6, False),
  )
  def test_agrees_up_to_the_first_end(self, answer, right):
    target = [3, 1, 0, END, END, END]
    prompt = [0, 0, 3, 1, 2, 2]  # not looked at
    self.assertEqual(judge(CHAIN, prompt, [answer], target), [right])

  def test_what_lies_behind_the_end_of_the_target_does_not_count(self):
    targets = np.array([[0, END, 1, END, END, END], [0, END, 2, 2, 2, 2]])
    answers = np.array([[0, END, 4, 4, MASK, 4]] * 2)
    judged = correct(CHAIN, targets, answers, targets)
    self.assertEqual(judged.tolist(), [True, True])

  @parameterized.parameters(
    CHAIN,
    chain.Chains(symbols=5, chains=2, depth=3),
    addition.Addition(digits=3),
    sudoku.Sudoku(),
  )
  def test_targets_are_right_and_one_mask_or_another_token_is_wrong(
    self, puzzle
  ):
    made = puzzle.generate(np.random.default_rng(0), 40)
    prompt, target = made['prompt'], made['answer']
    judged = correct(puzzle, prompt, target, target)
    self.assertTrue(judged.all())
    self.assertEqual(judged.shape, (40,))
    for position in range(puzzle.answer):
      behind = np.zeros(40, bool)
      if puzzle.eos_id is not None:
        behind = (target[:, :position] == puzzle.eos_id).any(-1)
      for token in (puzzle.mask_id, target[:, position] % 4 + 1):
        answer = target.copy()
        answer[:, position] = token
        same = (answer == target).all(-1)
        np.testing.assert_array_equal(
          correct(puzzle, prompt, answer, target),
          behind | same,
        )


class SudokuTest(absltest.TestCase):
  def test_any_of_the_grids_solves_an_empty_one(self):
    grids = sudoku.grids().astype(np.int32)
    judged = judge(sudoku.Sudoku(), [0] * 16, grids, grids[0])
    self.assertEqual(judged, [True] * 288)

  def test_what_is_given_stays(self):
    # One cell of four alike: a quarter of the grids has it so.
    grids = sudoku.grids().astype(np.int32)
    prompt = [0] * 5 + [3] + [0] * 10
    judged = judge(sudoku.Sudoku(), prompt, grids, grids[0])
    self.assertEqual(judged, (grids[:, 5] == 3).tolist())
    self.assertEqual(sum(judged), 72)

  def test_rows_columns_and_boxes_all_count(self):
    rows = [1, 2, 3, 4] * 4  # columns and boxes fail
    columns = [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]
    boxes = [1, 2, 1, 2, 3, 4, 3, 4] * 2
    latin = [1, 2, 3, 4, 2, 3, 4, 1, 3, 4, 1, 2, 4, 1, 2, 3]  # boxes fail
    no_rows = [1, 2, 1, 2, 3, 4, 3, 4, 2, 1, 2, 1, 4, 3, 4, 3]
    no_columns = [1, 2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4, 1, 2]
    blank, mask = [0] * 16, [5] * 16
    right = [1, 2, 3, 4, 3, 4, 1, 2, 2, 1, 4, 3, 4, 3, 2, 1]
    answers = [rows, columns, boxes, latin, no_rows, no_columns, blank, mask]
    judged = judge(sudoku.Sudoku(), blank, [*answers, right], right)
    self.assertEqual(judged, [False] * 8 + [True])


if __name__ == '__main__':
  absltest.main()
