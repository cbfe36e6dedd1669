"""Files of a run: metrics, evaluation arrays, config, summary.

  workdir/config.json           what was asked for
  workdir/metrics.jsonl         one object a line, {"step": ..., "name": ...}
  workdir/evals/<name>-<when>.npz
  workdir/summary.json          the named figures of the run, written last

Everything but the growing metrics file is written to a temporary name and
renamed.
"""

import json
import math
import os
import pathlib
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np


def write_json(path, value) -> None:
  """Writes whole or not at all."""
  path = pathlib.Path(path)
  temporary = path.with_name(f'.{path.name}.{uuid.uuid4().hex}')
  temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + '\n')
  os.replace(temporary, path)


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
    for line in path.read_text().splitlines():
      try:
        entry = json.loads(line)
      except json.JSONDecodeError:  # the last line of a killed run
        continue
      again = redo and any(name.startswith(redo) for name in entry)
      if entry['step'] < step or (entry['step'] == step and not again):
        kept.append(line + '\n')
    temporary = path.with_name(f'.{path.name}.{uuid.uuid4().hex}')
    temporary.write_text(''.join(kept))
    os.replace(temporary, path)

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
    temporary = path.with_name(f'.{path.name}.{uuid.uuid4().hex}.npz')
    np.savez(temporary, **values)
    os.replace(temporary, path)

  def json(self, name: str, value) -> None:
    if self._active:
      write_json(self.workdir / name, value)
