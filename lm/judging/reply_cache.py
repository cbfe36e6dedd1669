"""Replies kept on disk, one file a request: asked once, paid for once.

  <folder>/<2 digits>/<sha256 of url, path and body>.json

A file that cannot be read, or is about another request, is a miss. Files are
written under a temporary name, then renamed: many processes may share a folder.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from absl import logging

from engine.runs import writer


class ReplyCache:
  """JSON replies by JSON requests."""

  def __init__(self, folder: str | os.PathLike):
    self.folder = pathlib.Path(folder).expanduser()

  def path(self, request: Mapping[str, Any]) -> pathlib.Path:
    """Where the reply to `request` is kept, or would be."""
    text = json.dumps(request, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return self.folder / digest[:2] / f'{digest}.json'

  def get(self, request: Mapping[str, Any]) -> Any:
    """The reply that was kept, or None."""
    path = self.path(request)
    try:
      entry = json.loads(path.read_bytes())
      if entry['request'] == request:
        return entry['reply']
      reason = 'is about another request'
    except FileNotFoundError:
      return None
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as e:
      reason = f'cannot be read ({type(e).__name__})'
    logging.warning('%s %s; asking again', path, reason)
    return None

  def put(self, request: Mapping[str, Any], reply: Any) -> None:
    """Keeps a reply; a full disk loses the copy, not the reply."""
    path = self.path(request)
    try:
      path.parent.mkdir(parents=True, exist_ok=True)
      writer.write_json(path, {'request': request, 'reply': reply})
    except OSError as error:
      logging.log_first_n(logging.WARNING, 'cache not written: %s', 3, error)
