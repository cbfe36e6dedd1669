"""Accepted answers beside an answer: checked, paired, and the best one kept.

Every correctness function compares an answer with each of its references and
keeps the highest value.

Shapes: N answers, P pairs of an answer and a reference.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Pair(NamedTuple):
  """An answer with one of its references; neither is empty."""

  number: int  # the answer's, in [0, N)
  answer: str
  reference: str


def check(answers: Sequence[str], references: Sequence[Sequence[str]]) -> None:
  """Raises unless every answer has a list with at least one reference.

  Raises:
    ValueError: names the answer without a reference.
  """
  if len(answers) != len(references):
    raise ValueError(
      f'an answer needs a list of references, got {len(answers)} answers and '
      f'{len(references)} lists'
    )
  for number, accepted in enumerate(references):
    if isinstance(accepted, str) or not any(map(str.strip, accepted)):
      raise ValueError(
        f'references of answer {number} must be a list with some text, got '
        f'{accepted!r}'
      )


def pairs(
  answers: Sequence[str], references: Sequence[Sequence[str]]
) -> list[Pair]:
  """Every answer with every reference, without empty texts.

  Raises:
    ValueError: see `check`.
  """
  check(answers, references)
  return [
    Pair(number, answer, reference)
    for number, (answer, accepted) in enumerate(
      zip(answers, references, strict=True)
    )
    for reference in accepted
    if answer.strip() and reference.strip()
  ]


def best(
  found: Sequence[Pair], values: Sequence[float], count: int
) -> np.ndarray:
  """The highest value of each answer.

  Args:
    found: P pairs.
    values: [P], one a pair.
    count: N.

  Returns:
    [N] float64; 0 for an answer without a pair, which is an empty answer.
  """
  best_N = np.full(count, -np.inf)
  numbers_P = np.array([pair.number for pair in found], int)
  np.maximum.at(best_N, numbers_P, np.asarray(values, np.float64))
  return np.where(np.isfinite(best_N), best_N, 0.0)
