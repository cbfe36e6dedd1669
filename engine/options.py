"""From what a config says to checked dataclasses: the one route.

`Config` notes which keys are read, so that a key which an experiment never
reads is an error and not a wish that nobody hears.
"""

import collections
import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_TEXT = re.compile(r'\s*(\w+)\s*(?:\((.*)\)\s*)?')
_PLAIN = (bool, int, float, str)


class MissingKeyError(ValueError, KeyError):
  """A key that an experiment reads and a config lacks."""

  def __str__(self) -> str:
    return str(self.args[0])


class Config(Mapping):
  """A config whose reads are noted, down to its leaves.

  A section reads as a `Config`, a list as a tuple: JSON knows no tuples.
  """

  def __init__(self, values: Mapping[str, Any], name: str = ''):
    self.name = name
    self._values = {
      key: Config(value, f'{name}.{key}' if name else key)
      if isinstance(value, Mapping)
      else _tuples(value)
      for key, value in values.items()
    }
    self._read: set[str] = set()

  def __getitem__(self, key: str) -> Any:
    if key not in self._values:
      whole = f'{self.name}.{key}' if self.name else key
      raise MissingKeyError(
        f'the config needs {whole}, and has not; '
        f'it has {", ".join(self._values) or "nothing"}'
      )
    self._read.add(key)
    return self._values[key]

  def __contains__(self, key: object) -> bool:
    return key in self._values  # asking is not reading

  def __iter__(self) -> Iterator[str]:
    return iter(self._values)

  def __len__(self) -> int:
    return len(self._values)

  def plain(self) -> dict[str, Any]:
    """The values as nested dicts; all count as read."""
    return {
      key: value.plain() if isinstance(value, Config) else value
      for key, value in self.items()
    }

  def unread(self) -> list[str]:
    """Dotted keys that nobody read, in their order."""
    out = []
    for key, value in self._values.items():
      if key not in self._read:
        out.append(f'{self.name}.{key}' if self.name else key)
      elif isinstance(value, Config):
        out.extend(value.unread())
    return out

  def check_all_read(self, reader: str, but: Iterable[str] = ()) -> None:
    """Refuses keys that nobody read.

    Args:
      reader: who should have read them, for the message.
      but: keys of the top level that others read.

    Raises:
      ValueError: names the first unread key, and a key that is near it.
    """
    unread = [key for key in self.unread() if key not in but]
    if not unread:
      return
    known = [key for key in self._values if key in self._read]
    more = f' (nor {", ".join(unread[1:])})' if unread[1:] else ''
    raise ValueError(
      f'{reader} never reads {unread[0]}{more}'
      f'{_near(unread[0], known)}; remove it from the config'
    )


def _tuples(value: Any) -> Any:
  if isinstance(value, list | tuple):
    return tuple(map(_tuples, value))
  return value


def _near(name: str, known: Iterable[str]) -> str:
  near = difflib.get_close_matches(name, list(known), n=1)
  return f'; did you mean {near[0]}?' if near else ''


def section(
  values: Mapping[str, Any],
  key: str,
  kind: type,
  *,
  given: Mapping[str, Any] | None = None,
):
  """A section of a config as its dataclass, lists as tuples.

  Args:
    values: the section.
    key: its dotted name in the config, for messages.
    kind: the dataclass.
    given: fields that do not come from the section.

  Raises:
    ValueError: a field that is not known, is missing or has another type; or
      the dataclass refuses a value.
  """
  if not isinstance(values, Mapping):
    raise ValueError(f'{key} must be a section of keys, got {values!r}')
  given = given or {}
  fields = {
    f.name: f
    for f in dataclasses.fields(kind)
    if f.init and f.name not in given
  }
  hints = typing.get_type_hints(kind)
  for name in values:
    if name not in fields:
      raise ValueError(
        f'{key}.{name} is not a key'
        f'{_near(name, fields) or "; known are " + ", ".join(fields)}'
      )
  missing = [
    name
    for name, field in fields.items()
    if name not in values
    and field.default is dataclasses.MISSING
    and field.default_factory is dataclasses.MISSING
  ]
  if missing:
    raise ValueError(
      f'{key} needs {missing[0]}; set --config.{key}.{missing[0]}'
    )
  return kind(
    **{
      name: _field(value, hints[name], f'{key}.{name}')
      for name, value in values.items()
    },
    **given,
  )


