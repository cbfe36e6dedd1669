"""What a response and a judge's reply say (docs/papers/hle.md, sections 4, 5).

Models write what they like, so nothing here raises for a text: what cannot be
read is said so, and counted by whoever asks.
"""

import re
from typing import Any, NamedTuple

from lm.judging import verdict

# As the official script has it, where none is stated.
NONE_STATED = 100.0

# What stands before a label on its line: marks, no letters.
_MARKS = r'^(?:[^\w\n]|_)*'
_ANSWER = re.compile(
  _MARKS + r'(?:(?:exact|final)[ \t]+)?answer[*_ \t]*:[*_ \t]*(.*)$'
  # Or on the next line, unless that is labelled itself.
  r'(?:\n+(?!.*:)(.*))?',
  re.IGNORECASE | re.MULTILINE,
)
_CONFIDENCE = re.compile(
  r'confidence(?:[ \t]+(?:level|score))?[*_ \t]*(?:\([^()\n]{0,20}\))?[*_ \t]*'
  r'[:=][*_ \t]*(?:about|around|approximately|roughly)?[~≈<>=*_ \t]*'
  r'(-?(?:\d+(?:\.\d+)?|\.\d+)(?:e\d{1,3})?)[ \t]*(%?)',
  re.IGNORECASE,
)


class Confidence(NamedTuple):
  """In percent, and how it was read: '' as written, or what was done to it.

  `flag` is 'missing' (none was stated), 'fraction' (a number up to 1 without a
  percent sign, times 100) or 'clamped' (outside of 0 to 100).
  """

  value: float
  flag: str


def confidence(text: str) -> Confidence:
  """The last 'Confidence: <number>' of a response."""
  found = list(_CONFIDENCE.finditer(text))
  if not found:
    return Confidence(NONE_STATED, 'missing')
  number, percent = found[-1].groups()
  value = float(number)
  if not percent and '.' in number and 0.0 <= value <= 1.0:
    return Confidence(100.0 * value, 'fraction')
  kept = min(max(value, 0.0), 100.0)
  return Confidence(kept, '' if kept == value else 'clamped')


def answer(text: str) -> str | None:
  """What follows the last Answer:, Exact Answer: or Final Answer:, or None."""
  found = [
    (m[1].strip(' \t*_') or (m[2] or '').strip(' \t*_')).strip()
    for m in _ANSWER.finditer(text)
  ]
  return found[-1] if found and found[-1] else None


_LETTER = re.compile(r'\W*(?:option\s+)?\(?([A-Z])(?:\W.*)?', re.DOTALL)


def letter(said: str) -> str | None:
  """The option that an answer names, 'B' or '(B) because ...'; else None."""
  match = _LETTER.fullmatch(said.strip())
  return match[1] if match else None


class Judgement(NamedTuple):
  """A judge's verdict on one response.

  Attributes:
    correct: None where it is unjudged.
    confidence: in percent.
    extracted: the final answer that the judge found.
    reason: why it is unjudged; '' where it is not.
  """

  correct: bool | None
  confidence: float
  extracted: str = ''
  reason: str = ''


_LINE = re.compile(
  _MARKS + r'(?:judge?ment|correct|verdict)[*_ \t]*:[*_ \t]*(.*)$',
  re.IGNORECASE | re.MULTILINE,
)
_YES, _NO = ('yes', 'true', 'correct'), ('no', 'false', 'incorrect')


def judgement(text: str) -> Judgement:
  """A judge's reply: JSON with the five keys, or a line 'judgement: yes'.

  A reply that says nothing clear is unjudged, never wrong.
  """
  if '{' in text:
    try:
      *_, last = verdict.objects(text, 'a JSON object')
    except ValueError:
      return Judgement(None, NONE_STATED, reason='broken JSON')
    return _of_object(last)
  lines = [m[1] for m in _LINE.finditer(text)]
  said = _yes(lines[-1]) if lines else _prose(text)
  if said is None:
    return Judgement(None, NONE_STATED, reason='no verdict')
  stated = confidence(text)
  return Judgement(said, stated.value)


def _of_object(found: dict[str, Any]) -> Judgement:
  if 'correct' not in found:
    return Judgement(None, NONE_STATED, reason='no key "correct"')
  said = found['correct']
  said = said if isinstance(said, bool) else _yes(str(said))
  if said is None:
    return Judgement(None, NONE_STATED, reason='"correct" is no yes or no')
  extracted = found.get('extracted_final_answer', '')
  return Judgement(
    said, _percent(found.get('confidence')), str(extracted)[:1000]
  )


def _percent(value: Any) -> float:
  """A judge's field, within [0, 100]; the official 100 where there is none."""
  if isinstance(value, str):
    match = re.fullmatch(r'\s*(\d+(?:\.\d+)?)\s*%?\s*', value)
    value = float(match[1]) if match else None
  if isinstance(value, bool) or not isinstance(value, int | float):
    return NONE_STATED
  value = float(value)
  # JSON as Python reads it has NaN and Infinity.
  return min(max(value, 0.0), 100.0) if value == value else NONE_STATED


def _words(text: str) -> list[str]:
  return re.findall(r'[a-z]+', text.lower())


def _yes(text: str) -> bool | None:
  """Of a verdict: yes or no, the last where it has both; None without one.

  'Yes, I checked: the answer is wrong ... no' is no. 'not correct' says neither
  word for what it means, and is left unjudged.
  """
  words = _words(text)
  said = [word for word in words if word in _YES + _NO]
  return said[-1] in _YES if said and 'not' not in words else None


def _prose(text: str) -> bool | None:
  """Of a reply without a label: 'the correct answer' is no verdict."""
  words = _words(text)
  if len(words) > 1:
    words = [word for word in words if word in ('yes', 'no')]
  return _yes(' '.join(words))
