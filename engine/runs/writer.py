"""Files of a run: metrics, evaluation arrays, config, summary.

  workdir/config.json           what was asked for
  workdir/metrics.jsonl         one object a line, {"step": ..., "name": ...}
  workdir/evals/<name>-<when>.npz
  workdir/summary.json          the named figures of the run, written last

Every file but the growing metrics file appears whole or not at all: `replace`.
"""

import contextlib
import json
import math
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from absl import logging


@contextlib.contextmanager
def replace(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """A temporary name beside `path`, renamed to `path` when the block ends.

  The block writes a file, or makes a folder, under the name it gets. That is on
  the disk before it is renamed, so after a power cut `path` is the old one or
  the new one, whole. If the block raises, `path` stays as it was and nothing is
  left behind. The temporary name is hidden and keeps the suffix, which
  numpy.savez would add.

  Raises:
    OSError: no room, or `path` is a folder with files in it.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  unique = f'.{path.name}.{uuid.uuid4().hex}{path.suffix}'
  temporary = path.with_name(unique)
  try:
    yield temporary
    for made in [*temporary.rglob('*'), temporary]:
      _sync(made)
    os.replace(temporary, path)
  except BaseException:
    if temporary.is_dir():
      shutil.rmtree(temporary, ignore_errors=True)
    temporary.unlink(missing_ok=True)
    raise
  _sync(path.parent)


def _sync(path: pathlib.Path) -> None:
  """Waits until a file or a folder's list of names is on the disk."""
  number = os.open(path, os.O_RDONLY)
  try:
    os.fsync(number)
  except OSError:
    # Some network file systems refuse it for folders, and order their renames
    # themselves. Of a file it means that the write failed.
    if not path.is_dir():
      raise
  finally:
    os.close(number)


def write_json(path: str | os.PathLike, value) -> None:
  """Writes whole or not at all."""
  text = json.dumps(value, indent=2, sort_keys=True) + '\n'
  with replace(path) as temporary:
    temporary.write_text(text, 'utf-8')


def read_json(path: str | os.PathLike):
  """The value that a JSON file holds.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is empty, cut short or no JSON; names the file.
  """
  path = pathlib.Path(path)
  data = path.read_bytes()
  try:
    return json.loads(data)
  except ValueError as error:
    fault = f'is cut short or no JSON ({error})' if data.strip() else 'is empty'
    raise ValueError(
      f'{path} must hold JSON, but {fault}; put a copy in its place, or remove '
      'it to have it made again'
    ) from error


def scalars_and_arrays(values: Mapping[str, Any]):
  """Splits an evaluation's result into JSON scalars and numpy arrays."""
  scalars, arrays = {}, {}
  for name, value in values.items():
    if isinstance(value, str):
      scalars[name] = value
      continue
    value = np.asarray(value)
    if value.ndim:
      arrays[name] = value
    else:
      scalars[name] = value.item()
  return scalars, arrays


def entries(path: pathlib.Path) -> Iterator[tuple[str, dict[str, Any]]]:
  """Lines of a metrics.jsonl and what they hold; skips those of no run.

  The last line of a killed run may be torn.
  """
  for line in path.read_text('utf-8', 'replace').splitlines():
    try:
      entry = json.loads(line)
    except json.JSONDecodeError:
      entry = None
    if isinstance(entry, dict) and type(entry.get('step')) is int:
      yield line, entry
    else:
      logging.warning('%s: skipped a line without a step: %.60s', path, line)


class Writer:
  """Writes the files above; does nothing where `active` is false.

  Only one process of a multi-host run is active.
  """

  def __init__(self, workdir, *, active: bool = True, tensorboard=False):
    self.workdir = pathlib.Path(workdir)
    self._active = active
    self._board = None
    if active:
      (self.workdir / 'evals').mkdir(parents=True, exist_ok=True)
    if active and tensorboard:
      try:
        import tensorboardX
      except ModuleNotFoundError as error:
        raise ValueError(
          'run.tensorboard=True needs tensorboardX; pip install '
          "'socratic[tensorboard]' or set --config.run.tensorboard=False"
        ) from error
      self._board = tensorboardX.SummaryWriter(str(self.workdir / 'tb'))

  def rewind(self, step: int, *, redo: str | None = None) -> None:
    """Drops metrics after `step`: they will be made again.

    At `step` itself, lines with a name that begins with `redo` go too.
    """
    path = self.workdir / 'metrics.jsonl'
    if not self._active or not path.exists():
      return
    kept = []
    for line, entry in entries(path):
      again = redo and any(name.startswith(redo) for name in entry)
      if entry['step'] < step or (entry['step'] == step and not again):
        kept.append(line + '\n')
    with replace(path) as temporary:
      temporary.write_text(''.join(kept), 'utf-8')

  def metrics(self, step: int, values: Mapping[str, Any]) -> None:
    """Appends one line; nan and inf become null, as JSON wants."""
    if not self._active:
      return
    clean = {
      name: None if isinstance(v, float) and not math.isfinite(v) else v
      for name, v in values.items()
    }
    with open(self.workdir / 'metrics.jsonl', 'a') as file:
      file.write(json.dumps({'step': step, **clean}) + '\n')
    if self._board is not None:
      for name, value in values.items():
        if not isinstance(value, str):
          self._board.add_scalar(name, value, step)
      self._board.flush()

  def arrays(self, name: str, when: str, values: Mapping) -> None:
    """Writes evals/<name>-<when>.npz."""
    if not self._active or not values:
      return
    path = self.workdir / 'evals' / f'{name}-{when}.npz'
    with replace(path) as temporary:
      np.savez(temporary, **values)

  def remove(self, name: str) -> None:
    """Removes a file that no longer holds, if there is one."""
    if self._active:
      (self.workdir / name).unlink(missing_ok=True)

  def json(self, name: str, value) -> None:
    if self._active:
      write_json(self.workdir / name, value)
