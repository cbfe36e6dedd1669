"""Ranks, and the agreement of two columns: Spearman, Pearson, Cohen's kappa.

Equal values share the middle of their ranks, so the order of the rows never
matters. What engine/stats/__init__.py says of NaN, padding and dtypes holds.

`runs`, `cumulative`, `midranks`, `area` and `pearson` take the arrays of NumPy
or of JAX; JAX is loaded only by those who bring its arrays, for figures are
drawn without it. `spearman` and `kappa` work on the host.

Shapes: N samples; leading axes are batches.
"""

from typing import Any, NamedTuple

import numpy as np

# Above it, float32 no longer tells neighbouring whole numbers apart.
_FLOAT32_COUNTS = 2**24


class Runs(NamedTuple):
  """Samples in ascending order, and the runs of equal values in that order.

  Attributes:
    order: indices that sort, [..., N].
    first: of each place in the order, the first place of its run.
    end: likewise, one past the last place of its run.
  """

  order: Any
  first: Any
  end: Any


def take(values, at):
  """`take_along_axis` over the last axis, indices known to be in range."""
  if isinstance(values, np.ndarray):
    return np.take_along_axis(values, at, axis=-1)
  from jax import numpy as jnp

  return jnp.take_along_axis(values, at, axis=-1, mode='promise_in_bounds')


def _sort(keys):
  """The order by the first key, then by the next, and the sorted keys."""
  if isinstance(keys[0], np.ndarray):
    order = np.lexsort(keys[::-1])
    return order, [take(key, order) for key in keys]
  from jax import lax

  index = lax.broadcasted_iota(int, keys[0].shape, keys[0].ndim - 1)
  *ordered, order = lax.sort((*keys, index), num_keys=len(keys))
  return order, ordered


def _latest(at):
  """The running maximum over the last axis."""
  if isinstance(at, np.ndarray):
    return np.maximum.accumulate(at, axis=-1)
  from jax import lax

  return lax.cummax(at, axis=at.ndim - 1)


def edges(*ordered) -> tuple[Any, Any]:
  """`first` and `end` of the runs in which none of the sorted keys changes."""
  xp = ordered[0].__array_namespace__()
  size = ordered[0].shape[-1]
  new = ordered[0][..., 1:] != ordered[0][..., :-1]
  for key in ordered[1:]:
    new = new | (key[..., 1:] != key[..., :-1])
  yes = xp.ones((*new.shape[:-1], min(size, 1)), bool)
  starts = xp.concatenate([yes, new], -1)
  stops = xp.concatenate([new, yes], -1)[..., ::-1]
  at = xp.arange(size)
  first = _latest(xp.where(starts, at, 0))
  return first, size - _latest(xp.where(stops, at, 0))[..., ::-1]


def runs(*keys) -> Runs:
  """Sorts by the first key, then by the next, and finds the runs of equals.

  Args:
    keys: [..., N], of one shape.

  Raises:
    ValueError: more samples than the float32 of JAX can count.
  """
  xp = keys[0].__array_namespace__()
  size = keys[0].shape[-1]
  if xp is not np and size > _FLOAT32_COUNTS:
    raise ValueError(
      f'ranks in float32 are exact up to {_FLOAT32_COUNTS:,} samples, got '
      f'{size:,}; give NumPy arrays, which are counted in integers'
    )
  order, ordered = _sort(keys)
  return Runs(order, *edges(*ordered))


def cumulative(weights):
  """0 and the cumulative sums, [..., N + 1]: the weight before each place."""
  xp = weights.__array_namespace__()
  zero = xp.zeros((*weights.shape[:-1], 1), weights.dtype)
  return xp.concatenate([zero, xp.cumsum(weights, -1)], -1)


def _twice_below(at: Runs, weights):
  """Twice the weight of smaller samples and half that of equals, in order."""
  before = cumulative(weights)
  return take(before, at.first) + take(before, at.end)


def midranks(values, weights=None):
  """Ranks from 1, equal values at the middle of theirs, [..., N].

  Args:
    values: in any unit; the rank of a NaN means nothing.
    weights: copies; padding has ranks too, and counts in none.
  """
  xp = values.__array_namespace__()
  if weights is None:
    weights = xp.ones(values.shape, int)
  at = runs(values)
  twice = _twice_below(at, take(weights, at.order))
  return take((twice + 1) / 2, xp.argsort(at.order, -1))


