"""Summaries of known quality, made from how often answers were given.

The paper has a large model write them; ours are made by rule from counts, so
what is wrong with each is known (section 4, all details ours):

  good        every answer, the most frequent first, how likely in words
  percentages the same in numbers, and nothing else
  almost      `good` with one fault; see `FAULTS`
  bad         the most frequent answer replaced by one that was never given, or
              the summary of another question
  detailed    `good`, and how many answers it is made from
  verbose     `good` in many words
  truncated   the first half of `good`
  addition    `good`, and an answer that was never given as a rare one
"""

import collections
from collections.abc import Callable, Sequence
from typing import NamedTuple

# Of a share at least so large, what is said of an answer.
_WORDS = (
  (0.9, 'almost certainly {}'),
  (0.5, 'most likely {}'),
  (0.25, 'quite possibly {}'),
  (0.1, 'maybe {}'),
  (0.0, 'less likely {}'),
)
# A fault drops no answer that is rarer.
_LEAST = 0.1


class Option(NamedTuple):
  """An answer and the share of samples that mean it."""

  text: str
  share: float


def options(answers: Sequence[str], labels: Sequence[str]) -> list[Option]:
  """Answers by what they mean, the most frequent first.

  Each is shown as it is written most often; ties go to what came first. An
  answer that is empty or means nothing counts in the shares, and is no option.

  Args:
    answers: texts.
    labels: what each means; '' for nothing.
  """
  written: dict[str, collections.Counter] = {}
  for text, label in zip(answers, labels, strict=True):
    if text and label:
      written.setdefault(label, collections.Counter())[text] += 1
  made = [
    Option(texts.most_common(1)[0][0].rstrip('.'), texts.total() / len(answers))
    for texts in written.values()
  ]
  return sorted(made, key=lambda option: -option.share)


def _sentence(parts: Sequence[str]) -> str:
  text = ', '.join(parts)
  return f'{text[0].upper()}{text[1:]}.'


def in_words(found: Sequence[Option]) -> str:
  """The template of a summary; a single answer stands without a hedge."""
  if len(found) == 1:
    return f'{found[0].text}.'
  return _sentence([_words(option) for option in found])


def _words(option: Option) -> str:
  wording = next(w for least, w in _WORDS if option.share >= least)
  return wording.format(option.text)


def percentages(found: Sequence[Option]) -> str:
  """Answers with their shares alone."""
  return ', '.join(f'{option.text}: {option.share:.0%}' for option in found)


def swapped(found: Sequence[Option], other: str) -> list[Option] | None:
  """The first answer and the next that is rarer exchange their shares."""
  del other
  rarer = [i for i, o in enumerate(found) if o.share < found[0].share]
  if not rarer:
    return None
  out = list(found)
  at = rarer[0]
  out[0] = Option(found[at].text, found[0].share)
  out[at] = Option(found[0].text, found[at].share)
  return out


def dropped(found: Sequence[Option], other: str) -> list[Option] | None:
  """Without the rarest answer of a tenth of the samples; never the first."""
  del other
  large = [i for i, o in enumerate(found) if i and o.share >= _LEAST]
  if not large:
    return None
  return [o for i, o in enumerate(found) if i != large[-1]]


def added(found: Sequence[Option], other: str) -> list[Option] | None:
  """With an answer that was never given, as likely as the first."""
  return [*found, Option(other, found[0].share)]


def flat(found: Sequence[Option], other: str) -> list[Option] | None:
  """All as likely as each other."""
  del other
  if len({option.share for option in found}) < 2:
    return None
  return [option._replace(share=1 / len(found)) for option in found]


Fault = Callable[[Sequence[Option], str], list[Option] | None]
FAULTS: dict[str, Fault] = {
  'swapped': swapped,
  'dropped': dropped,
  'added': added,
  'flat': flat,
}


class Made(NamedTuple):
  """Summaries by name, and which fault `almost` and `bad` have."""

  texts: dict[str, str]
  fault: str
  wrong: str


def make(
  found: Sequence[Option],
  other: Sequence[Option],
  *,
  samples: int,
  number: int,
) -> Made:
  """All constructions of a question.

  Args:
    found: its answers, at least one; see `options`.
    other: those of another question, whose first is an answer that was never
      given to this one.
    samples: how many answers were counted.
    number: of the question; faults take turns.

  Raises:
    ValueError: nothing was answered.
  """
  if not found or not other:
    raise ValueError('expected at least one answer, came none')
  never = other[0].text
  names = list(FAULTS)
  turn = names[number % len(names) :] + names[: number % len(names)]
  fault, almost = next(
    (name, made) for name in turn if (made := FAULTS[name](found, never))
  )
  good = in_words(found)
  wrong = ('replaced', 'another')[number % 2]
  replaced = [found[0]._replace(text=never), *found[1:]]
  words = good.split()
  texts = {
    'good': good,
    'percentages': percentages(found),
    'almost': in_words(almost),
    'bad': in_words(replaced if wrong == 'replaced' else other),
    'detailed': f'{good} (This is what {samples} answers say: '
    f'{percentages(found)}.)',
    'verbose': 'There are several things to be said about this question, and '
    f'it is worth taking all of them into account. {good} Having said that, '
    'these are all the answers that come to mind at this point.',
    'truncated': ' '.join(words[: -(-len(words) // 2)]),
    'addition': f'{good} In rare cases it may also be {never}.',
  }
  return Made(texts, fault, wrong)
