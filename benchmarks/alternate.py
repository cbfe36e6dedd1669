"""Two sides of a benchmark, each in a process of its own, taking turns.

Machines are noisy: only a ratio of neighbouring runs means anything, and a
library's idle threads must not slow the other side down.
"""

import contextlib
import multiprocessing
import os
import statistics
from collections.abc import Callable, Collection, Iterator, Mapping

import tqdm


def _serve(make, connection) -> None:
  run = make()
  connection.send('ready')
  # The other end closes if its program dies.
  with contextlib.suppress(EOFError):
    while connection.recv() == 'run':
      connection.send(run())


@contextlib.contextmanager
def _environment(name: str, *, keep: bool):
  value = os.environ.get(name)
  if not keep:
    os.environ.pop(name, None)
  yield
  if value is not None:
    os.environ[name] = value


@contextlib.contextmanager
def sides(
  makers: Mapping[str, Callable[[], Callable[[], float]]],
  plain: Collection[str] = (),
) -> Iterator[Mapping[str, Callable[[], float]]]:
  """Starts a process a side; calling a side runs it once.

  Args:
    makers: picklable functions; each builds and warms up one side and
      returns a function that runs it once and gives what it measured.
    plain: sides that get malloc as the system has it, without the tunables
      that our launchers set (launch/cli.py).
  """
  context = multiprocessing.get_context('spawn')
  started = {}
  try:
    for name, make in makers.items():
      ours, theirs = context.Pipe()
      # Not a daemon: a side may have processes of its own.
      process = context.Process(target=_serve, args=(make, theirs))
      with _environment('GLIBC_TUNABLES', keep=name not in plain):
        process.start()
      theirs.close()
      started[name] = (process, ours)
      if ours.recv() != 'ready':
        raise RuntimeError(f'side {name} did not start')

    def runner(connection):
      def run():
        connection.send('run')
        return connection.recv()

      return run

    yield {
      name: runner(connection) for name, (_, connection) in started.items()
    }
  finally:
    for process, connection in started.values():
      with contextlib.suppress(OSError):
        connection.send('stop')
      process.join(5)
      process.terminate()


def medians(
  makers, *, repeats: int, plain: Collection[str] = ()
) -> dict[str, float]:
  """Median over `repeats` rounds of what every side measures."""
  measured = {name: [] for name in makers}
  with sides(makers, plain) as running:
    for _ in tqdm.trange(repeats, desc='rounds', leave=False):
      for name, run in running.items():
        measured[name].append(run())
  return {name: statistics.median(values) for name, values in measured.items()}
