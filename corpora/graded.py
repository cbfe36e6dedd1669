"""Generated tasks of graded difficulty: numbers, words and the calendar.

Each task is a finite pool of questions that differ, and a sample of it without
repetition. An id is `<task>-<group>-<number>`: the group is the word, the pair
of numbers or the list that the question is about, whatever its wording, and
the number counts the questions of a group.
"""

import functools
import itertools
import random
from collections.abc import Callable, Iterator

from corpora import words
from corpora.questions import Question

# (group, prompt, accepted answers)
_Row = tuple[str, str, tuple[str, ...]]

# Lists that are drawn and not enumerated.
_LISTS = 2000

_DAYS = (
  'Monday',
  'Tuesday',
  'Wednesday',
  'Thursday',
  'Friday',
  'Saturday',
  'Sunday',
)
_MONTHS = (
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
)

_SUM = (
  'What is {} plus {}?',
  'What is {} + {}?',
  'What is the sum of {} and {}?',
  'What do you get when you add {} and {}?',
)
_DIFFERENCE = (
  'What is {} minus {}?',
  'What is {} - {}?',
  'What is left of {} when {} is taken away?',
)
_PRODUCT = (
  'What is {} times {}?',
  'What is {} x {}?',
  'What is the product of {} and {}?',
  'What do you get when you multiply {} by {}?',
)


def _addition(first: range, second: range, templates) -> Iterator[_Row]:
  for a, b in itertools.product(first, second):
    for template in templates:
      yield _pair(a, b), template.format(a, b), (str(a + b),)


def _subtraction(first: range, second: range, templates) -> Iterator[_Row]:
  for a, b in itertools.product(first, second):
    if a >= b:
      for template in templates:
        yield _pair(a, b), template.format(a, b), (str(a - b),)


def _multiplication(first: range, second: range, templates) -> Iterator[_Row]:
  for a, b in itertools.product(first, second):
    for template in templates:
      yield _pair(a, b), template.format(a, b), (str(a * b),)


def _pair(a: int, b: int) -> str:
  return f'{min(a, b)}+{max(a, b)}'


def _larger() -> Iterator[_Row]:
  for a, b in itertools.permutations(range(10, 100), 2):
    yield _pair(a, b), f'Which is larger, {a} or {b}?', (str(max(a, b)),)


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


def _sequence() -> Iterator[_Row]:
  for start, step in itertools.product(range(1, 31), range(1, 21)):
    a, b, c, d, after = range(start, start + 5 * step, step)
    yield (
      f'{start}+{step}',
      f'What number comes next: {a}, {b}, {c}, {d}?',
      (str(after),),
    )


def _counting() -> Iterator[_Row]:
  rng = random.Random('counting')
  vocabulary = _vocabulary()
  for _ in range(_LISTS):
    listed = rng.sample(vocabulary, rng.randint(2, 9))
    yield (
      '+'.join(sorted(listed)),
      f'How many words are in this list: {", ".join(listed)}?',
      (str(len(listed)),),
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


def _first_letter() -> Iterator[_Row]:
  for word in _vocabulary():
    yield word, f'What is the first letter of "{word}"?', (word[0],)


def _last_letter() -> Iterator[_Row]:
  for word in _vocabulary():
    yield word, f'What is the last letter of "{word}"?', (word[-1],)


def _word_length() -> Iterator[_Row]:
  for word in _vocabulary():
    yield word, f'How many letters are in "{word}"?', (str(len(word)),)


def _spelling() -> Iterator[_Row]:
  for word in _vocabulary():
    yield word, f'Spell the word "{word}".', ('-'.join(word),)


def _vocabulary() -> list[str]:
  """Words of three to eight small letters, in the order of the alphabet."""
  found = {word for row in words.OPPOSITES for (word, *_) in row}
  found |= {word for (word,), *_ in (*words.PLURALS, *words.VERBS)}
  found |= {word for _, things in words.KINDS for word in things}
  return sorted(
    word
    for word in found
    if word.isalpha() and word.islower() and 3 <= len(word) <= 8
  )


def _calendar() -> Iterator[_Row]:
  for unit, names in (('day', _DAYS), ('month', _MONTHS)):
    ahead = range(1, len(names))
    for (i, name), n, sign in itertools.product(
      enumerate(names), ahead, (1, -1)
    ):
      units = f'{n} {unit}{"s" if n > 1 else ""}'
      way = 'after' if sign > 0 else 'before'
      answers = (names[(i + sign * n) % len(names)],)
      group = f'{name}{sign * n:+d}'
      yield group, f'Which {unit} comes {units} {way} {name}?', answers
      if sign > 0:
        prompt = f'If it is {name} now, what will it be in {units}?'
      else:
        prompt = f'If it is {name} now, what was it {units} ago?'
      yield group, prompt, answers


_ONE = range(10)
_TWO = range(10, 100)
_TASKS: dict[str, Callable[[], Iterator[_Row]]] = {
  'addition_1': functools.partial(_addition, _ONE, _ONE, _SUM),
  'addition_2_1': functools.partial(_addition, _TWO, range(1, 10), _SUM[:1]),
  'addition_2': functools.partial(_addition, _TWO, _TWO, _SUM[:1]),
  'subtraction_2_1': functools.partial(
    _subtraction, _TWO, range(1, 10), _DIFFERENCE[:1]
  ),
  'subtraction_2': functools.partial(_subtraction, _TWO, _TWO, _DIFFERENCE[:1]),
  'multiplication_1': functools.partial(_multiplication, _ONE, _ONE, _PRODUCT),
  'multiplication_2_1': functools.partial(
    _multiplication, _TWO, range(2, 10), _PRODUCT[:1]
  ),
  'larger': _larger,
  'maximum': _maximum,
  'sequence': _sequence,
  'counting': _counting,
  'opposites': _opposites,
  'plurals': _plurals,
  'past_tense': _past_tense,
  'participle': _participle,
  'kinds': _kinds,
  'first_letter': _first_letter,
  'last_letter': _last_letter,
  'word_length': _word_length,
  'spelling': _spelling,
  'calendar': _calendar,
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
