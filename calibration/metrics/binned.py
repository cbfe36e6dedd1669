"""Binned calibration errors and proper losses of confidences.

Definitions of docs/papers/semantic_calibration.md, sections 3.2 and 4.1;
calibration/metrics/smooth.py has the error that needs no bins.

A confidence k/M often equals a bin edge b/K, so the argument `edge` says which
bin owns an edge. 'left' means bins [lo, hi), with 1 in the last bin; 'right'
means bins (lo, hi], with 0 in the first bin. Edges and confidences are rounded
to the nearest float32 alike; `by_counts` uses integers alone.

Shapes: N answers, K bins. Every function broadcasts leading axes and computes
in float32. A weight is a number of copies; 0 or False marks padding, whose
values are ignored.
"""

import functools
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import special
from jaxtyping import Array, Bool, Float, Int, Shaped

Edge = Literal['left', 'right']
Weights = Float[Array, '... N'] | Bool[Array, '... N'] | None

# The most terms in one float32 sum. In a longer sum of equal terms, every
# addition rounds the same way, so the errors add up; a sum of partial sums
# avoids that.
_ROW = 32


class Bins(NamedTuple):
  """The bins of a reliability diagram.

  Attributes:
    weight: total weight of the answers in each bin, not negative.
    conf: mean confidence of each bin; 0 in an empty bin.
    correct: accuracy of each bin; 0 in an empty bin.
  """

  weight: Float[Array, '... K']
  conf: Float[Array, '... K']
  correct: Float[Array, '... K']


def check(name: str, conf, correct) -> None:
  """Raises unless every confidence is a probability and every label 0 or 1.

  Args:
    name: the name of the task, for the error message.
    conf: one-dimensional, in [0, 1].
    correct: booleans or numbers, as many as confidences; 1 for a correct
      answer. All labels may be equal: calibration is still defined.

  Raises:
    ValueError: a value is not as described.
  """
  conf, correct = np.asarray(conf), np.asarray(correct)
  if conf.ndim != 1 or conf.shape != correct.shape or not conf.size:
    raise ValueError(
      f'task {name!r}: confidences and labels must be two sequences of one '
      f'length, at least 1, got shapes {conf.shape} and {correct.shape}'
    )
  outside = conf[~((conf >= 0) & (conf <= 1))]
  if outside.size:
    raise ValueError(
      f'task {name!r}: confidences must lie in [0, 1], got {outside[0]}; give '
      'probabilities, not scores or percentages'
    )
  values = np.unique(correct)
  if not set(values.tolist()) <= {0, 1}:
    raise ValueError(
      f'task {name!r}: labels must be 0 or 1, got {values[:5].tolist()}'
    )


def prepare(conf, correct, weights=None):
  """Returns conf, correct and weights as float32 arrays of one shape.

  Padding becomes (1/2, 0, 0), so that its values cannot produce a NaN.
  """
  conf, correct = jnp.asarray(conf), jnp.asarray(correct)
  if weights is None:
    weights = jnp.ones(conf.shape[-1])
  conf, correct, weights = jnp.broadcast_arrays(conf, correct, weights)
  weights = weights.astype(jnp.float32)
  counted = weights > 0
  return (
    jnp.where(counted, conf.astype(jnp.float32), 0.5),
    jnp.where(counted, correct.astype(jnp.float32), 0.0),
    weights,
  )


def batched(function, *arrays):
  """Maps a `function` of rows over the leading axes of arrays of one shape."""
  lead, size = arrays[0].shape[:-1], arrays[0].shape[-1]
  # Not reshape(-1, size): without answers JAX cannot infer the -1.
  rows = math.prod(lead)
  out = jax.vmap(function)(*(a.reshape(rows, size) for a in arrays))
  return jax.tree.map(lambda a: a.reshape(*lead, *a.shape[1:]), out)


def _mean(values, weights):
  """The weighted mean over the last axis; NaN if all weights are 0."""
  return jnp.sum(values * weights, -1) / jnp.sum(weights, -1)


@jax.jit
def brier(
  conf: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: Weights = None,
) -> Float[Array, '...']:
  """Brier score, the mean of (c - a)^2; a constant c = 1/2 scores 0.25."""
  c, a, w = prepare(conf, correct, weights)
  return _mean((c - a) ** 2, w)


