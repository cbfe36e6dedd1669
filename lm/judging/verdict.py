"""How the text of a judge becomes a value: a choice, a number, an object.

A reader takes text and gives a value, or raises a ValueError that says what
was expected and what came. It never guesses: text that names two choices, or
two numbers, is refused, and so is JSON that is cut. `wish` tells the judge, in
a few words, what can be read; `check` does for a value within JSON what the
call does for text.
"""

import contextlib
import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Schema(Protocol):
  """What a verdict must look like."""

  @property
  def wish(self) -> str: ...

  def __call__(self, text: str) -> Any: ...

  def check(self, value: Any) -> Any: ...


def _wrong(wish: str, came: Any) -> ValueError:
  text = came if isinstance(came, str) else json.dumps(came, default=str)
  shown = text if len(text) <= 80 else f'{text[:40]} ... {text[-36:]}'
  return ValueError(f'expected {wish}, came {shown!r}')


def answer(text: str) -> str:
  """The text after the model's thinking; ValueError where that never ends."""
  head, opened, rest = text.partition('<think>')
  if not opened:
    # Some templates open it themselves.
    return text.rpartition('</think>')[2].strip()
  _, closed, rest = rest.rpartition('</think>')
  if head.strip() or not closed:
    raise _wrong('an answer after the thinking', text)
  return rest.strip()


def _bare(text: str) -> str:
  """Lower case, without mark-up and punctuation around."""
  return text.strip(' \t\r\n.,:;!?*_`\'"()[]{}').casefold()


_MARKS = r'.,:;!)\]*_"\'`—–'
_NAMED = r'\b(?:answer|verdict|choice|decision|judge?ment)\b\W*(?:is\b\W*)?'


@dataclasses.dataclass(frozen=True)
class Choice:
  """One of a few words or letters, in whatever case; gives it as written here.

  Read are: the option alone; a line or sentence that is an option; an option
  before punctuation at the head (`B) Paris`, `Yes, because`); one after
  "answer:" or "verdict is". If these name two options, none is taken.
  """

  options: Sequence[str] = ('yes', 'no')

  def __post_init__(self):
    bare = [_bare(option) for option in self.options]
    if len(bare) < 2 or not all(bare) or len(set(bare)) < len(bare):
      raise ValueError(
        'options must be two or more, different in more than case and '
        f'punctuation, got {list(self.options)}'
      )

  @property
  def wish(self) -> str:
    return f'one of {", ".join(self.options)}'

  def __call__(self, text: str) -> str:
    said = answer(text)
    named = {_bare(option): option for option in self.options}
    if (whole := _bare(said)) in named:
      return named[whole]
    one = '|'.join(sorted(map(re.escape, named), key=len, reverse=True))
    low = said.casefold()
    parts = [_bare(part) for part in re.split(r'[\n]+|[.!?](?:\s|$)', low)]
    found = {part for part in parts if part in named}
    head = rf'\W*({one})(?:[{_MARKS}]+(?:\s|$)|\s+[-—–]\s)'
    if match := re.match(head, low):
      found.add(match[1])
    end = rf'(?=[{_MARKS}]*(?:\s*$|\n|[{_MARKS}]\s|\s+(?:because|since)\b))'
    found.update(re.findall(rf'{_NAMED}({one}){end}', low))
    if len(found) != 1:
      raise _wrong(self.wish, said)
    return named[found.pop()]

  def check(self, value: Any) -> str:
    if isinstance(value, str):
      for option in self.options:
        if _bare(value) == _bare(option):
          return option
    raise _wrong(self.wish, value)


# Digits with what belongs to them, or may: `_digits` judges.
_NUMBER = re.compile(
  r'(?<![A-Za-z0-9_])'
  r'((?<![^\s:=(\[*"\'`])[-+−])?'
  r'(\.?[0-9][0-9.,]*)'
  r'(e[-+]?[0-9]+(?!\w))?'
  r'(\w*)',
  re.IGNORECASE,
)
_DIGITS = re.compile(r'[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?|[0-9]*\.?[0-9]+')


def _number(match: re.Match) -> float:
  """ValueError for what looks like a number and is none: 1.2.3, 3rd."""
  sign, digits, exponent, tail = (group or '' for group in match.groups())
  digits = digits.rstrip('.,')
  if tail or not _DIGITS.fullmatch(digits):
    raise ValueError(match[0])
  sign = '-' if sign in ('-', '−') else ''
  return float(sign + digits.replace(',', '') + exponent)


