"""Sudoku on four by four cells, of which there are 288 (section 11.1).

Shapes: n examples, 16 cells row by row.
"""

import dataclasses
import functools
import itertools

import numpy as np

from corpora.puzzles import form

CELLS = np.arange(16).reshape(4, 4)
# The cells of each row, column and box [12, 4].
UNITS = np.concatenate(
  [CELLS, CELLS.T, CELLS.reshape(2, 2, 2, 2).swapaxes(1, 2).reshape(4, 4)]
)


@functools.cache
def grids() -> np.ndarray:
  """Every complete grid [288, 16] of 1..4, in lexicographic order."""
  rows = np.array(list(itertools.permutations(range(1, 5))), np.int8)
  four = np.indices([len(rows)] * 4).reshape(4, -1).T
  every = rows[four].reshape(-1, 16)
  seen = np.bitwise_or.reduce(1 << every[:, UNITS], axis=-1)
  found = every[(seen == 0b11110).all(-1)]
  found.flags.writeable = False
  return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sudoku(form.Puzzle):
  """Fills in a grid; 0 in the prompt is a blank.

  The prompt is a part of the answer, each complete grid equally likely. With
  few givens other grids fit too: one that does is right (see
  diffusion_sampler/evaluation/rewards.py). Level is the number of blanks.

  Attributes:
    fewest, most: givens; their number is uniform on this range.
  """

  fewest: int = 4
  most: int = 12

  def __post_init__(self):
    self.check('most', 0 <= self.most <= 16, 'lie in [0, 16]')
    self.check(
      'fewest', 0 <= self.fewest <= self.most, f'lie in [0, most={self.most}]'
    )

  @property
  def vocab_size(self) -> int:
    return 6

  @property
  def prompt(self) -> int:
    return 16

  @property
  def answer(self) -> int:
    return 16

  def generate(self, rng: np.random.Generator, count: int) -> form.Examples:
    answer = grids()[rng.integers(0, len(grids()), count)]
    givens = rng.integers(self.fewest, self.most + 1, count)
    place = rng.permuted(np.tile(np.arange(16), (count, 1)), axis=1)
    prompt = np.where(place < givens[:, None], answer, 0)
    return form.examples(prompt, answer, 16 - givens)
