"""Tasks: question sets by name, each with examples to show and a grader.

Generated questions (graded.py), facts (world_facts.py) and questions with
options (questions.py) under one door. The first two are asked after worked
examples and answered in text; the last by which option is likeliest.
"""

import os
import random
import re
from typing import NamedTuple

from corpora import graded, questions, world_facts
from corpora.questions import Question

# Worked examples before a question that is answered in text.
SHOTS = 4

_GROUP = re.compile(r'\w+-(.+)-\d+')


class Task(NamedTuple):
  """A sample of a question set.

  Attributes:
    name: one of `NAMES`.
    questions: they differ, and none is of a group with one of `shots`.
    shots: worked examples, the same in every sample; none for options.
    grader: a key of `grading.GRADERS`; '' where the likeliest option counts.
  """

  name: str
  questions: tuple[Question, ...]
  shots: tuple[Question, ...]
  grader: str


_CHOICES = {
  'commonsense_qa': questions.commonsense_qa,
  'open_book_qa': questions.open_book_qa,
}
# Their answers may stand among other words, such as 'US dollar'.
_CONTAINS = ('currency', 'kinds')
NAMES = (*graded.NAMES, *world_facts.RELATIONS, *_CHOICES)


def load(
  name: str,
  *,
  count: int,
  seed: int,
  data_dir: str | os.PathLike | None = None,
) -> Task:
  """A sample of a task, without repetition.

  Args:
    name: one of `NAMES`.
    count: questions, at least one and at most what the task has.
    seed: of the sample; the shots are the same for all.
    data_dir: the cache, see `assets.cache_dir`.

  Raises:
    ValueError: another name, or a count out of range.
    FileNotFoundError: an asset is neither here nor to be had.
  """
  if name not in NAMES:
    raise ValueError(f'task must be one of {", ".join(NAMES)}, got {name!r}')
  pool = _pool(name, data_dir)
  shots = () if name in _CHOICES else _shots(name, pool)
  shown = {group(shot) for shot in shots}
  pool = [question for question in pool if group(question) not in shown]
  if not 1 <= count <= len(pool):
    raise ValueError(
      f'count must lie in 1..{len(pool)}, the questions of {name} beside its '
      f'shots, got {count}'
    )
  drawn = random.Random(f'{name}/{seed}').sample(pool, count)
  return Task(
    name=name, questions=tuple(drawn), shots=shots, grader=_grader(name)
  )


def prompt(task: Task, question: Question) -> str:
  """The text to go on from: the shots, the question, and 'A:' at its end."""
  shown = ''.join(
    f'Q: {shot.prompt}\nA: {shot.answers[0]}\n\n' for shot in task.shots
  )
  return f'{shown}Q: {question.prompt}\nA:'


def group(question: Question) -> str:
  """What a question is about: the country, the word, the pair of numbers.

  Questions of a group give each other away, so folds keep it together. One
  with options is a group by itself.
  """
  match = _GROUP.fullmatch(question.id)
  return match[1] if match else question.id


def _pool(name: str, data_dir) -> list[Question]:
  if name in _CHOICES:
    return _CHOICES[name](data_dir=data_dir)
  if name in world_facts.RELATIONS:
    return world_facts.questions(name, data_dir=data_dir)
  return graded.pool(name)


def _shots(name: str, pool: list[Question]) -> tuple[Question, ...]:
  """Some whose groups and answers differ and whose wordings take turns.

  One wording alone would say little of how the others are answered.
  """
  wordings = len({_number(question) for question in pool})
  shots: list[Question] = []
  groups, answers = set(), set()
  order = random.Random(f'{name}/shots').sample(pool, len(pool))
  for question in order * SHOTS:  # again from its head, for the next wording
    if (
      len(shots) < SHOTS
      and _number(question) == len(shots) % wordings
      and group(question) not in groups
      and not answers & set(question.answers)
    ):
      shots.append(question)
      groups.add(group(question))
      answers |= set(question.answers)
  return tuple(shots)


def _number(question: Question) -> int:
  return int(question.id.rpartition('-')[2])


def _grader(name: str) -> str:
  if name in _CHOICES:
    return ''
  if name in graded.NUMERIC:
    return 'numeric'
  return 'contains' if name in _CONTAINS else 'exact'