@functools.partial(jax.jit, static_argnames='floor')
def log_loss(
  conf: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: Weights = None,
  *,
  floor: float = 0.0,
) -> Float[Array, '...']:
  """Cross-entropy, the mean of -a log c - (1 - a) log(1 - c), in nats.

  Args:
    conf: in [0, 1]. A wrong answer with confidence 1 makes the mean infinite.
    correct: 0 or 1.
    weights: copies.
    floor: in [0, 1/2); confidences are clipped to [floor, 1 - floor]. A floor
      of 1 / (2 M) suits frequencies over M samples (ours, not the paper's).
  """
  if not 0.0 <= floor < 0.5:
    raise ValueError(f'floor must lie in [0, 0.5), got {floor}')
  c, a, w = prepare(conf, correct, weights)
  c = jnp.clip(c, floor, 1.0 - floor)
  loss = -special.xlogy(a, c) - special.xlog1py(1.0 - a, -c)
  return _mean(loss, w)


@jax.jit
def gap(
  conf: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: Weights = None,
) -> Float[Array, '...']:
  """mean(c) - mean(a): positive where the model is overconfident."""
  c, a, w = prepare(conf, correct, weights)
  return _mean(c - a, w)


def _rows(value_N):
  short = -len(value_N) % _ROW
  value_N = jnp.pad(value_N, [(0, short)] + [(0, 0)] * (value_N.ndim - 1))
  return value_N.reshape(-1, _ROW, *value_N.shape[1:])


def _sums(value_N, bin_N, bins):
  add = functools.partial(jax.ops.segment_sum, num_segments=bins)
  sum_RK = jax.vmap(add)(_rows(value_N), _rows(bin_N))
  while len(sum_RK) > 1:
    sum_RK = _rows(sum_RK).sum(1)
  return sum_RK.sum(0)  # one row, or none where there are no answers


def _bins(bins, conf_N, correct_N, weight_N, bin_N):
  weight_K = _sums(weight_N, bin_N, bins)
  # In an empty bin the sums are 0, so dividing by 1 gives 0.
  share_K = jnp.where(weight_K > 0, weight_K, 1.0)
  return Bins(
    weight_K,
    _sums(weight_N * conf_N, bin_N, bins) / share_K,
    _sums(weight_N * correct_N, bin_N, bins) / share_K,
  )


def _check_bins(bins, edge='left'):
  if bins < 1:
    raise ValueError(f'bins must be positive, got {bins}')
  if edge not in ('left', 'right'):
    raise ValueError(f"edge must be 'left' or 'right', got {edge!r}")


@functools.partial(jax.jit, static_argnames=('bins', 'edge'))
def by_width(
  conf: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: Weights = None,
  *,
  bins: int = 10,
  edge: Edge = 'left',
) -> Bins:
  """Bins of equal width.

  Args:
    conf: in [0, 1].
    correct: 0 or 1.
    weights: copies.
    bins: K.
    edge: which bin owns an edge, see above.
  """
  _check_bins(bins, edge)
  # NumPy divides exactly; XLA may multiply by the reciprocal of a constant.
  inner = np.arange(1, bins, dtype=np.float32) / np.float32(bins)
  c, a, w = prepare(conf, correct, weights)
  side = 'right' if edge == 'left' else 'left'
  bin_ = jnp.searchsorted(inner, c, side=side)
  return batched(functools.partial(_bins, bins), c, a, w, bin_)


@functools.partial(jax.jit, static_argnames=('bins', 'edge'))
def by_counts(
  counts: Int[Array, '... N'],
  total: Int[Array, '... N'] | Int[Array, ''],
  correct: Shaped[Array, '... N'],
  weights: Weights = None,
  *,
  bins: int = 10,
  edge: Edge = 'left',
) -> Bins:
  """Bins of equal width for confidences counts/total, in integer arithmetic.

  Args:
    counts: number of samples in the answer's class, 0 to total.
    total: number of samples M, at most 2^31 / K.
    correct: 0 or 1.
    weights: copies.
    bins: K.
    edge: which bin owns an edge, see above.
  """
  _check_bins(bins, edge)
  counts, total = jnp.broadcast_arrays(counts, total)
  c, a, w = prepare(counts / total, correct, weights)
  counts, total = (jnp.broadcast_to(n, c.shape) for n in (counts, total))
  scaled = counts * bins
  if edge == 'left':
    bin_ = scaled // total
  else:
    bin_ = (scaled + total - 1) // total - 1
  bin_ = jnp.clip(bin_, 0, bins - 1)
  return batched(functools.partial(_bins, bins), c, a, w, bin_)


