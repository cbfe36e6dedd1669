"""A request to stop (SIGTERM), and the places where a program obeys it.

`immediate`: the signal raises `Interrupted` at once, as Ctrl-C raises
KeyboardInterrupt. Launchers begin so: whatever is half written has a temporary
name. `deferred`: the signal is only noted, and `check` raises. The loop runs
so, since a training step must be saved first. Work that takes long calls
`check` between two items, where all finished items are on disk.

An interrupted process exits with `STATUS`, 75: EX_TEMPFAIL of sysexits.h, a
failure that goes away when the same command runs again. Not 0, which a
scheduler takes for a finished run; not 1 or 2, a bug or bad input, which a
second run only repeats; not 143, which a shell reports for a process that a
signal killed and which may not have saved.

In a job of many processes JAX's preemption service has the signal, and tells
every process of the notice that one of them got.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

STATUS = 75
# Written by XLA's PreemptionSyncManager when a process of the job gets SIGTERM.
_NOTICE = 'RECEIVED_PREEMPTION_NOTICE'


class Interrupted(SystemExit):
  """The process was asked to stop; the same command goes on where it stopped.

  Attributes:
    step: the training step that was saved last; None outside of training.
  """

  def __init__(self, step: int | None = None):
    super().__init__(STATUS)
    self.step = step

  def __str__(self) -> str:
    where = '' if self.step is None else f' after step {self.step}, saved'
    return (
      f'stopped by SIGTERM{where}; run the same command again to go on from '
      'there'
    )


class _Handler:
  """One for the process, which has one handler for a signal."""

  def __init__(self):
    self.noted = False
    self._depth = 0

  def note(self, number, frame) -> None:
    del number, frame
    self.noted = True

  def end(self, number, frame) -> None:
    self.note(number, frame)
    raise Interrupted

  @contextlib.contextmanager
  def use(self, function) -> Iterator[None]:
    main = threading.current_thread() is threading.main_thread()
    if not main or _job() is not None:
      yield
      return
    before = signal.signal(signal.SIGTERM, function)
    self._depth += 1
    try:
      yield
    finally:
      signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
      self._depth -= 1
      if not self._depth:
        self.noted = False


_HANDLER = _Handler()


def immediate():
  """Until the block ends, SIGTERM raises `Interrupted` in the main thread."""
  return _HANDLER.use(_HANDLER.end)


def deferred():
  """Until the block ends, SIGTERM waits for the next `check`.

  A signal that came and was not obeyed is kept until the outermost block ends.
  """
  return _HANDLER.use(_HANDLER.note)


def leave(seconds: float = 30.0) -> None:
  """Ends the process with `STATUS`, should its own way out take longer.

  After a notice JAX's preemption service sometimes never returns from its shut
  down (one process in a hundred, JAX 0.10.2), and a job would wait for it. Call
  it where `Interrupted` has passed whatever had to be saved.
  """
  if _job() is not None:
    timer = threading.Timer(seconds, os._exit, (STATUS,))
    timer.daemon = True
    timer.start()


def _job():
  """The client of JAX's job of many processes, None outside of one."""
  distributed = sys.modules.get('jax._src.distributed')  # nothing is loaded
  return distributed and distributed.global_state.client


def asked() -> bool:
  """Whether this process, or any process of its job, was asked to stop."""
  if _HANDLER.noted:
    return True
  if (job := _job()) is None:
    return False
  import jax

  try:
    return bool(job.key_value_try_get(_NOTICE))
  except jax.errors.JaxRuntimeError:  # no such key: no notice
    return False


def asked_at(step: int) -> bool:
  """Whether to stop after training step `step`; every process says the same.

  Every process must ask at every step.
  """
  if _job() is None:
    return _HANDLER.noted
  from jax.experimental import multihost_utils

  return multihost_utils.reached_preemption_sync_point(step)


def check() -> None:
  """Raises `Interrupted` if asked to stop; for work of one process alone."""
  if asked():
    raise Interrupted


def check_together() -> None:
  """`check` where all processes work on the same item; all raise, or none.

  Every process must call it at the same place: the first process decides.
  """
  if _job() is None:
    return check()
  import numpy as np
  from jax.experimental import multihost_utils

  if multihost_utils.broadcast_one_to_all(np.int32(asked())):
    raise Interrupted
