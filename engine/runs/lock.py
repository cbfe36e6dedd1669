"""One process at a time in the folder of a run.

workdir/.lock       locked by the kernel, which frees it when a process dies
workdir/.lock.pid   who holds it, for the message
"""

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterator

import filelock
import jax
from absl import logging

from engine.runs import writer

# A lost machine keeps a lock until its lease with the file server ends.
_LEASE_SECONDS = 120.0
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


@contextlib.contextmanager
def hold(workdir: pathlib.Path, *, wait: float = 0.0) -> Iterator[None]:
  """Keeps other processes out of `workdir` until the block ends.

  Args:
    workdir: a folder that exists.
    wait: seconds to wait for another process to end.

  Raises:
    BlockingIOError: another process holds the folder; names both.
  """
  holder = workdir / '.lock.pid'
  try:
    held = filelock.FileLock(workdir / '.lock').acquire(timeout=wait)
  except filelock.Timeout:
    pid = holder.read_text() if holder.exists() else '(not known)'
    raise BlockingIOError(
      errno.EWOULDBLOCK,
      f'{workdir} is in use by process {pid}; wait until it ends, end it with '
      f'kill {pid}, or choose another --workdir',
    ) from None
  except (NotImplementedError, OSError) as error:
    if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
      raise
    logging.warning('No lock: the file system of %s has none', workdir)
    held = contextlib.nullcontext()
  with held:
    with writer.replace(holder) as temporary:
      temporary.write_text(str(os.getpid()))
    try:
      yield
    finally:
      holder.unlink(missing_ok=True)


def hold_for_job(workdir: pathlib.Path):
  """`hold` of the first process of a job, for all of its processes."""
  if jax.process_index():
    return contextlib.nullcontext()
  many = jax.process_count() > 1
  return hold(workdir, wait=_LEASE_SECONDS if many else 0.0)
