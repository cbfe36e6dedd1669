"""Uncertainty from a finite sample: intervals, bands, and the null floor.

A bootstrap replicate is a vector of weights: an answer counts as often as it
was drawn. So every metric with weights can be resampled. Replicates run in
blocks, which bounds the memory. The null hypothesis (section 4.2 of
docs/papers/semantic_calibration.md) is perfect calibration: it keeps the
confidences and draws correctness at these rates. A small sample from a
calibrated model has a positive error too; the floor is that error.

Shapes: N answers, R replicates, T points of a curve's mesh.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Shaped

from calibration.metrics import binned, smooth
from engine.stats import bootstrap as bootstrap_lib
from engine.stats import replicates


class Band(NamedTuple):
  """The pointwise lower and upper bounds of an accuracy curve."""

  low: Float[Array, ' T']
  high: Float[Array, ' T']


def _each(function, key, draws, conf):
  return replicates.each(function, key, draws, max(conf.size, smooth.GRID))


def _null(conf_N):
  def draw(key):
    uniform_N = jax.random.uniform(key, conf_N.shape)
    return (uniform_N < conf_N).astype(jnp.float32)

  return draw


@functools.partial(jax.jit, static_argnames=('metric', 'draws', 'level'))
def bootstrap(
  metric: Callable,
  key: Key[Array, ''],
  conf: Float[Array, ' N'],
  correct: Shaped[Array, ' N'],
  weights: binned.Weights = None,
  *,
  draws: int = 1000,
  level: float = 0.95,
) -> Float[Array, '3 ...']:
  """An estimate and its percentile bootstrap interval.

  Args:
    metric: maps (conf, correct, weights) to an array. It is static, so pass a
      named function.
    key: consumed here.
    conf: in [0, 1], or scores in any unit that `metric` takes.
    correct: 0 or 1.
    weights: 0 or False for padding, which is never drawn; a drawn answer keeps
      its weight.
    draws: number of replicates, positive.
    level: coverage of the interval, in (0, 1).

  Returns:
    [estimate, low, high] in the first axis, then the axes of the metric.
    Replicates in which the metric is NaN are left out. An error that cannot be
    negative is larger in replicates than in the estimate: compare `null_floor`.
  """
  _, _, weight_N = binned.prepare(conf, correct, weights)
  return replicates.interval(
    lambda weight_N: metric(conf, correct, weight_N),
    key,
    weight_N,
    draws=draws,
    level=level,
    size=smooth.GRID,
  )


@functools.partial(jax.jit, static_argnames=('metric', 'draws', 'level'))
def null_floor(
  metric: Callable,
  key: Key[Array, ''],
  conf: Float[Array, ' N'],
  weights: binned.Weights = None,
  *,
  draws: int = 200,
  level: float = 0.95,
) -> Float[Array, '3 ...']:
  """The value of `metric` under perfect calibration at these confidences.

  Args:
    metric: maps (conf, correct, weights) to an array; static.
    key: consumed here.
    conf: in [0, 1]; correctness is drawn at these rates.
    weights: copies, which are all correct or all wrong; 0 or False for padding.
    draws: number of replicates, positive.
    level: coverage of the interval, in (0, 1).

  Returns:
    [mean, low, high] in the first axis, then the axes of the metric.
  """
  bootstrap_lib.check(draws, level)
  conf_N, _, weight_N = binned.prepare(conf, conf, weights)
  draw = _null(conf_N)

  def replicate(key):
    return metric(conf_N, draw(key), weight_N)

  value_R = _each(replicate, key, draws, conf)
  return bootstrap_lib.percentile(value_R.mean(0), value_R, level)


def curves(conf_N, width):
  """Returns a function from (weights, correct) [N] to accuracy on the mesh.

  It spreads the answers onto the grid, or interpolates the matrix at their
  confidences, whichever makes the product smaller.
  """
  matrix_GT = smooth.matrix(width)
  if conf_N.size > smooth.GRID:

    def by_grid(weight_N, correct_N):
      grid = smooth.spread(conf_N, correct_N, weight_N)
      residual_T = smooth.product(smooth.residual(grid), matrix_GT)
      mass_T = smooth.product(grid.mass, matrix_GT)
      return smooth.accuracy(residual_T, mass_T)

    return by_grid
  cell_N, share_N = smooth.places(conf_N)
  share_N1 = share_N[:, None]

  def at(matrix_GT):
    left_NT, right_NT = matrix_GT[cell_N], matrix_GT[cell_N + 1]
    return left_NT * (1 - share_N1) + right_NT * share_N1

  mass_NT = at(matrix_GT)
  place_NT = at(matrix_GT * jnp.linspace(0.0, 1.0, smooth.GRID)[:, None])

  def by_answer(weight_N, correct_N):
    residual_T = smooth.product(weight_N, place_NT)
    residual_T -= smooth.product(weight_N * correct_N, mass_NT)
    mass_T = smooth.product(weight_N, mass_NT)
    return smooth.accuracy(residual_T, mass_T)

  return by_answer


def tails(value_RT, level):
  """Both quantiles of each column; a full sort would take ten times as long."""
  size = len(value_RT)
  at = (1.0 - level) / 2 * (size - 1)
  below = int(at)
  share = at - below

  def lowest(value_TR):
    least = -jax.lax.top_k(-value_TR, min(below + 2, size))[0]
    return least[:, below] * (1 - share) + least[:, -1] * share

  return Band(lowest(value_RT.T), -lowest(-value_RT.T))


def _band(replicate, key, conf_N, width, draws, level):
  """The band of curves; `replicate` maps a key to (weights, correct) [N]."""
  curve = curves(conf_N, width)
  value_RT = _each(lambda key: curve(*replicate(key)), key, draws, conf_N)
  return tails(value_RT, level)


@functools.partial(jax.jit, static_argnames=('draws', 'level'))
def band(
  key: Key[Array, ''],
  conf: Float[Array, ' N'],
  correct: Shaped[Array, ' N'],
  width: Float[Array, ''],
  weights: binned.Weights = None,
  *,
  draws: int = 1000,
  level: float = 0.95,
) -> Band:
  """The bootstrap band of the accuracy curve of `smooth.curve`.

  Args:
    key: consumed here.
    conf: in [0, 1].
    correct: 0 or 1.
    width: width of the Gaussian, the same in all replicates, as in relplot.
    weights: 0 or False for padding, which is never drawn.
    draws: number of replicates, positive.
    level: coverage of the band at each point, in (0, 1).
  """
  bootstrap_lib.check(draws, level)
  conf_N, right_N, weight_N = binned.prepare(conf, correct, weights)
  draw = replicates.redraw(weight_N)
  return _band(lambda k: (draw(k), right_N), key, conf_N, width, draws, level)


@functools.partial(jax.jit, static_argnames=('draws', 'level'))
def null_band(
  key: Key[Array, ''],
  conf: Float[Array, ' N'],
  width: Float[Array, ''],
  weights: binned.Weights = None,
  *,
  draws: int = 200,
  level: float = 0.95,
) -> Band:
  """The band of the accuracy curve under perfect calibration.

  Args:
    key: consumed here.
    conf: in [0, 1]; correctness is drawn at these rates.
    width: width of the Gaussian.
    weights: copies; 0 or False for padding.
    draws: number of replicates, positive.
    level: coverage of the band at each point, in (0, 1).
  """
  bootstrap_lib.check(draws, level)
  conf_N, _, weight_N = binned.prepare(conf, conf, weights)
  draw = _null(conf_N)
  return _band(lambda k: (weight_N, draw(k)), key, conf_N, width, draws, level)