def _field(value: Any, hint: Any, key: str) -> Any:
  if isinstance(value, Mapping) and dataclasses.is_dataclass(hint):
    return section(value, key, hint)
  if isinstance(value, Config):
    return value.plain()
  return typed(_tuples(value), hint, key)


def sections(
  values: Mapping[str, Any], key: str, kinds: Iterable[type]
) -> list[dict[str, Any]]:
  """The values of a section that several dataclasses share, for each of them.

  Raises:
    ValueError: a key that none of the dataclasses has.
  """
  fields = [{f.name for f in dataclasses.fields(kind)} for kind in kinds]
  known = sorted(set().union(*fields))
  for name in values:
    if name not in known:
      raise ValueError(
        f'{key}.{name} is not a key'
        f'{_near(name, known) or "; known are " + ", ".join(known)}'
      )
  return [
    {name: value for name, value in values.items() if name in names}
    for names in fields
  ]


def typed(value: Any, hint: Any, key: str) -> Any:
  """`value` where it fits `hint`; an int becomes a float where one is wanted.

  Only bool, int, float, str and tuples of them are checked: what JSON and a
  command line can mistake for one another.

  Raises:
    ValueError: another type; names the key.
  """
  kinds = _kinds(hint)
  if not kinds or any(
    isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
    for kind in kinds
  ):
    return value
  if float in kinds and type(value) is int:
    return float(value)
  wanted = ' or '.join(
    'nothing' if kind is types.NoneType else kind.__name__ for kind in kinds
  )
  raise ValueError(
    f'{key} must be {wanted}, got {value!r}; change --config.{key}'
  )


def _kinds(hint: Any) -> tuple[type, ...]:
  """The types that `hint` allows; none where it is not one of those checked."""
  origin = typing.get_origin(hint)
  if origin in (typing.Union, types.UnionType):
    parts = [_kinds(part) for part in typing.get_args(hint)]
    return tuple(kind for part in parts for kind in part) if all(parts) else ()
  if origin in (tuple, collections.abc.Sequence):
    return (tuple,)
  if hint is types.NoneType or hint in (*_PLAIN, tuple):
    return (hint,)
  return ()


def parse(text: str, kinds: Mapping[str, type], what: str) -> Any:
  """The dataclass that a text 'name(key=value, ...)' describes.

  Args:
    text: from a config.
    kinds: dataclasses by name; their fields are of type int, float or str.
    what: key of the config, for messages.

  Raises:
    ValueError: no such name, it has no such key, a value does not fit, or one
      that it needs is missing.
  """
  match = _TEXT.fullmatch(text)
  name, rest = match.groups() if match else (text, None)
  if name not in kinds:
    raise ValueError(
      f'{what} must be one of {", ".join(kinds)}, as name or '
      f'name(key=value, ...), got {text!r}'
    )
  fields = {f.name: f for f in dataclasses.fields(kinds[name])}
  options = {}
  for pair in filter(None, (rest or '').replace(' ', '').split(',')):
    key, _, value = pair.partition('=')
    if key not in fields:
      raise ValueError(
        f'{what}: {name} has {", ".join(fields) or "no keys"}, got {key!r}'
      )
    kind = fields[key].type
    try:
      options[key] = kind(value)
    except ValueError as error:
      raise ValueError(
        f'{what}: {key} of {name} must be {kind.__name__}, got {value!r}'
      ) from error
  missing = [
    key
    for key, field in fields.items()
    if field.default is dataclasses.MISSING and key not in options
  ]
  if missing:
    raise ValueError(f'{what}: {name} needs {", ".join(missing)}, got {text!r}')
  return kinds[name](**options)
