"""Checkpoints of state and data position. The only file that knows Orbax.

  workdir/ckpt/<step>/state, data    renamed into place when whole

A save that is cut short leaves a temporary folder that nobody reads and the
next start removes. Saves write beside the old checkpoints, never over them.
"""

import errno
import json
import pathlib
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

FOLDER = 'ckpt'
# What a save may need beyond the arrays: metadata, indices, file system.
_SLACK = 1 << 20


class Checkpoints:
  """The checkpoints of one workdir; use as a context manager."""

  def __init__(self, workdir, *, keep: int | None = 2, clean: bool = False):
    self.folder = pathlib.Path(workdir).absolute() / FOLDER
    self.folder.mkdir(parents=True, exist_ok=True)
    self._needed = 0
    # Not Orbax's own cleaning: that runs beside the first saves.
    if clean and jax.process_index() == 0:
      for cut_short in self.folder.glob('*.orbax-checkpoint-tmp*'):
        shutil.rmtree(cut_short, ignore_errors=True)
    self._manager = ocp.CheckpointManager(
      self.folder,
      item_handlers={
        'state': ocp.StandardCheckpointHandler(),
        'data': ocp.JsonCheckpointHandler(),
      },
      options=ocp.CheckpointManagerOptions(max_to_keep=keep),
    )

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, kind, error, trace) -> None:
    try:
      self._manager.close()
    except Exception as failure:
      # Closing tells once more of a save that failed; the first to tell said
      # it better.
      if error is None:
        raise self._told(failure) from failure

  def latest(self) -> int | None:
    """Newest whole step, or None."""
    return self._manager.latest_step()

  def save(self, step: int, state, data: dict, *, wait: bool = False) -> None:
    """Saves in the background (or waits); older steps beyond `keep` go.

    Raises:
      OSError: no room on the disk. What was saved before is untouched.
    """
    needed = sum(x.nbytes for x in jax.tree.leaves(state)) + _SLACK
    free = shutil.disk_usage(self.folder).free
    if needed > free:
      raise _full(self.folder, needed, free)
    self._needed = needed
    try:
      self._manager.wait_until_finished()  # errors of the save before this
      self._manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(state), data=ocp.args.JsonSave(data)
        ),
      )
      if wait:
        self._manager.wait_until_finished()
    except Exception as error:
      raise self._told(error) from None

  def _told(self, error: Exception) -> Exception:
    """`error`, or what to tell instead where the disk is full."""
    full = getattr(error, 'errno', None) in (errno.ENOSPC, errno.EFBIG)
    if full or any(text in str(error) for text in _DISK_FULL):
      free = shutil.disk_usage(self.folder).free
      return _full(self.folder, self._needed, free)
    return error

  def restore(self, step: int, abstract_state):
    """The state at `step`, laid out as `abstract_state`, and the data state.

    Args:
      step: one that exists.
      abstract_state: ShapeDtypeStructs with shardings.

    Raises:
      ValueError: the checkpoint is of another model.
    """
    saved = _shapes(self._manager.item_metadata(step).state)
    wanted = _shapes(abstract_state)
    if saved != wanted:
      raise ValueError(_difference(self.folder / str(step), saved, wanted))
    restored = self._manager.restore(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardRestore(abstract_state),
        data=ocp.args.JsonRestore(),
      ),
    )
    return restored.state, restored.data

  def restore_anything(self, step: int):
    """The state at `step` as nested dicts, on the first device."""
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    target = jax.tree.map(
      lambda m: jax.ShapeDtypeStruct(m.shape, m.dtype, sharding=device),
      self._manager.item_metadata(step).state.tree,
    )
    restored = self._manager.restore(
      step, args=ocp.args.Composite(state=ocp.args.StandardRestore(target))
    )
    return restored.state


_DISK_FULL = ('No space left', 'RESOURCE_EXHAUSTED', 'File too large')


def _full(folder, needed, free) -> OSError:
  return OSError(
    errno.ENOSPC,
    f'no room to save a checkpoint in {folder}: about {needed:,} bytes are '
    f'needed, {free:,} are free; earlier checkpoints are intact. Free some '
    'space, lower --config.run.keep or choose another --workdir',
  )


def _shapes(tree) -> dict[str, tuple]:
  """Shape by array name; names agree whatever container types were used."""

  def name(path):
    parts = []
    for entry in path:
      for attribute in ('key', 'name', 'idx'):
        if hasattr(entry, attribute):
          parts.append(str(getattr(entry, attribute)))
          break
    return '/'.join(parts)

  leaves = jax.tree_util.tree_leaves_with_path(
    tree, is_leaf=lambda x: hasattr(x, 'shape')
  )
  return {name(path): tuple(leaf.shape) for path, leaf in leaves}


def _difference(folder, saved, wanted) -> str:
  names = sorted(
    name
    for name in saved.keys() | wanted.keys()
    if saved.get(name) != wanted.get(name)
  )
  lines = [
    f'{name}: {saved.get(name, "absent")} there, '
    f'{wanted.get(name, "absent")} here'
    for name in names[:3]
  ]
  more = f' and {len(names) - 3} more' if len(names) > 3 else ''
  return (
    f'checkpoint {folder} is of another model ({"; ".join(lines)}{more}); '
    'give its --config.model or another --workdir'
  )


def _steps(workdir) -> list[int]:
  """Steps of the whole checkpoints there; temporary ones have other names."""
  folder = pathlib.Path(workdir).absolute() / FOLDER
  return sorted(
    int(path.name) for path in folder.glob('*') if path.name.isdecimal()
  )


def exists(workdir) -> bool:
  """Whether `workdir` holds a whole checkpoint."""
  return bool(_steps(workdir))


def restore_params(workdir) -> tuple[dict, int]:
  """Parameters and step of the newest checkpoint, on the first device.

  Raises:
    FileNotFoundError: no whole checkpoint there.
  """
  steps = _steps(workdir)
  if not steps:
    raise FileNotFoundError(
      f'{workdir} must hold a checkpoint in {FOLDER}/, got none; train there '
      'first'
    )
  step = steps[-1]
  with Checkpoints(workdir, keep=None) as checkpoints:
    state = checkpoints.restore_anything(step)
  logging.info('Restored the parameters of %s at step %d', workdir, step)
  return state['params'], step


def jsonable(state) -> dict:
  """A data iterator's state as JSON; it is a few integers and nothing else."""
  return json.loads(json.dumps(state, default=lambda x: np.asarray(x).item()))
