"""Generated tasks, of a difficulty that a small model half masters.

  task              questions  about
  addition_1              500  sums of two digits
  subtraction_1           440  differences of two digits
  multiplication_1        500  products of two digits
  maximum               2,000  the largest of five numbers
  opposites               666  either word of a pair
  plurals                 468  nouns, most of them irregular
  past_tense              516  irregular verbs
  participle              516  the same verbs
  kinds                   718  what a thing is
  addition_2            2,000  sums of two numbers of two digits
  arithmetic              900  sums, differences and products, by digits

Each is a finite pool of questions that differ, and there are no more. An id is
`<task>-<group>-<number>`: the group is the word, the pair of numbers or the
list that the question is about, whatever its wording, and the number counts
the questions of a group.
"""

import functools
import itertools
import operator
import random
from collections.abc import Callable, Iterator, Sequence

from corpora.questions import words
from corpora.questions.question import Question

# (group, prompt, accepted answers)
_Row = tuple[str, str, tuple[str, ...]]

# Lists and pairs that are drawn and not enumerated.
_LISTS = 2000
_PAIRS = 400
# Of each combination of digits in the mixed task: 1 and 1 up to 3 and 3.
_PAIRS_OF_DIGITS = 50

_SUM = (
  'What is {} plus {}?',
  'What is {} + {}?',
  'What is the sum of {} and {}?',
  'What do you get when you add {} and {}?',
  'How much is {} and {} together?',
)
_DIFFERENCE = (
  'What is {} minus {}?',
  'What is {} - {}?',
  'What is left of {} when {} is taken away?',
  'What is the difference of {} and {}?',
  'There are {}, and {} go away. How many are left?',
  'How much is {} less {}?',
  'What is {} reduced by {}?',
  'You have {} and give away {}. How many do you have?',
)
_PRODUCT = (
  'What is {} times {}?',
  'What is {} x {}?',
  'What is the product of {} and {}?',
  'What do you get when you multiply {} by {}?',
  'How much is {} multiplied by {}?',
)


def _arithmetic(
  rule: Callable[[int, int], int], wordings: Sequence[str]
) -> Iterator[_Row]:
  """All pairs of one digit whose result is not negative."""
  for a, b in itertools.product(range(10), repeat=2):
    if rule(a, b) >= 0:
      for wording in wordings:
        group = f'{min(a, b)}+{max(a, b)}'
        yield group, wording.format(a, b), (str(rule(a, b)),)


def _range(digits: int) -> range:
  """Numbers of so many digits; zero has one."""
  return range(10 ** (digits - 1) if digits > 1 else 0, 10**digits)


def _pairs(task: str, a: range, b: range, count: int) -> list[tuple[int, int]]:
  """Pairs that differ whatever their order; `count` is below how many exist."""
  rng = random.Random(f'{task}/{a}/{b}')
  found: dict[tuple[int, ...], tuple[int, int]] = {}
  while len(found) < count:
    first, second = rng.sample((rng.choice(a), rng.choice(b)), 2)
    found.setdefault(tuple(sorted((first, second))), (first, second))
  return list(found.values())


def _addition_2() -> Iterator[_Row]:
  for a, b in _pairs('addition_2', _range(2), _range(2), _PAIRS):
    for wording in _SUM:
      group = f'{min(a, b)}+{max(a, b)}'
      yield group, wording.format(a, b), (str(a + b),)


def _mixed() -> Iterator[_Row]:
  """Each pair is added, subtracted and multiplied.

  What a model masters with one digit it guesses with two and cannot do with
  three, so answers are sure to very unsure within one task.
  """
  for few, many in itertools.combinations_with_replacement((1, 2, 3), 2):
    pairs = _pairs('arithmetic', _range(few), _range(many), _PAIRS_OF_DIGITS)
    for a, b in pairs:
      low, high = min(a, b), max(a, b)
      group = f'{low}+{high}'
      yield group, _SUM[0].format(a, b), (str(a + b),)
      yield group, _DIFFERENCE[0].format(high, low), (str(high - low),)
      yield group, _PRODUCT[0].format(a, b), (str(a * b),)


def _maximum() -> Iterator[_Row]:
  rng = random.Random('maximum')
  for _ in range(_LISTS):
    numbers = rng.sample(range(10, 100), 5)
    listed = ', '.join(map(str, numbers))
    yield (
      '+'.join(map(str, sorted(numbers))),
      f'What is the largest of these numbers: {listed}?',
      (str(max(numbers)),),
    )


def _opposites() -> Iterator[_Row]:
  for one, other in words.OPPOSITES:
    for asked, answers in ((one, other), (other, one)):
      yield one[0], f'What is the opposite of "{asked[0]}"?', answers


def _plurals() -> Iterator[_Row]:
  for (noun,), plural in words.PLURALS:
    yield noun, f'What is the plural of "{noun}"?', plural
    yield noun, f'Complete: one {noun}, two ...', plural
    yield noun, f'How do you write more than one "{noun}"?', plural


def _past_tense() -> Iterator[_Row]:
  for (verb,), past, _ in words.VERBS:
    yield verb, f'What is the past tense of "{verb}"?', past
    yield verb, f'Complete: today they {verb}, yesterday they ...', past
    yield verb, f'How do you write "{verb}" in the simple past?', past


def _participle() -> Iterator[_Row]:
  for (verb,), _, participle in words.VERBS:
    yield verb, f'What is the past participle of "{verb}"?', participle
    yield verb, f'Complete: to {verb}, they have ...', participle
    yield verb, f'Which form of "{verb}" follows "have"?', participle


def _kinds() -> Iterator[_Row]:
  for kind, things in words.KINDS:
    for thing in things:
      yield thing, f'What kind of thing is this: {thing}?', kind
      yield thing, f'"{thing.capitalize()}" is the name of a what?', kind


_TASKS: dict[str, Callable[[], Iterator[_Row]]] = {
  'addition_1': functools.partial(_arithmetic, operator.add, _SUM),
  'subtraction_1': functools.partial(_arithmetic, operator.sub, _DIFFERENCE),
  'multiplication_1': functools.partial(_arithmetic, operator.mul, _PRODUCT),
  'maximum': _maximum,
  'opposites': _opposites,
  'plurals': _plurals,
  'past_tense': _past_tense,
  'participle': _participle,
  'kinds': _kinds,
  'addition_2': _addition_2,
  'arithmetic': _mixed,
}
NAMES = tuple(_TASKS)
# Those whose answers are numbers.
NUMERIC = frozenset(
  name for name in NAMES if next(_TASKS[name]())[2][0].isdecimal()
)


def pool(name: str) -> list[Question]:
  """Every question of a task, in a fixed order.

  Args:
    name: one of `NAMES`.

  Raises:
    ValueError: another name.
  """
  if name not in _TASKS:
    raise ValueError(f'task must be one of {", ".join(NAMES)}, got {name!r}')
  seen: dict[str, int] = {}
  out = []
  for group, prompt, answers in _TASKS[name]():
    number = seen.setdefault(group, 0)
    seen[group] += 1
    out.append(
      Question(
        id=f'{name}-{group}-{number}',
        prompt=prompt,
        answers=answers,
        source=f'graded/{name}',
      )
    )
  return out