def _mass(bins, conf_N, correct_N, weight_N):
  order_N = jnp.argsort(conf_N)
  c_N, a_N, w_N = conf_N[order_N], correct_N[order_N], weight_N[order_N]
  below_N = jnp.concatenate([jnp.zeros(1), jnp.cumsum(w_N)])
  first_N = below_N[jnp.searchsorted(c_N, c_N, side='left')]
  end_N = below_N[jnp.searchsorted(c_N, c_N, side='right')]
  bin_N = jnp.floor(0.5 * (first_N + end_N) * bins / below_N[-1])
  bin_N = jnp.clip(bin_N.astype(jnp.int32), 0, bins - 1)
  return _bins(bins, c_N, a_N, w_N, bin_N)


@functools.partial(jax.jit, static_argnames='bins')
def by_mass(
  conf: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: Weights = None,
  *,
  bins: int = 10,
) -> Bins:
  """Bins of equal mass; answers of equal confidence share a bin.

  Answers of equal confidence go to the bin that contains the middle of their
  mass, so the order of the answers does not matter. Ties make the bins uneven,
  and some may be empty. The papers state no rule for ties; this one is ours.

  Args:
    conf: in [0, 1].
    correct: 0 or 1.
    weights: copies.
    bins: K.
  """
  _check_bins(bins)
  rows = prepare(conf, correct, weights)
  return batched(functools.partial(_mass, bins), *rows)


def _levels(conf_N, correct_N, weight_N):
  order_N = jnp.argsort(conf_N)
  c_N, a_N, w_N = conf_N[order_N], correct_N[order_N], weight_N[order_N]
  first_N = jnp.searchsorted(c_N, c_N, side='left')
  none_N = jnp.zeros(c_N.shape)
  # Every answer of a level has the level's confidence, so that is their mean.
  weight_N = none_N.at[first_N].add(w_N)
  right_N = none_N.at[first_N].add(w_N * a_N)
  there_N = weight_N > 0
  return Bins(
    weight_N,
    jnp.where(there_N, c_N, 0.0),
    jnp.where(there_N, right_N / jnp.where(there_N, weight_N, 1.0), 0.0),
  )


@jax.jit
def by_level(
  conf: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: Weights = None,
) -> Bins:
  """One bin for each distinct confidence, for frequencies k/M.

  There are N bins in ascending order; a repeated confidence leaves bins empty.

  Args:
    conf: in [0, 1].
    correct: 0 or 1.
    weights: copies.
  """
  return batched(_levels, *prepare(conf, correct, weights))


@jax.jit
def ece(bins: Bins) -> Float[Array, '...']:
  """Expected calibration error, the weighted mean of |conf - accuracy|."""
  return _mean(jnp.abs(bins.conf - bins.correct), bins.weight)


@jax.jit
def rmsce(bins: Bins) -> Float[Array, '...']:
  """Root mean squared calibration error, over the bins by weight."""
  return jnp.sqrt(_mean((bins.conf - bins.correct) ** 2, bins.weight))


@jax.jit
def loss_gap(bins: Bins) -> Float[Array, '...']:
  """The cross-entropy that recalibration would save, in nats per answer.

  E_c[KL(Bern(acc(c)) || Bern(c))] is the gain of the best tilt of section 3.2
  at each confidence; the signed gap is its first derivative. By Pinsker's
  inequality, E[(acc - c)^2], the square of `rmsce`, is at most half of it.

  Args:
    bins: `by_level` if confidences take few values, otherwise `by_width`.

  Returns:
    Not negative; infinite if an answer with confidence 0 is correct, or one
    with confidence 1 is wrong.
  """
  c, a = bins.conf, bins.correct
  right = special.xlogy(a, a) - special.xlogy(a, c)
  wrong = special.xlogy(1 - a, 1 - a) - special.xlog1py(1 - a, -c)
  # Rounding may make a divergence slightly negative.
  return _mean(jnp.maximum(right + wrong, 0.0), bins.weight)