def area(at: Runs, positive, negative):
  """The AUROC of samples that are sorted, [...]; see engine/stats/auroc.py.

  Args:
    at: of the scores.
    positive: weights of label 1, in the order of `at`; 0 for the others.
    negative: likewise of label 0.

  Returns:
    Whole weights are counted in whole numbers, and divided once.
  """
  twice = (positive * _twice_below(at, negative)).sum(-1)
  return twice / (2 * positive.sum(-1) * negative.sum(-1))


def pearson(a, b, weights):
  """Pearson's correlation of two columns, [...], in [-1, 1].

  Args:
    a: [..., N], floats.
    b: likewise.
    weights: of the samples, floats of the same shape.
  """
  xp = a.__array_namespace__()
  counted = weights > 0

  def centred(values):
    values = xp.where(counted, values, 0.0)
    return values - (share * values).sum(-1, keepdims=True)

  def varies(values):
    low = xp.where(counted, values, xp.inf).min(-1, initial=xp.inf)
    high = xp.where(counted, values, -xp.inf).max(-1, initial=-xp.inf)
    return high > low

  total = weights.sum(-1, keepdims=True)
  share = weights / xp.where(total > 0, total, 1.0)
  known = varies(a) & varies(b)
  a, b = centred(a), centred(b)
  square = (share * a**2).sum(-1) * (share * b**2).sum(-1)
  r = (share * a * b).sum(-1) / xp.sqrt(xp.where(known, square, 1.0))
  return xp.where(known, xp.clip(r, -1.0, 1.0), xp.nan)


def exact(weights) -> np.ndarray:
  """Weights on the host: int64 where they are whole or boolean, or float64."""
  weights = np.asarray(weights)
  return weights.astype(np.float64 if weights.dtype.kind == 'f' else np.int64)


def _prepare(a, b, weights):
  """Three NumPy arrays of one shape, padding at 0, and where a NaN counts."""
  a, b = np.asarray(a), np.asarray(b)
  weights = exact(np.ones(a.shape[-1], int) if weights is None else weights)
  a, b, weights = np.broadcast_arrays(a, b, weights)
  a, b = (np.where(weights > 0, values, 0) for values in (a, b))
  return a, b, weights, (np.isnan(a) | np.isnan(b)).any(-1)


def spearman(a, b, weights=None) -> np.ndarray:
  """Spearman's correlation: Pearson's of the midranks; float64, on the host.

  Args:
    a: [..., N], in any unit; leading axes broadcast.
    b: likewise.
    weights: copies.

  Returns:
    In [-1, 1], [...]; NaN where either does not vary.
  """
  a, b, weights, broken = _prepare(a, b, weights)
  rank_a, rank_b = midranks(a, weights), midranks(b, weights)
  return np.where(broken, np.nan, pearson(rank_a, rank_b, weights * 1.0))


def kappa(a, b, weights=None) -> np.ndarray:
  """Cohen's kappa: agreement of two judges beyond chance; on the host.

  (p - q) / (1 - q), p the share on which they agree and q the share on which
  two judges would who give the same classes as often, but independently.
  Counted in whole numbers where the weights are whole.

  Args:
    a: [..., N], the classes that one judge gave; leading axes broadcast.
    b: the other's.
    weights: copies.

  Returns:
    1 for full agreement, 0 for chance, [...]; NaN where chance leaves no room:
    both gave one and the same class throughout.
  """
  a, b, weights, broken = _prepare(a, b, weights)
  total = weights.sum(-1)
  agreed = np.where(a == b, weights, 0).sum(-1)
  by_chance = np.zeros_like(total)
  undefined = broken | (total == 0)
  for value in np.unique(a):
    of_a = np.where(a == value, weights, 0).sum(-1)
    of_b = np.where(b == value, weights, 0).sum(-1)
    by_chance += of_a * of_b
    undefined |= (of_a == total) & (of_b == total)
  room = np.where(undefined, 1, total * total - by_chance)
  return np.where(undefined, np.nan, (total * agreed - by_chance) / room)
