"""Progress of long work: a bar on a terminal, a line a minute in a log."""

import sys
import time

import tqdm
from absl import logging


class Progress:
  """Counts `total` units of work; use as a context manager."""

  def __init__(
    self,
    what: str,
    total: int | None,
    *,
    unit: str,
    enabled: bool = True,
    log_seconds: float = 60.0,
  ):
    self._what, self._total, self._unit = what, total, unit
    self._log_seconds = log_seconds if enabled else float('inf')
    self._done = 0
    self._began = self._logged = time.monotonic()
    self._bar = None
    if enabled and sys.stderr.isatty():
      self._bar = tqdm.tqdm(
        desc=what, total=total, unit=unit, leave=False, unit_scale=True
      )

  def __enter__(self) -> 'Progress':
    return self

  def __exit__(self, *exc_info) -> None:
    if self._bar is not None:
      self._bar.close()

  def update(self, count: int) -> None:
    """Adds `count` finished units."""
    self._done += count
    now = time.monotonic()
    if self._bar is not None:
      self._bar.update(count)
    elif now - self._logged >= self._log_seconds:
      self._logged = now
      rate = self._done / (now - self._began)
      total = '' if self._total is None else f' of {self._total}'
      logging.info(
        '%s: %d%s %s, %.0f a second',
        self._what,
        self._done,
        total,
        self._unit,
        rate,
      )
