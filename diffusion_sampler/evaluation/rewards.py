"""Which answers to a puzzle are right (section 4.1): r in {0, 1}.

Traceable, so that a reward is computed where the answers are.

Shapes: B sequences, P prompt tokens, L answer tokens.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from corpora.puzzles import form, sudoku


def correct(
  puzzle: form.Puzzle,
  prompt: Int[Array, 'B P'],
  answer: Int[Array, 'B L'],
  target: Int[Array, 'B L'],
) -> Bool[Array, ' B']:
  """Whether each answer is right; one with a mask where it counts is not.

  Args:
    puzzle: what was asked; static under jit.
    prompt: the question, without a mask.
    answer: what was written; masks may be left.
    target: the puzzle's own answer. An answer must agree with it up to and
      including its first EOS, or everywhere where the puzzle has none. Any
      grid that keeps the rules and the givens solves a sudoku, whatever the
      target.
  """
  if isinstance(puzzle, sudoku.Sudoku):
    return _solves(prompt, answer)
  counts_BL = jnp.ones(target.shape, bool)
  if puzzle.eos_id is not None:
    end_BL = target == puzzle.eos_id
    counts_BL = jnp.cumsum(end_BL, -1) - end_BL == 0
  return ((answer == target) | ~counts_BL).all(-1)


def _solves(prompt, answer) -> Bool[Array, ' B']:
  """Each digit once in every row, column and box, and the givens as given."""
  units = jnp.sort(answer[:, sudoku.UNITS], axis=-1)
  valid_B = (units == jnp.arange(1, 5)).all((-2, -1))
  return valid_B & ((prompt == 0) | (prompt == answer)).all(-1)
