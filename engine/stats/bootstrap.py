"""Percentile intervals of a statistic, its samples drawn again; no JAX.

`interval` draws on the host; engine/stats/replicates.py draws inside a program
of JAX. Both end in `percentile`.

Shapes: N samples, R replicates.
"""

from collections.abc import Callable

import numpy as np


def check(draws: int, level: float) -> None:
  """Raises ValueError unless an interval can be made."""
  if draws < 1 or not 0.0 < level < 1.0:
    raise ValueError(
      'draws must be positive and level in (0, 1), got '
      f'draws={draws} and level={level}'
    )


def percentile(estimate, values, level: float):
  """[estimate, low, high], [3, ...]: the quantiles that leave `level` between.

  Args:
    estimate: the statistic of the samples themselves, [...], or their mean.
    values: of the replicates, [R, ...]; those that are NaN are left out.
    level: in (0, 1).

  Returns:
    All NaN where the estimate is.
  """
  xp = values.__array_namespace__()
  tail = (1.0 - level) / 2
  low, high = xp.nanquantile(values, xp.asarray([tail, 1.0 - tail]), axis=0)
  out = xp.stack([estimate, low, high])
  return xp.where(xp.isnan(estimate), xp.nan, out)


def interval(
  statistic: Callable[[np.ndarray], np.ndarray],
  size: int,
  *,
  draws: int = 2000,
  level: float = 0.95,
  seed: int = 0,
) -> np.ndarray:
  """A statistic and its percentile interval, samples drawn with replacement.

  Args:
    statistic: takes indices of samples [..., N] and returns float64 [...].
    size: N.
    draws: R, positive.
    level: in (0, 1).
    seed: the same one draws the same samples for every statistic.

  Returns:
    [estimate, low, high] in float64; all NaN where the estimate is.
  """
  check(draws, level)
  estimate = statistic(np.arange(size))
  if np.isnan(estimate):
    return np.full(3, np.nan)
  rng = np.random.default_rng(seed)
  drawn = rng.integers(0, size, (draws, size))
  return percentile(estimate, statistic(drawn), level)
