"""Correctness as a language model sees it: one yes or no an answer.

Function 7 of section 2.2 of docs/papers/uq_length_bias.md. The prompt has the
content that the paper describes, in our own words. The paper's code looks for
"yes" anywhere in the reply, asks once again if it finds neither word, and then
takes "no"; here a reply that cannot be read gives no label, and is counted.

Shapes: N answers.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from calibration.correctness import references as references_lib
from lm.judging import judge as judge_lib
from lm.judging import local, verdict

SCHEMA = verdict.Choice(('yes', 'no'))


class Judged(NamedTuple):
  """Labels, and why some are missing.

  Attributes:
    labels: [N], 1 for yes, 0 for no or an empty answer, NaN where the judge
      failed.
    failures: the reason of each failure, by the number of the answer.
    unparsed: number of replies that could not be read.
    unanswered: number of replies that never came.
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
  """The question to the judge: does the answer mean the same as a reference?"""
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
  """The judge's label of every answer.

  Args:
    judge: has `SCHEMA`, or another schema that gives 'yes' or 'no'.
    questions: [N], with the context that the judge is to see.
    answers: [N]; an empty one is wrong, and the judge is not asked.
    references: every accepted answer to each question.

  Raises:
    ValueError: the arguments differ in length, or the judge says something
      other than 'yes' or 'no'.
  """
  references_lib.check(answers, references)
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


def labels_by(
  model: str,
  questions: Sequence[str],
  answers: Sequence[str],
  references: Sequence[Sequence[str]],
  *,
  dtype: str = 'float32',
) -> Judged:
  """`labels` by a local model, which is opened and closed here.

  Args:
    model: see `lm.checkpoints.hub.resolve`.
    questions: see `labels`.
    answers: see `labels`.
    references: see `labels`.
    dtype: of its computation; bfloat16 takes half of the memory.

  Raises:
    ValueError: see `labels`, or there is no such model.
  """
  with local.Local.open(model, dtype=dtype) as opened:
    judge = judge_lib.Judge(opened.ask, SCHEMA)
    return labels(judge, questions, answers, references)