@dataclasses.dataclass(frozen=True)
class Number:
  """The one number of the text, within [low, high].

  `7/10` and `7 out of 10` are 7 where 10 is `high`. A percent sign is read
  where `high` is 100, and refused elsewhere: 1% is not 1.
  """

  low: float
  high: float
  _: dataclasses.KW_ONLY
  whole: bool = False

  def __post_init__(self):
    if not -math.inf < self.low < self.high < math.inf:
      raise ValueError(
        f'low must be below high, both finite, got {self.low} and {self.high}'
      )

  @property
  def wish(self) -> str:
    kind = 'whole number' if self.whole else 'number'
    return f'one {kind} from {self.low:g} to {self.high:g}'

  def __call__(self, text: str) -> float | int:
    said = answer(text)
    high = re.escape(f'{self.high:g}')
    of = rf'\s*(?:/|\b(?:out )?of\b)\s*{high}(?!\w|[.,][0-9])'
    found = re.sub(rf'(?<=[0-9]){of}', '', said.replace('*', ''))
    if '%' in found and self.high != 100:
      raise _wrong(self.wish, said)
    try:
      values = {_number(match) for match in _NUMBER.finditer(found)}
    except ValueError:
      raise _wrong(self.wish, said) from None
    if len(values) != 1:
      raise _wrong(self.wish, said)
    return self.check(values.pop())

  def check(self, value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float):
      raise _wrong(self.wish, value)
    if not self.low <= value <= self.high:
      raise _wrong(self.wish, value)
    if self.whole and value != int(value):
      raise _wrong(self.wish, value)
    return int(value) if self.whole else float(value)


@dataclasses.dataclass(frozen=True)
class Object:
  """A JSON object with typed fields, alone, in a fence or amid text.

  A field is bool, int, float, str, list or a schema of this file. Fields that
  are not named here are left out. Two different objects that fit are refused.
  """

  fields: Mapping[str, type | Schema]

  @property
  def wish(self) -> str:
    parts = (f'"{name}": {_name(kind)}' for name, kind in self.fields.items())
    return f'a JSON object {{{", ".join(parts)}}}'

  def __call__(self, text: str) -> dict[str, Any]:
    said = answer(text)
    fitting, reason = [], None
    for value in objects(said, self.wish):
      try:
        value = self.check(value)
      except ValueError as error:
        reason = reason or error
        continue
      # Not ==, to which 1 is True.
      if json.dumps(value) not in map(json.dumps, fitting):
        fitting.append(value)
    if len(fitting) == 1:
      return fitting[0]
    raise (not fitting and reason) or _wrong(self.wish, said)

  def check(self, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
      raise _wrong(self.wish, value)
    found = {}
    for name, kind in self.fields.items():
      if name not in value:
        raise _wrong(f'the field "{name}" of {self.wish}', value)
      try:
        found[name] = _check(kind, value[name])
      except ValueError as error:
        raise ValueError(f'field "{name}": {error}') from error
    return found


def _name(kind) -> str:
  return kind.__name__ if isinstance(kind, type) else kind.wish


def _check(kind, value):
  if not isinstance(kind, type):
    return kind.check(value)
  if kind is float and type(value) is int:
    return float(value)
  if type(value) is not kind:  # isinstance would take True for a number
    raise _wrong(kind.__name__, value)
  return value


def _unique(pairs):
  found = dict(pairs)
  if len(found) < len(pairs):
    raise ValueError(f'a name twice in {[name for name, _ in pairs]}')
  return found


def _finite(text):
  value = float(text)
  if not math.isfinite(value):
    raise ValueError(f'{text} is no number')
  return value


_DECODER = json.JSONDecoder(
  object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite
)


def objects(text: str, wish: str):
  """The outermost JSON objects of a text.

  What lies in braces and is no JSON is passed over whole: an object inside of
  one that is cut or damaged is not the verdict.
  """
  start = text.find('{')
  while start >= 0:
    end = _closing(text, start)
    if end < 0:
      raise _wrong(f'{wish}, whole', text[start:])
    with contextlib.suppress(ValueError, RecursionError):
      yield _DECODER.decode(text[start:end])
    start = text.find('{', end)


def _closing(text: str, start: int) -> int:
  """The end of the brace that opens at `start`; -1 where it never closes."""
  depth, quoted, place = 0, False, start
  while place < len(text):
    character = text[place]
    if quoted:
      place += character == '\\'
      quoted = character != '"'
    elif character == '"':
      quoted = True
    elif character in '{}':
      depth += 1 if character == '{' else -1
      if depth == 0:
        return place + 1
    place += 1
  return -1
