"""Calibration of confidences by bins and by proper losses.

Definitions of docs/papers/semantic_calibration.md, sections 3.2 and 4.1; the
error that needs no bins is in calibration/metrics/smooth.py.

A confidence k/M lies on a bin's edge more often than not, so which bin owns an
edge is an argument: 'left' has bins [lo, hi) and puts 1 into the last, 'right'
has (lo, hi] and puts 0 into the first. Edges are the float32 nearest to b/K,
as a confidence is the one nearest to k/M; `by_counts` needs no floats at all.

Shapes: N answers, K bins. Every function takes leading axes, broadcasts them,
and computes in float32. A weight counts copies; 0 or False is padding, where
any value may stand.
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

# Terms of a float32 sum. One that grows for longer rounds equal terms alike, so
# that their errors add up; sums of sums do not.
_ROW = 32


class Bins(NamedTuple):
  """What a reliability diagram shows.

  Attributes:
    weight: of a bin's answers, not negative.
    conf: their mean confidence; 0 in an empty bin.
    correct: their accuracy; 0 in an empty bin.
  """

  weight: Float[Array, '... K']
  conf: Float[Array, '... K']
  correct: Float[Array, '... K']


def check(name: str, conf, correct) -> None:
  """Raises unless every confidence is a probability and every label 0 or 1.

  Args:
    name: of the task, for the message.
    conf: one-dimensional, in [0, 1].
    correct: of the same length: booleans or numbers, 1 for a right answer.
      One class alone is no error here: calibration is defined without another.

  Raises:
    ValueError: naming the task, what was expected and what came.
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
  """Three float32 arrays of one shape; padding is silenced to (1/2, 0, 0)."""
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
  """`function` of one row, over all leading axes of arrays of one shape."""
  lead, size = arrays[0].shape[:-1], arrays[0].shape[-1]
  # Not reshape(-1, size): without answers JAX cannot infer the -1.
  rows = math.prod(lead)
  out = jax.vmap(function)(*(a.reshape(rows, size) for a in arrays))
  return jax.tree.map(lambda a: a.reshape(*lead, *a.shape[1:]), out)


def _mean(values, weights):
  """NaN where nothing counts."""
  return jnp.sum(values * weights, -1) / jnp.sum(weights, -1)


@jax.jit
def brier(
  conf: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: Weights = None,
) -> Float[Array, '...']:
  """Mean of (c - a)^2: 0 is perfect, 0.25 a coin's."""
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
  """Mean of -log of what was given to what came true, in nats.

  Args:
    conf: probabilities. One wrong answer at 1 makes the mean infinite.
    correct: 0 or 1.
    weights: copies.
    floor: confidences are first brought into [floor, 1 - floor], in [0, 1/2);
      1 / (2 M) is fair to frequencies of M samples (ours, not the paper's).
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
  # An empty bin's sums are zero too.
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
    edge: who owns b/K, see above.
  """
  _check_bins(bins, edge)
  # By NumPy: a program may divide by a constant through its reciprocal.
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
  """Bins of equal width for confidences counts/total, by whole numbers.

  Args:
    counts: samples that fell into the answer's class, 0 to total.
    total: samples drawn, M; at most 2^31 / K.
    correct: 0 or 1.
    weights: copies.
    bins: K.
    edge: who owns b/K.
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
  """Bins of equal mass, equal confidences always together.

  Equals go where the middle of their mass lies, so that the order of the
  answers does not matter; bins are then uneven, and some may be empty. (Which
  rule for equals is ours; the papers state none.)

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
  # Counts are exact; a level's mean is its one value.
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
  """A bin for every value that a confidence takes: for frequencies k/M.

  There are N bins, ascending, most of them empty.

  Args:
    conf: in [0, 1].
    correct: 0 or 1.
    weights: copies.
  """
  return batched(_levels, *prepare(conf, correct, weights))


@jax.jit
def ece(bins: Bins) -> Float[Array, '...']:
  """Expected calibration error: mean of |conf - accuracy| over answers."""
  return _mean(jnp.abs(bins.conf - bins.correct), bins.weight)


@jax.jit
def rmsce(bins: Bins) -> Float[Array, '...']:
  """Root mean squared calibration error."""
  return jnp.sqrt(_mean((bins.conf - bins.correct) ** 2, bins.weight))


@jax.jit
def loss_gap(bins: Bins) -> Float[Array, '...']:
  """Cross-entropy that recalibration would save, in nats an answer.

  E_c[KL(Bern(acc(c)) || Bern(c))], what the best tilt of section 3.2 gains at
  every confidence; the signed gap is its first derivative. By Pinsker's
  inequality E[(acc - c)^2], the square of `rmsce`, is at most half of it.

  Args:
    bins: `by_level` for confidences with few values, `by_width` for others.

  Returns:
    Not negative; infinite where answers at 0 are right, or at 1 wrong.
  """
  c, a = bins.conf, bins.correct
  right = special.xlogy(a, a) - special.xlogy(a, c)
  wrong = special.xlogy(1 - a, 1 - a) - special.xlog1py(1 - a, -c)
  # Rounding may leave it below; an empty bin has none.
  return _mean(jnp.maximum(right + wrong, 0.0), bins.weight)
