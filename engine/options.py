"""From what a config says to dataclasses: sections, and texts with options."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

_TEXT = re.compile(r'\s*(\w+)\s*(?:\((.*)\)\s*)?')


def parse(text: str, kinds: Mapping[str, type], what: str) -> Any:
  """The dataclass that `text` names, with the fields that it gives.

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


def section(values: Mapping[str, Any], key: str, kind: type):
  """A section of a config as its dataclass, lists as tuples.

  Raises:
    ValueError: a field that is not known, or does not fit.
  """
  known = kind.__dataclass_fields__
  unknown = sorted(set(values) - set(known))
  if unknown:
    raise ValueError(
      f'{key}.{unknown[0]} is no field; known are {", ".join(known)}'
    )
  return kind(
    **{
      name: tuple(value) if isinstance(value, list | tuple) else value
      for name, value in values.items()
    }
  )
