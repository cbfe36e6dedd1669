"""Checkpoints of state and data position. The only file that knows Orbax.

  workdir/ckpt/<step>/state, data, checksums.json   appears when whole
  workdir/ckpt/damaged-<step>                       moved aside by `resume`

A save that is cut short leaves a temporary folder that nobody reads and the
next start removes. Saves write beside the old checkpoints, never over them.
Checkpoints without checksums.json, from before it was written, still open.
"""

import errno
import json
import pathlib
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from jax.experimental import multihost_utils

from engine.runs import checksums, writer

FOLDER = 'ckpt'
DAMAGED = 'damaged-'
_CUT_SHORT = '.orbax-checkpoint-tmp'
# What a save may need beyond the arrays: metadata, indices, file system.
_SLACK = 1 << 20


class DamagedError(ValueError):
  """The files of a checkpoint are not those that were written."""


class Checkpoints:
  """The checkpoints of one workdir; use as a context manager."""

  def __init__(self, workdir, *, keep: int | None = 2, clean: bool = False):
    self.folder = pathlib.Path(workdir).absolute() / FOLDER
    self.folder.mkdir(parents=True, exist_ok=True)
    self._needed = 0
    self._saving: int | None = None
    # Not Orbax's own cleaning: that runs beside the first saves.
    if clean and jax.process_index() == 0:
      for cut_short in self.folder.glob(f'*{_CUT_SHORT}*'):
        shutil.rmtree(cut_short, ignore_errors=True)
    self._manager = ocp.CheckpointManager(
      self.folder,
      item_handlers={
        'state': ocp.StandardCheckpointHandler(),
        'data': ocp.JsonCheckpointHandler(),
      },
      options=ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        async_options=ocp.AsyncOptions(post_finalization_callback=self._list),
      ),
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
    """Newest step, damaged or not; None if nothing was saved."""
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
      self._saving = step  # only now: that save has listed its files
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

  def _list(self) -> None:
    """Lists the files of a save that is whole but not yet under its name."""
    folder = self.folder / str(self._saving)
    cut_short = self.folder.glob(f'{self._saving}{_CUT_SHORT}*')
    # Orbax adds the time to its own file when it gives the folder its name.
    checksums.write(next(cut_short, folder), skip=_METADATA[:1])

  def _told(self, error: Exception) -> Exception:
    """`error`, or what to tell instead where the disk is full."""
    full = getattr(error, 'errno', None) in (errno.ENOSPC, errno.EFBIG)
    if full or any(text in str(error) for text in _DISK_FULL):
      free = shutil.disk_usage(self.folder).free
      return _full(self.folder, self._needed, free)
    return error

  def resume(self, abstract_state):
    """Restores the newest intact checkpoint; None if nothing was saved.

    Moves the damaged ones after it aside and says so: nothing is removed.

    Args:
      abstract_state: see `restore`.

    Returns:
      The state and the data state.

    Raises:
      DamagedError: checkpoints were saved, and none is intact; names them.
      ValueError: the newest intact one has another model.
    """
    damaged = {}
    for step in reversed(_steps(self.folder)):
      try:
        found = self.restore(step, abstract_state)
      except DamagedError as error:
        damaged[step] = error
        continue
      for other, error in damaged.items():
        logging.error('%s', error)
        self._move_aside(other)
      if damaged:
        logging.error('Going on from the intact checkpoint of step %d', step)
        self._manager.reload()
      return found
    if damaged:
      faults = '; '.join(map(str, damaged.values()))
      raise DamagedError(
        f'no checkpoint in {self.folder} is intact: {faults}. Put a copy in '
        'its place, or choose another --workdir to begin again'
      )
    return None

  def _move_aside(self, step: int) -> None:
    if jax.process_index() == 0:
      target, count = self.folder / f'{DAMAGED}{step}', 1
      while target.exists():  # of an earlier time
        count += 1
        target = self.folder / f'{DAMAGED}{step}-{count}'
      (self.folder / str(step)).rename(target)
      logging.error('Moved to %s', target)
    if jax.process_count() > 1:
      multihost_utils.sync_global_devices(f'moved {step}')

  def restore(self, step: int, abstract_state):
    """The state at `step`, laid out as `abstract_state`, and the data state.

    The devices need not be those that it was saved from.

    Args:
      step: one that exists.
      abstract_state: ShapeDtypeStructs with shardings.

    Raises:
      DamagedError: a file is missing or not as it was written.
      ValueError: the checkpoint has another model.
    """

    def read():
      saved = _shapes(self._manager.item_metadata(step).state)
      wanted = _shapes(abstract_state)
      if saved != wanted:
        raise _OtherModelError(
          _difference(self.folder / str(step), saved, wanted)
        )
      return self._manager.restore(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardRestore(abstract_state),
          data=ocp.args.JsonRestore(),
        ),
      )

    restored = self._read(step, read)
    return restored.state, restored.data

  def _read(self, step: int, read):
    """What `read` returns, after a look at the files.

    Raises:
      DamagedError: a file is missing or not as it was written.
    """
    folder = self.folder / str(step)
    fault = _fault(folder)
    if fault:
      raise DamagedError(f'checkpoint {folder} is damaged: {fault}')
    if (folder / checksums.NAME).exists():
      return read()  # what fails now is no fault of the files
    try:
      return read()
    except _OtherModelError:
      raise
    except (ValueError, LookupError, TypeError, FileNotFoundError) as error:
      text = ' '.join(str(error).split())[:300]
      raise DamagedError(
        f'checkpoint {folder} is damaged: it cannot be read ({text})'
      ) from error

  def restore_anything(self, step: int):
    """The state at `step` as nested dicts, on the first device.

    Raises:
      DamagedError: a file is missing or not as it was written.
    """
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

    def read():
      target = jax.tree.map(
        lambda m: jax.ShapeDtypeStruct(m.shape, m.dtype, sharding=device),
        self._manager.item_metadata(step).state.tree,
      )
      return self._manager.restore(
        step, args=ocp.args.Composite(state=ocp.args.StandardRestore(target))
      )

    return self._read(step, read).state


