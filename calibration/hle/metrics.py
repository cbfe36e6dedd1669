"""Accuracy and calibration error as HLE reports them, and as they should be.

docs/papers/hle.md section 6. On the host in float64, so that an official figure
can be reproduced to its last digit. The official error sorts by confidence,
cuts into bins of 100 answers, leaves out the last bin and divides by all
answers; up to April 2025 it also took confidences in percent beside correctness
in 0 and 1. Each of the three is a switch here.

Shapes: N judged answers.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Answers in a bin of the official error.
BETA = 100


class Accuracy(NamedTuple):
  """In percent, rounded to two places, with the half-width of Wald's 95%."""

  value: float
  half_width: float


def accuracy(correct: int, questions: int) -> Accuracy:
  """Of all questions: what was not judged counts as wrong.

  The half-width is made from the rounded accuracy (the official code).

  Raises:
    ValueError: no question, or more right than there are.
  """
  if not 0 <= correct <= questions or not questions:
    raise ValueError(
      f'expected at most as many right as questions, and one at least, came '
      f'{correct} of {questions}'
    )
  value = round(100 * correct / questions, 2)
  half = round(1.96 * np.sqrt(value * (100 - value) / questions), 2)
  return Accuracy(value, float(half))


def check(confidence, correct) -> tuple[np.ndarray, np.ndarray]:
  """Both as float64 [N].

  Raises:
    ValueError: other lengths, a confidence outside [0, 1], or one that is NaN.
  """
  c = np.asarray(confidence, np.float64)
  a = np.asarray(correct, np.float64)
  if c.shape != a.shape or c.ndim != 1:
    raise ValueError(
      f'expected a confidence an answer, came shapes {c.shape} and {a.shape}'
    )
  if not ((c >= 0) & (c <= 1)).all():
    raise ValueError('confidences must be in [0, 1]; divide percents by 100')
  if not np.isin(a, (0.0, 1.0)).all():
    raise ValueError('correctness must be 0 or 1')
  return c, a


def rms_calibration(
  confidence: Sequence[float],
  correct: Sequence[float],
  *,
  beta: int = BETA,
  drop_last: bool = True,
  percent_bug: bool = False,
) -> float:
  """Root mean square calibration error over bins of `beta` answers.

  Answers of one confidence stay in their order (a stable sort); see
  `tie_spread`. The last bin takes what is left over. With fewer than two bins
  and `drop_last` the error is 0, as the official code has it.

  Args:
    confidence: [N], in [0, 1].
    correct: [N], 0 or 1.
    beta: answers in a bin.
    drop_last: leaves out the most confident bin, whose answers are still
      counted in N (official). A model that is too sure looks better for it.
    percent_bug: confidences in percent beside correctness in 0 and 1, as up to
      16 April 2025; then the error is about the mean confidence.

  Returns:
    The error, of about 1 at most; of about 100 with `percent_bug`.

  Raises:
    ValueError: fewer than `beta` answers (the official code crashes), or see
      `check`.
  """
  c, a = check(confidence, correct)
  if beta < 1 or len(c) < beta:
    raise ValueError(
      f'expected at least beta={beta} judged answers, came {len(c)}; set '
      'beta=min(100, N) for few, and say so beside the figure'
    )
  order = np.argsort(c, kind='stable')
  c, a = c[order] * (100.0 if percent_bug else 1.0), a[order]
  starts = np.arange(len(c) // beta) * beta
  sizes = np.diff(np.append(starts, len(c)))
  apart = (np.add.reduceat(c, starts) - np.add.reduceat(a, starts)) / sizes
  terms = sizes / len(c) * apart**2
  return float(np.sqrt(terms[: len(terms) - drop_last].sum()))


def printed(error: float) -> float:
  """In whole percent, as the leaderboard shows it."""
  return float(round(100 * error))


class Spread(NamedTuple):
  """The error over orders of answers that have one confidence."""

  mean: float
  low: float
  high: float


def tie_spread(
  confidence: Sequence[float],
  correct: Sequence[float],
  *,
  orders: int = 200,
  seed: int = 0,
  **how,
) -> Spread:
  """`rms_calibration` with ties in random order: lowest, highest and mean.

  The official sort is not stable, so its figure is one of these.

  Args:
    confidence: see `rms_calibration`.
    correct: see `rms_calibration`.
    orders: how many are drawn.
    seed: of the orders.
    **how: of `rms_calibration`.
  """
  c, a = check(confidence, correct)
  rng = np.random.default_rng(seed)
  found = []
  for _ in range(orders):
    at = rng.permutation(len(c))
    found.append(rms_calibration(c[at], a[at], **how))
  return Spread(float(np.mean(found)), min(found), max(found))


def bound(accuracy: float, confidence: float) -> float:
  """The least that an error over all bins can be, in the unit of both.

  |mean confidence - accuracy|, by Jensen's inequality: a root mean square is no
  less than the mean. A published error below it has left something out.
  """
  return float(abs(confidence - accuracy))
