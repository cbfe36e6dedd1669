"""Tasks: question sets by name, each with examples to show and a grader.

Generated questions (generated.py), facts (world_facts.py), the question sets of
others and the user's own files (sets.py) under one door. Questions with options
are answered by the likeliest option, the others in text after worked examples.
A passage stands before its question.
"""

import hashlib
import os
import random
import re
from typing import NamedTuple

from corpora.questions import generated, sets, world_facts
from corpora.questions.question import Question

# Worked examples before a question that is answered in text.
SHOTS = 4

_GROUP = re.compile(r'\w+-(.+)-(\d+)')


class Task(NamedTuple):
  """A sample of a question set.

  Attributes:
    name: one of `NAMES`, or '<form>:<path>'.
    questions: they differ, and none is of a group with one of `shots`.
    shots: worked examples, the same in every sample; none for options.
    grader: a key of `grading.GRADERS`; '' where the likeliest option counts.
  """

  name: str
  questions: tuple[Question, ...]
  shots: tuple[Question, ...]
  grader: str


# The question sets of others and their graders, '' for options. Which grader
# is ours to choose: an answer in text may be a sentence around the right
# words, and for TruthfulQA the right answers are sentences themselves.
_SETS = {
  'commonsense_qa': '',
  'open_book_qa': '',
  'nq_open': 'contains',
  'truthful_qa': 'f1',
  'bool_q': '',
  'mmlu': '',
  'asdiv': 'numeric',
  'trivia_qa': 'contains',
  'squad': 'contains',
  'gsm8k': 'numeric',
  'simple_qa': 'contains',
}
# Their answers may stand among other words, such as 'US dollar'.
_CONTAINS = ('currency', 'kinds')
NAMES = (*generated.NAMES, *world_facts.RELATIONS, *_SETS)


def load(
  name: str,
  *,
  count: int,
  seed: int,
  data_dir: str | os.PathLike | None = None,
) -> Task:
  """A sample of a task, without repetition.

  Args:
    name: one of `NAMES`, or '<form>:<path>', see sets.py.
    count: questions, at least one and at most what the task has.
    seed: of the sample; the shots are the same for all.
    data_dir: the cache, see `assets.cache_dir`.

  Raises:
    ValueError: another name, or a count out of range.
    FileNotFoundError: an asset is neither here nor to be had.
  """
  if name not in NAMES and not sets.is_file(name):
    raise ValueError(f'task must be one of {", ".join(NAMES)}, got {name!r}')
  pool = _pool(name, data_dir)
  grader = _grader(name, pool)
  shots = _shots(name, pool) if grader else ()
  shown = {group(shot) for shot in shots}
  pool = [question for question in pool if group(question) not in shown]
  if not 1 <= count <= len(pool):
    raise ValueError(
      f'count must lie in 1..{len(pool)}, the questions of {name} beside its '
      f'shots, got {count}'
    )
  drawn = random.Random(f'{name}/{seed}').sample(pool, count)
  return Task(name=name, questions=tuple(drawn), shots=shots, grader=grader)


def prompt(task: Task, question: Question) -> str:
  """The text to go on from: the shots, the question, and 'A:' at its end."""
  shown = ''.join(
    f'{_asked(shot)} {shot.answers[0]}\n\n' for shot in task.shots
  )
  return f'{shown}{_asked(question)}'


def _asked(question: Question) -> str:
  passage = f'{question.context}\n' if question.context else ''
  return f'{passage}Q: {question.prompt}\nA:'


def group(question: Question) -> str:
  """What a question is about: the country, the word, the passage, the numbers.

  Questions of a group give each other away, so folds keep a group together. A
  question that says nothing of a group is a group by itself.
  """
  if question.group:
    return question.group
  if question.context:
    digest = hashlib.sha256(question.context.encode('utf-8')).hexdigest()
    return f'passage-{digest[:16]}'
  match = _GROUP.fullmatch(question.id)
  return match[1] if match else question.id


def _pool(name: str, data_dir) -> list[Question]:
  if name in _SETS or sets.is_file(name):
    return sets.load(name, data_dir=data_dir)
  if name in world_facts.RELATIONS:
    return world_facts.questions(name, data_dir=data_dir)
  return generated.pool(name)


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
  """Which wording of its group; the questions of others have one each."""
  match = _GROUP.fullmatch(question.id)
  return int(match[2]) if match else 0


def _grader(name: str, pool: list[Question]) -> str:
  form = sets.form(name)
  if form == sets.OWN:
    if pool[0].choices:
      return ''
    return 'numeric' if sets.numeric(pool) else 'contains'
  if form in _SETS:
    return _SETS[form]
  if name in generated.NUMERIC:
    return 'numeric'
  return 'contains' if name in _CONTAINS else 'exact'
