"""Addition, the most significant digit first: carries come from the right.

Shapes: n examples, D digits of a summand.
"""

import dataclasses

import numpy as np

from corpora.puzzles import form


@dataclasses.dataclass(frozen=True, kw_only=True)
class Addition(form.Puzzle):
  """Adds two numbers of so many digits, zeros in front included.

  Prompt: both, 2 D digits. Answer: the sum, D + 1 digits. Level is the longest
  run of neighbouring columns that carry.

  Attributes:
    digits: D; each is uniform.
  """

  digits: int = 5

  def __post_init__(self):
    self.check('digits', self.digits >= 1, 'be at least 1')

  @property
  def vocab_size(self) -> int:
    return 11

  @property
  def prompt(self) -> int:
    return 2 * self.digits

  @property
  def answer(self) -> int:
    return self.digits + 1

  def generate(self, rng: np.random.Generator, count: int) -> form.Examples:
    summands = rng.integers(0, 10, (count, 2, self.digits))
    total = np.pad(summands.sum(1), ((0, 0), (1, 0)))
    run = np.zeros(count, np.int64)
    level = np.zeros(count, np.int64)
    for column in range(self.digits, 0, -1):
      carry = total[:, column] >= 10
      total[:, column] -= 10 * carry
      total[:, column - 1] += carry
      run = np.where(carry, run + 1, 0)
      level = np.maximum(level, run)
    return form.examples(summands.reshape(count, -1), total, level)
