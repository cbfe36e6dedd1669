"""From entity spans to fact tokens: first mentions and alignment; no spaCy.

Section 5. Spans and offsets are (start, end) in characters, end exclusive.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np

Span = tuple[int, int]

_WORD = re.compile(r'\w+(?:[-\u2019\']\w+)*')
# A comma parts groups of three digits, or it parts numbers: 1,999 is one
# number, 4,1999 and 1,2,3 are several.
NUMBER = re.compile(
  r'(?<!\d,)\d{1,3}(?:,\d{3})+(?!,?\d)(?:\.\d+)*|\d+(?:\.\d+)*'
)


def first_mentions(
  text: str, spans: Iterable[Span], unit: str = 'surface'
) -> list[Span]:
  """The spans of a document that are not repeats, in order.

  Args:
    text: a whole document; the memory is its own.
    spans: entities, in order.
    unit: `surface` keeps the first span of each lower-cased surface; `word`
      keeps, inside the spans, the first of each lower-cased word (neighbours
      joined again).

  Raises:
    ValueError: unknown unit.
  """
  if unit not in ('surface', 'word'):
    raise ValueError(f'unit must be surface or word, got {unit!r}')
  seen: set[str] = set()
  kept: list[Span] = []
  for start, end in spans:
    if unit == 'surface':
      surface = text[start:end].lower()
      if surface not in seen:
        seen.add(surface)
        kept.append((start, end))
      continue
    run: Span | None = None
    for match in _WORD.finditer(text, start, end):
      word = match.group().lower()
      if word in seen:
        run = None
        continue
      seen.add(word)
      if run is not None:
        kept[-1] = run = (run[0], match.end())
      else:
        run = match.span()
        kept.append(run)
  return kept


# The version of the rule `caps_digits`: raise it when the spans change, so that
# masks of an older version are refused. Since 2, 4,1999 is two numbers.
CAPS_DIGITS = 2


def caps_digits(text: str) -> list[Span]:
  """Capitalised runs and numbers: a stand-in for entities without spaCy.

  The first word of a sentence counts too; the rule is for tests and for
  machines without spaCy.
  """
  found: list[Span] = []
  for match in _WORD.finditer(text):
    start, end = match.span()
    if not text[start].isupper():
      continue
    if found and text[found[-1][1] : start] == ' ':
      found[-1] = (found[-1][0], end)
    else:
      found.append((start, end))
  numbers = (match.span() for match in NUMBER.finditer(text))
  inside = np.zeros(len(text) + 1, bool)
  for start, end in found:
    inside[start:end] = True
  return sorted(found + [n for n in numbers if not inside[n[0]]])


def token_mask(
  offsets: np.ndarray, spans: Sequence[Span], length: int
) -> np.ndarray:
  """Tokens that touch a span: bool [n].

  Args:
    offsets: [n, 2] of the tokens, without leading white space.
    spans: facts.
    length: of the text.
  """
  step = np.zeros(length + 1, np.int32)
  for start, end in spans:
    step[start] += 1
    step[end] -= 1
  covered = np.concatenate([[0], np.cumsum(np.cumsum(step[:-1]) > 0)])
  return covered[offsets[:, 1]] > covered[offsets[:, 0]]


def byte_to_char_offsets(text: str, offsets: np.ndarray) -> np.ndarray:
  """[n, 2] of bytes in UTF-8 (as SentencePiece gives) to characters.

  A start inside a character goes to that character, an end to the one after.
  """
  widths = [len(character.encode('utf-8')) for character in text]
  begin = np.concatenate([[0], np.cumsum(widths)])
  starts = np.searchsorted(begin, offsets[:, 0], 'right') - 1
  ends = np.searchsorted(begin, offsets[:, 1], 'left')
  return np.stack([starts, ends], 1)
