"""Hints for names and paths that somebody has misspelt."""

import difflib
import pathlib
from collections.abc import Iterable


def hint(name: str, known: Iterable[str]) -> str:
  """`; did you mean 'x'?`, or nothing if no known name is close."""
  found = difflib.get_close_matches(name, list(known), n=1)
  return f'; did you mean {found[0]!r}?' if found else ''


def file(path: str, key: str) -> pathlib.Path:
  """The file that a config names.

  Args:
    path: as the config has it; `~` is the home folder.
    key: the key of the config, for the message.

  Raises:
    ValueError: there is no such file; names the most similar one beside it.
  """
  found = pathlib.Path(path).expanduser()
  if not found.is_file():
    beside = found.parent.iterdir() if found.parent.is_dir() else ()
    raise ValueError(
      f'{key} must name a file, and there is none at {found}'
      + hint(found.name, [one.name for one in beside])
    )
  return found
