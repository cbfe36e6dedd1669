"""Metrics of a logging interval, gathered on the host.

An interval can be cut by SIGTERM. What it holds is saved with the checkpoint,
so that the line written at its end is that of an uninterrupted run.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from engine import metrics


class Interval:
  """Sums since the last `take`, and the rates of the intervals before.

  `rates`: tokens a second, one number an interval.
  """

  def __init__(self):
    self.rates: list[float] = []
    self._clear()

  def _clear(self):
    self._sums: dict[str, Any] = {}
    self._began = time.monotonic()

  def pause(self) -> None:
    """Leaves out of the rate what the clock saw so far; call when empty."""
    self._began = time.monotonic()

  def add(self, values: Mapping[str, Any]) -> None:
    """One step: means are merged, `tokens` summed, of others the last kept."""
    for name, value in values.items():
      old = self._sums.get(name)
      if old is not None and isinstance(value, metrics.Mean):
        value = old.merge(value)
      elif old is not None and name == 'tokens':
        value = old + value
      self._sums[name] = value

  def take(self) -> dict[str, float]:
    """The interval as {'train/name': number}; the next one begins."""
    out = {
      f'train/{name}': float(
        value.compute() if isinstance(value, metrics.Mean) else value
      )
      for name, value in self._sums.items()
      if not (isinstance(value, metrics.Mean) and value.count == 0)
    }
    if 'train/tokens' in out:
      rate = out['train/tokens'] / (time.monotonic() - self._began)
      self.rates.append(rate)
    self._clear()
    return out

  def state(self) -> dict[str, Any]:
    """All of it, as JSON; float32 sums survive the way bit for bit."""
    sums = {
      name: [float(value.total), float(value.count)]
      if isinstance(value, metrics.Mean)
      else np.asarray(value).item()
      for name, value in self._sums.items()
    }
    seconds = time.monotonic() - self._began
    return {'sums': sums, 'seconds': seconds, 'rates': self.rates}

  def set_state(self, state: Mapping[str, Any]) -> None:
    """Goes on from what `state` returned."""
    self.rates = list(state['rates'])
    self._sums = {
      name: metrics.Mean(*map(np.float32, value))
      if isinstance(value, list)
      else value
      for name, value in state['sums'].items()
    }
    self._began = time.monotonic() - state['seconds']
