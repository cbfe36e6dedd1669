"""Closed sets of answers, and how much of a model's mass begins with each.

Section 4 of docs/papers/semantic_calibration.md has confidences from samples;
where all answers can be listed, likelihoods give them without sampling (ours).
"""

from collections.abc import Callable, Sequence

import numpy as np

from corpora.questions import world_facts
from corpora.questions.question import Question
from lm.decoding import scoring

# Of a question that is not closed.
NONE: tuple[tuple[str, ...], np.ndarray] = ((), np.zeros(0, np.float32))
# Sums of two digits reach 198.
_NUMBERS = 200


def names(question: Question) -> list[str]:
  """All answers that a closed set has, by all their names; none if open.

  Of sums and the like these are the numbers below `_NUMBERS`, and one whose
  answer is none of them is open.
  """
  kind, _, name = question.source.partition('/')
  if kind == 'world_facts':
    rows = world_facts.entries(name)
    return list(dict.fromkeys(one for row in rows for one in row))
  if kind == 'graded':
    numbers = [str(number) for number in range(_NUMBERS)]
    return numbers if question.answers[0] in numbers else []
  return list(question.choices)


def measure(
  config,
  params,
  prompts: Sequence[Sequence[int]],
  questions: Sequence[Question],
  encode: Callable[[str], list[int]],
  *,
  space: str,
  batch: int,
) -> list[tuple[tuple[str, ...], np.ndarray]]:
  """Candidates of each question, and the log of what each holds alone.

  Args:
    config: of the model.
    params: of the model.
    prompts: ids, one prompt a question.
    questions: some may be open.
    encode: text to ids, without bos.
    space: what stands before an answer.
    batch: prompts at once; each is read once and kept for all candidates.
  """
  rows = [names(question) for question in questions]
  spelt = [[encode(space + name) for name in row] for row in rows]
  scored = scoring.score(config, params, prompts, spelt, batch=batch)
  return [
    (tuple(row), alone(options, [one.total for one in score])) if row else NONE
    for row, options, score in zip(rows, spelt, scored, strict=True)
  ]


def alone(
  options: Sequence[Sequence[int]], totals: Sequence[float]
) -> np.ndarray:
  """log of P(begins with it) less what longer candidates take of that."""
  mass = np.exp(np.array(totals, np.float64))
  at = {tuple(option): i for i, option in enumerate(options)}
  left = mass.copy()
  for option, i in at.items():
    # The longest candidate that it begins with loses what this one takes.
    for length in range(len(option) - 1, 0, -1):
      shorter = at.get(option[:length])
      if shorter is not None:
        left[shorter] -= mass[i]
        break
  kept = np.zeros(len(options), bool)
  kept[list(at.values())] = True  # two spellings of the same ids count once
  left = np.where(kept, np.maximum(left, 0.0), 0.0)
  with np.errstate(divide='ignore'):
    return np.log(left).astype(np.float32)
