"""Counts the XLA programs that tests ask for: most of the suite's time.

A program is asked for when JAX meets a function, a shape or a static argument
for the first time; then it is traced, lowered, and compiled or read from the
cache on disk (tests/program_cache.py). How many there are does not depend on
the machine, and little on the order of the tests.
"""

import collections
import pathlib

import jax
import pytest

_COMPILED = '/jax/core/compile/backend_compile_duration'  # a read counts too
_READ = '/jax/compilation_cache/cache_hits'
_MAPPINGS = pathlib.Path('/proc/self/maps')
# A program holds about 3.3 of the 65,530 mappings of a Linux process.
_MOST_MAPPINGS = 40_000
_MOST_PROGRAMS = 10_000  # where mappings cannot be counted


def _mappings() -> int:
  return _MAPPINGS.read_bytes().count(b'\n') if _MAPPINGS.exists() else 0


class Counter:
  """A pytest plugin: counts by file, and drops programs before XLA falls over.

  Workers of pytest-xdist send their counts to the process that reports.
  """

  def __init__(self):
    self.programs = collections.Counter()  # by file
    self.read = 0  # of these from the cache on disk
    self.seconds = collections.Counter()  # by test
    self._file = 'collection'
    self._since = 0

  def pytest_configure(self):
    jax.monitoring.register_event_duration_secs_listener(self._on_duration)
    jax.monitoring.register_event_listener(self._on_event)

  def _on_duration(self, event: str, _: float, **__) -> None:
    if event == _COMPILED:
      self.programs[self._file] += 1
      self._since += 1

  def _on_event(self, event: str, **_) -> None:
    self.read += event == _READ

  @pytest.hookimpl(wrapper=True, tryfirst=True)
  def pytest_runtest_protocol(self, item, nextitem):
    self._file = item.nodeid.partition('::')[0]
    result = yield
    if nextitem is None or nextitem.path != item.path:
      self._forget()
    return result

  def _forget(self) -> None:
    """Drops what was compiled, once a process holds nearly all it may.

    Not after each file: files share programs. XLA falls over where a process
    has used up its mappings.
    """
    if _mappings() > _MOST_MAPPINGS or self._since > _MOST_PROGRAMS:
      jax.clear_caches()
      self._since = 0

  def pytest_runtest_logreport(self, report):
    self.seconds[report.nodeid] += report.duration

  def pytest_sessionfinish(self, session):
    if hasattr(session.config, 'workeroutput'):
      session.config.workeroutput['programs'] = dict(self.programs)
      session.config.workeroutput['read'] = self.read

  @pytest.hookimpl(optionalhook=True)
  def pytest_testnodedown(self, node):
    output = getattr(node, 'workeroutput', {})  # none from one that crashed
    self.programs.update(output.get('programs', {}))
    self.read += output.get('read', 0)

  def pytest_terminal_summary(self, terminalreporter):
    terminalreporter.section('XLA programs')
    for line in self.lines():
      terminalreporter.write_line(line)

  def lines(self) -> list[str]:
    """The report: a total, then the ten slowest tests and busiest files."""
    total = self.programs.total()
    out = [
      f'{total:,} programs: {total - self.read:,} compiled, {self.read:,} read '
      'from the cache'
    ]
    if len(self.programs) > 1:
      out += ['', 'programs  file']
      out += [f'{n:8,}  {name}' for name, n in self.programs.most_common(10)]
      out += ['', ' seconds  test']
      out += [f'{s:8.1f}  {name}' for name, s in self.seconds.most_common(10)]
    return out
