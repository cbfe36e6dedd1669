"""What is asked: question sets, alone or mixed, without what prompts show.

  world          capitals, continents, currencies, countries by their capitals
  arithmetic     sums, differences and products of one digit, sums of two digits
  <task>         any other name of corpora.questions.tasks
  <form>:<path>  a file of the user's own, see corpora.questions.sets

Languages and neighbours have many right answers, of which a model says one:
its confidence is then about that one, and no calibration follows. They can be
asked by their names, and are not in the mix.
"""

import random

from calibration.recording import prompts
from corpora.questions import sets, tasks
from corpora.questions.question import Question

_MIXES = {
  'world': ('capital', 'continent', 'currency', 'country'),
  'arithmetic': (
    'addition_1',
    'subtraction_1',
    'multiplication_1',
    'addition_2',
  ),
}
NAMES = tuple(dict.fromkeys((*_MIXES, *tasks.NAMES)))
# Questions that are drawn beyond those asked for, to make up for the shown;
# as many more as that was too few.
_SPARE = 12


def load(name: str, *, count: int, seed: int) -> list[Question]:
  """Questions that differ, of each part of a mix as many, in turns.

  Args:
    name: one of `NAMES`, or '<form>:<path>'.
    count: how many.
    seed: of the sample.

  Raises:
    ValueError: another name, a row of another form, or more questions than
      there are; of those that are no file, a few must be left to choose from.
    FileNotFoundError: a file or an asset is neither here nor to be had.
  """
  if sets.is_file(name):
    return _of_file(name, count, seed)
  if name not in NAMES:
    raise ValueError(f'set must be one of {", ".join(NAMES)}, got {name!r}')
  parts = _MIXES.get(name, (name,))
  each = -(-count // len(parts))
  rows = [_beside_shown(part, each, seed) for part in parts]
  turns = [row[i] for i in range(each) for row in rows]
  return turns[:count]


def _beside_shown(part: str, count: int, seed: int) -> list[Question]:
  drawn, some = count + _SPARE, []
  while len(some) < count:
    task = tasks.load(part, count=drawn, seed=seed)
    some = [q for q in task.questions if not prompts.shown(tasks.group(q))]
    drawn += count - len(some)
  return some[:count]


def _of_file(name: str, count: int, seed: int) -> list[Question]:
  """No prompt shows questions of a file, so that all can be asked."""
  pool = sets.load(name)
  if count > len(pool):
    raise ValueError(
      f'{name} has {len(pool)} questions, got record.questions={count}; set '
      f'--config.record.questions to at most {len(pool)}'
    )
  return random.Random(f'{sets.label(name)}/{seed}').sample(pool, count)
