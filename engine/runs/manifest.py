"""What a folder of recordings was made of, so that no two share it."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from engine.runs import writer


def begin(folder: pathlib.Path, manifest: Mapping[str, Any]) -> None:
  """Makes the folder, or sees that it was made for the same recording.

  Raises:
    ValueError: another recording lies there; names the fields that differ.
  """
  check(folder, manifest)
  folder.mkdir(parents=True, exist_ok=True)
  writer.write_json(folder / 'manifest.json', dict(manifest))


def check(folder: pathlib.Path, manifest: Mapping[str, Any]) -> None:
  """Raises ValueError where another recording lies there."""
  path = folder / 'manifest.json'
  if not path.exists():
    return
  found = writer.read_json(path)
  wanted = json.loads(json.dumps(dict(manifest)))
  differ = sorted(
    key
    for key in found.keys() | wanted.keys()
    if found.get(key) != wanted.get(key)
  )
  if differ:
    pairs = '; '.join(
      f'{k}: {found.get(k)} there, {wanted.get(k)} asked' for k in differ
    )
    raise ValueError(
      f'{folder} holds another recording ({pairs}); set --config.record.folder '
      'to a new folder, or the same fields'
    )
