"""What every puzzle is: sizes, special tokens, a generator of examples.

Shapes: n examples, P prompt tokens, L answer tokens.
"""

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np

Examples = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Puzzle(abc.ABC):
  """A config that checks itself and makes examples.

  Attributes:
    eos_id: ends an answer; what lies behind does not count. None: an answer
      always has all its L tokens.
  """

  eos_id: ClassVar[int | None] = None

  @property
  @abc.abstractmethod
  def vocab_size(self) -> int:
    """Tokens, prompt and answer alike; the mask is the last."""

  @property
  @abc.abstractmethod
  def prompt(self) -> int:
    """P."""

  @property
  @abc.abstractmethod
  def answer(self) -> int:
    """L."""

  @abc.abstractmethod
  def generate(self, rng: np.random.Generator, count: int) -> Examples:
    """Draws examples; `rng` moves on.

    Returns:
      int32 arrays 'prompt' [n, P], 'answer' [n, L], without a mask, and
      'level' [n]: how long or hard each is, in the puzzle's own measure.
    """

  @property
  def mask_id(self) -> int:
    return self.vocab_size - 1

  def check(self, field: str, ok: bool, expected: str) -> None:
    """Raises ValueError that tells what `field` must be, unless `ok`."""
    if not ok:
      raise ValueError(
        f'data.puzzle: {field} of {type(self).__name__} must {expected}, got '
        f'{getattr(self, field)}'
      )


def examples(prompt: Any, answer: Any, level: Any) -> Examples:
  """The three arrays, as int32."""
  made = {'prompt': prompt, 'answer': answer, 'level': level}
  return {name: np.asarray(value, np.int32) for name, value in made.items()}
