"""A cell of a log, one set of questions in one style, as arrays.

What texts mean (semantic/collapse.py) is decided here, once; confidences,
errors and estimators follow from the arrays alone.

Shapes: Q questions, S samples, K classes of the question that has most, L
tokens of the longest answer, D width.
"""

import pathlib
from typing import NamedTuple

import numpy as np

from calibration.correctness import collapse
from calibration.recording import log, record


class Cell(NamedTuple):
  """Arrays over questions.

  Attributes:
    said: the records.
    groups: strings [Q], of what a question is about.
    labels: of every sample, by question.
    numbers: int32 [Q, S], class of each sample, by first appearance.
    right: bool [Q, K], which classes are right.
    answered: bool [Q, K], which classes are answers at all.
    totals: float32 [Q, S], log-probability of each sample, its end included.
    unique: bool [Q, S], False where the same tokens came before.
  """

  said: tuple[log.Said, ...]
  groups: np.ndarray
  labels: tuple[tuple[str, ...], ...]
  numbers: np.ndarray
  right: np.ndarray
  answered: np.ndarray
  totals: np.ndarray
  unique: np.ndarray

  @property
  def classes(self) -> int:
    """K."""
    return self.right.shape[1]


def load(folder: pathlib.Path, name: str, style: str) -> Cell:
  """Reads a cell.

  Args:
    folder: of the recording.
    name: of the set.
    style: see prompts.py.

  Raises:
    FileNotFoundError: the cell was not recorded.
  """
  return of(tuple(log.read(folder, record.cell(name, style))), style)


def of(said: tuple[log.Said, ...], style: str) -> Cell:
  """Arrays of records that were asked in one style."""
  labels = tuple(
    tuple(collapse.label(one.question, text, style) for text in one.samples)
    for one in said
  )
  numbered = [collapse.classes(row) for row in labels]
  shape = len(said), max(len(names) for _, names in numbered)
  right, answered = np.zeros(shape, bool), np.zeros(shape, bool)
  for row, (one, (_, names)) in enumerate(zip(said, numbered, strict=True)):
    for number, name in enumerate(names):
      right[row, number] = collapse.is_right(one.question, style, name)
      answered[row, number] = bool(name)
  totals = [
    [float(part.sum(dtype=np.float64)) for part in parts(one)] for one in said
  ]
  unique = []
  for one in said:
    rows = [part.tobytes() for part in log.split(one.tokens, one.lengths)]
    first = {row: i for i, row in reversed(list(enumerate(rows)))}
    unique.append([first[row] == i for i, row in enumerate(rows)])
  return Cell(
    said=said,
    groups=np.array([one.group for one in said]),
    labels=labels,
    numbers=np.stack([numbers for numbers, _ in numbered]),
    right=right,
    answered=answered,
    totals=np.array(totals, np.float32),
    unique=np.array(unique),
  )


def parts(one: log.Said) -> list[np.ndarray]:
  """Log-probabilities of each sample's tokens."""
  return log.split(one.logprobs, one.lengths)


def padded(rows, width: int) -> np.ndarray:
  """Float32 rows of uneven length, zeros behind them."""
  out = np.zeros((len(rows), width), np.float32)
  for i, row in enumerate(rows):
    out[i, : len(row)] = row
  return out


def exact_masses(one: log.Said, style: str) -> dict[str, float]:
  """Mass of each label among the candidates; empty for open questions.

  What an answer that begins with no candidate would mean is not known, so the
  masses sum to less than one.
  """
  masses: dict[str, float] = {}
  logprobs = one.candidate_logprobs.astype(np.float64)
  for text, mass in zip(one.candidates, np.exp(logprobs), strict=True):
    name = collapse.label(one.question, text, style)
    masses[name] = masses.get(name, 0.0) + float(mass)
  return masses
