"""What a finite run leaves open: intervals, bands, and the floor of no error.

Replicates are weights: answers drawn again count as often as they were drawn,
so that whatever takes weights can be resampled, in blocks of replicates that
bound the memory. The null (section 4.2 of docs/papers/semantic_calibration.md)
keeps the confidences and draws what would be right were they true: a small run
of a calibrated model shows an error too, and this is how much.

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
  """Between which an accuracy curve lies, point by point."""

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
  """An estimate and its percentile interval, answers drawn again.

  Args:
    metric: of (conf, correct, weights); static, so give a named function.
    key: consumed here.
    conf: in [0, 1], or scores in any unit where `metric` takes them.
    correct: 0 or 1.
    weights: 0 or False for padding, which is never drawn; others stay with
      their answer.
    draws: replicates, positive.
    level: of the interval, in (0, 1).

  Returns:
    [estimate, low, high], with the axes of what `metric` gives behind.
    Replicates in which it is NaN are left out. An error that cannot be
    negative is larger in replicates than in the estimate: read the floor too.
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
  """What `metric` shows of perfect calibration at these confidences.

  Args:
    metric: of (conf, correct, weights); static.
    key: consumed here.
    conf: in [0, 1]; right answers are drawn at these rates.
    weights: copies, right or wrong together; 0 or False for padding.
    draws: of right answers, positive.
    level: of the interval, in (0, 1).

  Returns:
    [mean, low, high].
  """
  bootstrap_lib.check(draws, level)
  conf_N, _, weight_N = binned.prepare(conf, conf, weights)
  draw = _null(conf_N)

  def replicate(key):
    return metric(conf_N, draw(key), weight_N)

  value_R = _each(replicate, key, draws, conf)
  return bootstrap_lib.percentile(value_R.mean(0), value_R, level)


def curves(conf_N, width):
  """(weights, correct) [N] -> accuracy on the mesh.

  Either the answers are spread, or the matrix is brought to their places:
  whichever makes the product smaller.
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
  """Both quantiles of each column; a whole sort would take ten times it."""
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
  """Of the accuracy curve of `smooth.curve`, answers drawn again.

  Args:
    key: consumed here.
    conf: in [0, 1].
    correct: 0 or 1.
    width: of the Gaussian, the same in all replicates, as in relplot.
    weights: 0 or False for padding, which is never drawn.
    draws: replicates, positive.
    level: of the band at each point, in (0, 1).
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
  """Where the accuracy curve of perfect calibration would lie.

  Args:
    key: consumed here.
    conf: in [0, 1]; right answers are drawn at these rates.
    width: of the Gaussian.
    weights: copies; 0 or False for padding.
    draws: of right answers, positive.
    level: of the band at each point, in (0, 1).
  """
  bootstrap_lib.check(draws, level)
  conf_N, _, weight_N = binned.prepare(conf, conf, weights)
  draw = _null(conf_N)
  return _band(lambda k: (weight_N, draw(k)), key, conf_N, width, draws, level)
