"""What a launcher shows at the end: figures, and where the time went."""

import importlib
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any


class Clock:
  """Seconds by stage, in order."""

  def __init__(self):
    self._last = time.monotonic()
    self._stages: list[tuple[str, float]] = []

  def lap(self, stage: str) -> None:
    """Ends a stage; the next begins."""
    now = time.monotonic()
    self._stages.append((stage, now - self._last))
    self._last = now

  def runs(self, summaries: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Ends the runs of a sweep, told apart by what their summaries say.

    Runs that were finished before took no time now: then only the whole is
    told.
    """
    took = time.monotonic() - self._last
    parts = [
      (f'{name}, {stage}', sum(run.get(f'seconds_{stage}', 0) for run in runs))
      for name, runs in summaries.items()
      for stage in ('train', 'eval')
    ]
    parts = [(name, seconds) for name, seconds in parts if seconds]
    told = sum(seconds for _, seconds in parts)
    if told <= took:
      self._stages += parts
      self._last += told
      self.lap('rest (start, compile, save)')
    else:
      self.lap('runs')

  def __str__(self) -> str:
    total = sum(seconds for _, seconds in self._stages)
    lines = [
      f'  {stage:<34} {seconds:7.1f} s'
      for stage, seconds in [*self._stages, ('total', total)]
    ]
    return '\n'.join(['where the time went', *lines])


def figures(module: str, workdir: pathlib.Path) -> None:
  """Draws all figures, then prints what the area shows and their paths.

  Args:
    module: with draw and show; nothing happens where it is empty.
    workdir: of a finished run or sweep.
  """
  if not module:
    return
  plots = importlib.import_module(module)
  paths = plots.draw(workdir)
  print(plots.show(workdir, colour=sys.stdout.isatty()))
  print('\nfigures:')
  for path in paths:
    print(f'  {path}')
  print()
