"""Correctness as a language model sees it: one yes or no an answer.

Function 7 of section 2.2 of docs/papers/uq_length_bias.md. The prompt says
what the paper's is described to say, in our own words. Theirs reads "yes"
anywhere in the reply first, asks again once, and then takes "no"; here a reply
that cannot be read is no label, counted and reported.

Shapes: N answers.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from calibration.correctness import lexical
from lm.judging import judge as judge_lib
from lm.judging import verdict

SCHEMA = verdict.Choice(('yes', 'no'))


class Judged(NamedTuple):
  """Labels and what is missing of them.

  Attributes:
    labels: [N], 1 yes, 0 no or an empty answer, NaN where the judge failed.
    failures: why, by the number of the answer.
    unparsed: how many replies could not be read.
    unanswered: how many replies never came.
  """

  labels: np.ndarray
  failures: dict[int, str]
  unparsed: int
  unanswered: int

  def figures(self) -> dict[str, int]:
    """The counts, for a summary."""
    return {
      'answers': len(self.labels),
      'unparsed': self.unparsed,
      'unanswered': self.unanswered,
    }


def prompt(question: str, references: Sequence[str], answer: str) -> str:
  """Asks whether an answer means what one of the references does."""
  if len(references) == 1:
    expected = f'The expected answer is: {references[0]}'
    same = 'the expected answer'
  else:
    listed = '\n'.join(f'- {reference}' for reference in references)
    expected = f'Each of these is an expected answer:\n{listed}'
    same = 'any one of the expected answers'
  return (
    f'Somebody was asked this question: {question}\n'
    f'{expected}\n'
    f'The answer that was given is: {answer}\n\n'
    f'As an answer to this question, does the given answer mean the same as '
    f'{same}? Reply with yes or no only.'
  )


def labels(
  judge: judge_lib.Judge,
  questions: Sequence[str],
  answers: Sequence[str],
  references: Sequence[Sequence[str]],
) -> Judged:
  """What the judge says of every answer.

  Args:
    judge: with `SCHEMA`, or another that gives 'yes' or 'no'.
    questions: with whatever context the judge shall see.
    answers: an empty one is wrong, and nobody is asked.
    references: every accepted one of each answer.

  Raises:
    ValueError: numbers that differ, or a judge that says something else.
  """
  lexical.check(answers, references)
  if len(questions) != len(answers):
    raise ValueError(
      f'an answer needs its question, got {len(questions)} questions and '
      f'{len(answers)} answers'
    )
  asked = [i for i, answer in enumerate(answers) if answer.strip()]
  verdicts = judge(
    [prompt(questions[i], references[i], answers[i]) for i in asked]
  )
  found = np.zeros(len(answers))
  failures = {}
  for i, said in zip(asked, verdicts, strict=True):
    if said.reason:
      found[i], failures[i] = np.nan, said.reason
    elif said.value not in ('yes', 'no'):
      raise ValueError(
        f"the judge's schema must give 'yes' or 'no', got {said.value!r}"
      )
    else:
      found[i] = said.value == 'yes'
  return Judged(found, failures, verdicts.unparsed, verdicts.unanswered)