class _OtherModelError(ValueError):
  """Told apart from damage, which a ValueError may also mean."""


# Files that are JSON and that no checkpoint is without.
_METADATA = ('_CHECKPOINT_METADATA', 'state/_METADATA', 'data/metadata')


def _fault(folder: pathlib.Path) -> str:
  """What is wrong with the files of a checkpoint; '' if nothing is.

  Of many processes each looks at some of the files; all say that something is
  wrong, or none does.
  """
  fault = ''
  if not any(folder.iterdir()):
    fault = 'the folder is empty'
  for name in _METADATA if not fault else ():
    try:
      writer.read_json(folder / name)
    except FileNotFoundError:
      fault = f'{name} is missing'
    except ValueError:
      size = (folder / name).stat().st_size
      fault = f'{name} has {size:,} bytes and is not the JSON that was written'
    if fault:
      break
  part, parts = jax.process_index(), jax.process_count()
  fault = fault or checksums.fault(folder, part=part, parts=parts)
  if parts > 1:
    found = multihost_utils.process_allgather(np.bool_(fault))
    if found.any() and not fault:
      fault = f'process {int(found.argmax())} found a fault; see its log'
  return fault


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


def _steps(folder: pathlib.Path) -> list[int]:
  """Steps of the checkpoints there; temporary ones have other names."""
  return sorted(
    int(path.name) for path in folder.glob('*') if path.name.isdecimal()
  )


def exists(workdir) -> bool:
  """Whether `workdir` holds a whole checkpoint."""
  return bool(_steps(pathlib.Path(workdir).absolute() / FOLDER))


def restore_params(workdir) -> tuple[dict, int]:
  """Parameters and step of the newest checkpoint, on the first device.

  Raises:
    FileNotFoundError: no checkpoint there.
    DamagedError: the newest one is damaged; an older one has other parameters.
  """
  if not exists(workdir):
    raise FileNotFoundError(
      f'{workdir} must hold a checkpoint in {FOLDER}/, got none; train there '
      'first'
    )
  with Checkpoints(workdir, keep=None) as checkpoints:
    step = checkpoints.latest()
    state = checkpoints.restore_anything(step)
  logging.info('Restored the parameters of %s at step %d', workdir, step)
  return state['params'], step


def jsonable(state) -> dict:
  """A data iterator's state as JSON; it is a few integers and nothing else."""
  return json.loads(json.dumps(state, default=lambda x: np.asarray(x).item()))
