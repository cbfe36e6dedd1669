"""Graders: whether a free answer is right, given every accepted one.

`exact` and `f1` compare as SQuAD's script does (Rajpurkar et al., 2016, arXiv
1606.05250): lower case, no punctuation, no articles, single spaces. Two rules
are ours: accents are dropped, and a number is its value, so that its sign and
its decimal point are kept.

All numbers are read by `numbers`. Where a question asks for a number
(`asks_number`), an answer of a few words states it first (`numeric`), and a
sentence may restate other numbers before it (`final_number`, `says`).
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
# A number that is a word of its own: not the 16 of "F-16" or the 3 of "3-D".
_LETTER = r'[^\W\d]'
_WORD_NUMBER = re.compile(
  rf'(?<!\w)(?<!{_LETTER}-)(?>{_NUMBER.pattern})(?!\w|-{_LETTER})'
)


def normalise(text: str) -> str:
  """Lower case, without accents, punctuation, articles and idle spaces.

  A number becomes its value: '1,640.0' is '1640', and '-5' stays '-5'. An
  answer that is an article alone keeps it: it may be a letter of the alphabet.
  """
  parts = unicodedata.normalize('NFKD', text.lower())
  plain = ''.join(part for part in parts if not unicodedata.combining(part))
  pieces, at = [], 0
  for match in _WORD_NUMBER.finditer(plain):
    before = plain[at : match.start()].translate(_NO_PUNCTUATION)
    pieces += before, f' {spelt(_value(match))} '
    at = match.end()
  plain = ''.join([*pieces, plain[at:].translate(_NO_PUNCTUATION)])
  return ' '.join(_ARTICLES.sub(' ', plain).split()) or plain.strip()


def exact(answer: str, answers: Sequence[str]) -> bool:
  """Whether the normalised answer equals a normalised accepted answer.

  Args:
    answer: the text to grade.
    answers: every accepted answer.
  """
  return normalise(answer) in {normalise(alias) for alias in answers}


def contains(answer: str, answers: Sequence[str]) -> bool:
  """Whether an accepted answer stands in the answer as whole words.

  Both are normalised first, so that '-5' does not contain '5'.

  Args:
    answer: the text to grade.
    answers: every accepted answer.
  """
  words = f' {normalise(answer)} '
  aliases = filter(None, map(normalise, answers))
  return any(f' {alias} ' in words for alias in aliases)


def numeric(answer: str, answers: Sequence[str]) -> bool:
  """Whether the answer's first number equals that of an accepted answer.

  For answers of a few words, which begin with their number; `says` reads
  sentences. Equal means within a millionth.

  Args:
    answer: the text to grade.
    answers: every accepted answer; each must hold a number.

  Raises:
    ValueError: an accepted answer without a number.
  """
  return _equals(next(iter(numbers(answer)), None), answers)


def asks_number(answers: Sequence[str]) -> bool:
  """Whether accepted answers show that a question asks for a number.

  Each must begin with its only number, and one must be a number alone:
  '9 apples' beside '9' is a number, '10 Downing Street' is not.

  Args:
    answers: every accepted answer.
  """
  bare = [answer.strip().lstrip('$£€') for answer in answers]
  return all(
    len(numbers(one)) == 1 and _NUMBER.match(one) for one in bare
  ) and any(_NUMBER.fullmatch(one) for one in bare)


def final_number(text: str, *, question: str = '') -> float | None:
  """The number that a sentence states as its result.

  It is the last number that the question does not name: a sentence may restate
  the question before its result, or after it ('There are 24 episodes in season
  2.'). If the question names all numbers of the sentence, it is the last one
  ('5 times 1 is 5.').

  Args:
    text: the sentence.
    question: the question that it answers; without it no number is skipped.

  Returns:
    None if the text holds no number.
  """
  found, asked = numbers(text), set(numbers(question))
  new = [number for number in found if number not in asked]
  return (new or found or [None])[-1]


def says(answer: str, answers: Sequence[str], *, question: str = '') -> bool:
  """Whether a sentence says an accepted answer.

  Where a number is asked for, the sentence's `final_number` must equal an
  accepted one within a millionth: a restated operand does not count. Otherwise
  an accepted answer must stand in the sentence as whole words.

  Args:
    answer: the sentence to grade.
    answers: every accepted answer.
    question: the question, see `final_number`.
  """
  if asks_number(answers):
    return _equals(final_number(answer, question=question), answers)
  return contains(answer, answers)


def f1(answer: str, answers: Sequence[str], *, threshold: float = 0.5) -> bool:
  """Whether the F1 of words with the best accepted answer is high enough.

  Args:
    answer: the text to grade.
    answers: every accepted answer.
    threshold: lowest F1 that passes, in (0, 1].

  Raises:
    ValueError: `threshold` lies outside (0, 1].
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
    answer: the text to grade.
    answers: every accepted answer.

  Raises:
    ValueError: there is no grader of that name.
  """
  if name not in GRADERS:
    raise ValueError(
      f'grader must be one of {", ".join(GRADERS)}, got {name!r}'
    )
  return GRADERS[name](answer, answers)


def numbers(text: str) -> list[float]:
  """All numbers in a text, in order.

  Signs, decimal points and commas between thousands are read; -0 is 0.
  """
  return [_value(match) for match in _NUMBER.finditer(text)]


def spelt(number: float) -> str:
  """A number in the one spelling that labels use, to twelve digits."""
  return f'{number:.12g}'


def _value(match: re.Match) -> float:
  return float(match[0].replace(',', '').replace('−', '-')) + 0.0


def _equals(found: float | None, answers: Sequence[str]) -> bool:
  """Whether a number equals the first number of an accepted answer."""
  right = [next(iter(numbers(answer)), None) for answer in answers]
  if None in right:
    raise ValueError(f'accepted answers must hold a number each, got {answers}')
  return found is not None and any(
    math.isclose(found, value, rel_tol=1e-6) for value in right
  )


def _f1(answer: str, alias: str) -> float:
  ours = collections.Counter(normalise(answer).split())
  theirs = collections.Counter(normalise(alias).split())
  if not ours or not theirs:
    return float(ours == theirs)
  return 2 * (ours & theirs).total() / (ours.total() + theirs.total())
