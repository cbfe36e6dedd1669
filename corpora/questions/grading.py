"""Graders: whether a free answer is right, given every accepted one.

`exact` and `f1` measure as SQuAD does (Rajpurkar et al., 2016, arXiv
1606.05250): lower case, no punctuation, no articles, single spaces. Beyond it,
accents do not count.
"""

import collections
import math
import re
import string
import unicodedata
from collections.abc import Callable, Mapping, Sequence

_NO_PUNCTUATION = str.maketrans('', '', string.punctuation)
_ARTICLES = re.compile(r'\b(?:a|an|the)\b')
# A sign counts unless it joins two words; commas stand between thousands.
_NUMBER = re.compile(
  r'(?:(?<!\w)[-+−])?'
  r'(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+|(?=\.\d))(?:\.\d+)?'
)


def normalise(text: str) -> str:
  """Lower case, without accents, punctuation, articles and idle spaces.

  An answer that is an article alone keeps it, as a letter of the alphabet must.
  """
  parts = unicodedata.normalize('NFKD', text.lower())
  plain = ''.join(part for part in parts if not unicodedata.combining(part))
  plain = plain.translate(_NO_PUNCTUATION)
  return ' '.join(_ARTICLES.sub(' ', plain).split()) or plain.strip()


def exact(answer: str, answers: Sequence[str]) -> bool:
  """Normalised, it is one of them.

  Args:
    answer: what is graded.
    answers: every accepted one.
  """
  return normalise(answer) in {normalise(alias) for alias in answers}


def contains(answer: str, answers: Sequence[str]) -> bool:
  """Normalised, one of them stands in it as whole words.

  Args:
    answer: what is graded.
    answers: every accepted one.
  """
  words = f' {normalise(answer)} '
  aliases = filter(None, map(normalise, answers))
  return any(f' {alias} ' in words for alias in aliases)


def numeric(answer: str, answers: Sequence[str]) -> bool:
  """Its first number is one of theirs, to a millionth.

  Signs, decimals and commas between thousands are read.

  Args:
    answer: what is graded.
    answers: every accepted one; each must hold a number.

  Raises:
    ValueError: an accepted one without a number.
  """
  right = [_first_number(alias) for alias in answers]
  if None in right:
    raise ValueError(f'accepted answers must hold a number each, got {answers}')
  found = _first_number(answer)
  return found is not None and any(
    math.isclose(found, value, rel_tol=1e-6) for value in right
  )


def f1(answer: str, answers: Sequence[str], *, threshold: float = 0.5) -> bool:
  """Its words and those of the best one overlap by `threshold` or more.

  Args:
    answer: what is graded.
    answers: every accepted one.
    threshold: of F1, in (0, 1].

  Raises:
    ValueError: a threshold outside.
  """
  if not 0.0 < threshold <= 1.0:
    raise ValueError(f'threshold must lie in (0, 1], got {threshold}')
  return any(_f1(answer, alias) >= threshold for alias in answers)


GRADERS: Mapping[str, Callable[[str, Sequence[str]], bool]] = {
  'exact': exact,
  'contains': contains,
  'numeric': numeric,
  'f1': f1,
}


def grade(name: str, answer: str, answers: Sequence[str]) -> bool:
  """Whether an answer is right by the grader of that name.

  Args:
    name: a key of `GRADERS`.
    answer: what is graded.
    answers: every accepted one.

  Raises:
    ValueError: no grader of that name.
  """
  if name not in GRADERS:
    raise ValueError(
      f'grader must be one of {", ".join(GRADERS)}, got {name!r}'
    )
  return GRADERS[name](answer, answers)


def numbers(text: str) -> list[float]:
  """All that are in a text, as `numeric` reads them; -0 is 0."""
  found = [
    m[0].replace(',', '').replace('−', '-') for m in _NUMBER.finditer(text)
  ]
  return [float(one) + 0.0 for one in found]


def _first_number(text: str) -> float | None:
  return next(iter(numbers(text)), None)


def _f1(answer: str, alias: str) -> float:
  ours = collections.Counter(normalise(answer).split())
  theirs = collections.Counter(normalise(alias).split())
  if not ours or not theirs:
    return float(ours == theirs)
  return 2 * (ours & theirs).total() / (ours.total() + theirs.total())
