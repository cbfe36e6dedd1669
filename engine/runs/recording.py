"""A recording: rows in groups, written once in numbered shards, read often.

  <folder>/manifest.json          what was recorded, and how (manifest.py)
  <folder>/<group>/00000<suffix>  some rows of a group
  <folder>/<group>/00000.json     the machine, the versions, the seconds it took

A shard is written whole or not at all, so a recording that was stopped goes on
with the first shard that is missing. Several processes may share a folder: each
writes groups of its own. An area says what a group is and what a row holds.
"""

import dataclasses
import hashlib
import json
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import jax

from engine import assets, progress, stop
from engine import mesh as mesh_lib
from engine.runs import manifest as manifest_lib
from engine.runs import results, writer


class Shard(NamedTuple):
  """The `number`-th file of a group, counted from 0."""

  group: str
  number: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
  """What a model is asked, and where its answers are kept: a config section.

  An area adds its own fields, the constants below and `groups`.

  Attributes:
    model: name or path of the model, see `lm.checkpoints.hub.resolve`.
    questions: number of questions of each set.
    seed: of the choice of questions, and of whatever is drawn.
    compute: dtype of the model's computation, float32, bfloat16 or int8.
    file: questions a shard: the most that an interruption loses.
    batch: questions (or sequences) in one pass through the model.
    folder: where the recording is kept; if empty, a folder of the cache with a
      name made from the manifest.
    accept_licence: see `lm.checkpoints.hub.resolve`.
  """

  # The folder below the cache, the end of a shard's name, the version of what
  # a row holds, and the fields that may differ within one recording.
  HOME: ClassVar[str]
  SUFFIX: ClassVar[str]
  VERSION: ClassVar[int]
  FREE: ClassVar[tuple[str, ...]] = ('batch', 'folder', 'accept_licence')
  # The section of the config, for messages.
  SECTION: ClassVar[str] = 'record'

  model: str
  questions: int
  seed: int = 0
  compute: str = 'float32'
  file: int
  batch: int
  folder: str = ''
  accept_licence: str = ''

  def __post_init__(self):
    self.check_positive('questions', 'file', 'batch')
    self.check_one_of('compute', ('float32', 'bfloat16', 'int8'))

  def check_positive(self, *names: str) -> None:
    """Raises ValueError if a field is below one."""
    for name in names:
      if getattr(self, name) < 1:
        raise ValueError(
          f'{self.SECTION}.{name} must be positive, got {getattr(self, name)}'
        )

  def check_one_of(self, name: str, known: Sequence[str]) -> None:
    """Raises ValueError if a field is none of the known values."""
    if getattr(self, name) not in known:
      raise ValueError(
        f'{self.SECTION}.{name} must be {" or ".join(known)}, got '
        f'{getattr(self, name)!r}'
      )

  def groups(self) -> tuple[str, ...]:
    """Names of the folders of rows; groups can be added to a recording."""
    raise NotImplementedError

  def manifest(self) -> dict[str, Any]:
    """What must agree for two recordings to be one."""
    fields = dataclasses.asdict(self)
    kept = {k: v for k, v in fields.items() if k not in self.FREE}
    return kept | {'version': self.VERSION}

  def at(self) -> pathlib.Path:
    """The folder of the recording."""
    if self.folder:
      return pathlib.Path(self.folder)
    text = json.dumps(self.manifest(), sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return assets.cache_dir() / self.HOME / name

  def rows(self, shard: Shard) -> slice:
    """Which questions of its group a shard holds."""
    first = shard.number * self.file
    return slice(first, min(first + self.file, self.questions))

  def missing(self, process: int = 0, processes: int = 1) -> list[Shard]:
    """The shards that are still to be written, in order.

    Args:
      process: has every `processes`-th group, from this one on.
      processes: number of processes that share the folder.
    """
    folder, count = self.at(), -(-self.questions // self.file)
    return [
      Shard(group, number)
      for group in self.groups()[process::processes]
      for number in range(count)
      if not path(folder, group, number, self.SUFFIX).exists()
    ]

  def fill(
    self,
    shards: Sequence[Shard],
    write: Callable[[Shard, pathlib.Path], None],
    *,
    unit: str,
    enabled: bool = True,
  ) -> None:
    """Writes shards one after the other.

    Call it once all that can be refused was checked: from here on the folder
    exists.

    Args:
      shards: see `missing`.
      write: writes one shard to a path, see `writer.replace`.
      unit: name of the rows, for the progress bar.
      enabled: whether to show progress.

    Raises:
      ValueError: the folder holds another recording.
      stop.Interrupted: this process was asked to stop; between two shards.
    """
    folder = self.at()
    manifest_lib.begin(folder, self.manifest())
    sizes = [self.rows(shard) for shard in shards]
    sizes = [rows.stop - rows.start for rows in sizes]
    with progress.Progress(
      'recording', sum(sizes), unit=unit, enabled=enabled
    ) as bar:
      for shard, size in zip(shards, sizes, strict=True):
        stop.check()
        began = time.monotonic()
        file = path(folder, *shard, self.SUFFIX)
        write(shard, file)
        writer.write_json(
          file.with_suffix('.json'),
          {
            'machine': results.machine(),
            'versions': results.versions(),
            'seconds': round(time.monotonic() - began, 3),
          },
        )
        bar.update(size)

  def gather(self, record: Callable[..., None]) -> None:
    """Has this process' share recorded, then waits for the other processes.

    Args:
      record: is called with `process` and `processes`, on a mesh of one
        device, and only if a shard of this process is missing: a model may be
        opened in it.

    Raises:
      ValueError: the folder holds another recording.
    """
    manifest_lib.check(self.at(), self.manifest())
    share = dict(process=jax.process_index(), processes=jax.process_count())
    if self.missing(**share):
      own = mesh_lib.make(mesh_lib.MeshConfig(), jax.local_devices()[:1])
      with mesh_lib.use(own):
        record(**share)
    if jax.process_count() > 1:
      from jax.experimental import multihost_utils

      multihost_utils.sync_global_devices('recorded')


def path(
  folder: pathlib.Path, group: str, number: int, suffix: str
) -> pathlib.Path:
  """The file of a shard."""
  return folder / group / f'{number:05d}{suffix}'


def paths(folder: pathlib.Path, group: str, suffix: str) -> list[pathlib.Path]:
  """The shards of a group that are there, in the order of their rows.

  Raises:
    FileNotFoundError: nothing of that group was recorded.
  """
  found = sorted((folder / group).glob(f'[0-9]*{suffix}'))
  if not found:
    raise FileNotFoundError(
      f'{folder} must hold a recording of {group}, but has no file of it; run '
      'the config that records it first'
    )
  return found
