"""Compiled programs that tests keep on disk, beside the data.

The folder outlives an environment. It is one for each kind of processor, for a
program holds instructions that another may not have.
"""

import hashlib
import os
import pathlib
import platform

from engine import assets

_MOST_BYTES = 2 << 30
# A busy machine may be late with one of the four devices for a sum over all;
# XLA would end the process after 40 s. A program is compiled in one part: in
# many parts it costs more, and both cores are busy. Without the new emitters of
# fusions a program compiles in a third of the time, and runs a little slower.
FLAGS = ' '.join(
  [
    '--xla_cpu_collective_call_terminate_timeout_seconds=600',
    '--xla_cpu_parallel_codegen_split_count=1',
    '--xla_cpu_use_fusion_emitters=false',
  ]
)
# What the kernel says of a processor's instructions, on x86 and on Arm.
_INSTRUCTIONS = ('flags', 'Features')


def folder() -> pathlib.Path:
  """The folder for programs that this processor can run."""
  kind = platform.platform()
  info = pathlib.Path('/proc/cpuinfo')
  if info.exists():
    lines = info.read_text().splitlines()
    kind = '\n'.join(sorted({x for x in lines if x.startswith(_INSTRUCTIONS)}))
  digest = hashlib.sha256(kind.encode()).hexdigest()[:8]
  return assets.cache_dir() / 'xla-tests' / f'{platform.machine()}-{digest}'


def variables() -> dict[str, str]:
  """What JAX reads in the environment; child processes inherit it.

  Every program is kept: to read even the smallest takes 3 ms, to compile it
  25 ms or more. JAX's own limit on the size of a cache would cost more than it
  saves: each write would read the whole folder. `trim` limits it instead.
  What the environment already says stays.
  """
  ours = {
    'JAX_COMPILATION_CACHE_DIR': str(folder()),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
    'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES': '-1',
  }
  return {name: os.environ.get(name, value) for name, value in ours.items()}


def trim(most: int = _MOST_BYTES) -> None:
  """Removes programs until half of `most` bytes is left, the oldest first.

  A program is as old as its last use. Nothing is removed while the folder
  holds no more than `most`.
  """
  path = pathlib.Path(os.environ['JAX_COMPILATION_CACHE_DIR'])
  if not path.is_dir():
    return
  files = [(entry.path, entry.stat()) for entry in os.scandir(path)]
  size = sum(stat.st_size for _, stat in files)
  if size <= most:
    return
  for name, stat in sorted(files, key=lambda file: file[1].st_atime):
    if size <= most // 2:
      return
    pathlib.Path(name).unlink(missing_ok=True)
    size -= stat.st_size
