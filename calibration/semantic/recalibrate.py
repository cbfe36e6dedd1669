"""A learned tau(c): the best tilt of W_B, fitted on a calibration split.

tilt.py tilts one level of confidence, this file tilts all levels. A tilt of
tau(c) moves a confidence c to sigmoid(logit c + tau(c)). The loss of whole
answers changes as the log loss of the confidences does,

  E[-tau a + log(1 - c + c e^tau)],

so fitting tau is a logistic regression on logit c. Our tau keeps the order of
the answers, so AUROC does not change: it is a piecewise linear spline in
logits, with knots at quantiles of the split. The paper states no form of tau
and fits none; this is our reading of section 3.2 of
docs/papers/semantic_calibration.md.

Shapes: N graded answers, J pieces, L levels.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.scipy import special
from jaxtyping import Array, Float, Int

from calibration.metrics import binned
from calibration.semantic import tilt
from engine import optim

# Confidences are clipped to [floor, 1 - floor], where logits are finite.
_FLOOR = 1e-6
_ITERATIONS = 60
_NEWTON = 50
# The largest tilt of a level. If all answers of a level are correct, or all are
# wrong, the best tilt is infinite.
MOST = 20.0


class Recalibrator(struct.PyTreeNode):
  """logit c' = start + sum_j slope_j clip(logit c - knot_j, 0, width_j).

  The first and the last piece extend beyond the range of the split.

  Attributes:
    knots: ends of the pieces, in logits of confidence.
    start: value at the first knot.
    slopes: slope of each piece, not negative.
  """

  knots: Float[Array, ' J+1']
  start: Float[Array, '']
  slopes: Float[Array, ' J']


@jax.jit
def logits(conf: Float[Array, '...']) -> Float[Array, '...']:
  """Logits of confidences, clipped so that those of 0 and 1 are finite."""
  return special.logit(jnp.clip(conf, _FLOOR, 1.0 - _FLOOR))


def _lengths(knots, x):
  """The length of each piece to the left of x; [..., J]."""
  low, high = knots[:-1], knots[1:]
  part = jnp.clip(x[..., None] - low, 0.0, high - low)
  part = part.at[..., 0].add(jnp.minimum(x - knots[0], 0.0))
  return part.at[..., -1].add(jnp.maximum(x - knots[-1], 0.0))


def recalibrated_logits(
  fitted: Recalibrator, conf: Float[Array, '...']
) -> Float[Array, '...']:
  """logit c + tau(c)."""
  return fitted.start + _lengths(fitted.knots, logits(conf)) @ fitted.slopes


@jax.jit
def apply(
  fitted: Recalibrator, conf: Float[Array, '...']
) -> Float[Array, '...']:
  """Confidences after the tilt; they increase with the confidences before."""
  return special.expit(recalibrated_logits(fitted, conf))


@jax.jit
def tau(fitted: Recalibrator, conf: Float[Array, '...']) -> Float[Array, '...']:
  """The tilt tau(c) in nats, for `tilt.tilted` and `tilt.reweighted`."""
  return recalibrated_logits(fitted, conf) - logits(conf)


def _log_loss(z, correct):
  return jax.nn.softplus(z) - correct * z


@jax.jit
def _fit(knots, x_N, correct_N, penalty):
  part_NJ = _lengths(knots, x_N)

  def unpack(free):
    # softplus(0.541325) = 1, so free = 0 gives the identity.
    return knots[0] + free[0], jax.nn.softplus(0.541325 + free[1:])

  def loss(free):
    start, slopes = unpack(free)
    fit = _log_loss(start + part_NJ @ slopes, correct_N).mean()
    return fit + 0.5 * penalty * jnp.sum((slopes - 1.0) ** 2)

  free = optim.lbfgs(loss, jnp.zeros(part_NJ.shape[1] + 1), _ITERATIONS)
  return Recalibrator(knots, *unpack(free))


def fit(
  conf: Float[Array, ' N'],
  correct: Float[Array, ' N'],
  *,
  pieces: int = 4,
  penalty: float = 1e-3,
) -> Recalibrator:
  """Fits the monotone spline that minimises log loss on a calibration split.

  Args:
    conf: in [0, 1]; may be frequencies k/M.
    correct: 0 or 1, or a probability.
    pieces: J; knots are quantiles of the logits, and 1 piece is Platt scaling.
    penalty: on the squared distance of slopes from 1, in nats per answer; it
      keeps the identity where there is no evidence for a change.

  Raises:
    ValueError: shapes do not fit, or a number is outside its range.
  """
  binned.check('calibration split', conf, np.round(correct))
  if pieces < 1 or not penalty > 0:
    raise ValueError(
      'pieces must be at least 1 and penalty positive, got '
      f'pieces={pieces} and penalty={penalty}'
    )
  x_N = logits(conf)
  at = np.quantile(np.asarray(x_N), np.linspace(0.0, 1.0, pieces + 1))
  # Quantiles coincide if many answers share a confidence: keep a least width.
  knots = at[0] + np.maximum.accumulate(at - at[0] + 1e-3 * np.arange(len(at)))
  return _fit(jnp.asarray(knots, jnp.float32), x_N, correct, penalty)


@jax.jit
def recovered(
  fitted: Recalibrator, conf: Float[Array, ' N'], correct: Float[Array, ' N']
) -> Float[Array, '']:
  """The loss that the tilt saves on these answers, in nats per answer.

  It is negative if the tilt increases the loss. On held-out answers it is the
  part of `binned.loss_gap` that can be recovered.
  """
  change = tilt.loss_change(
    tau(fitted, conf), jnp.clip(conf, _FLOOR, 1.0 - _FLOOR), correct
  )
  return -change.mean()


@functools.partial(jax.jit, static_argnames='levels')
def tilt_by_level(
  conf: Float[Array, ' N'],
  correct: Float[Array, ' N'],
  level: Int[Array, ' N'],
  *,
  levels: int,
) -> Float[Array, ' L']:
  """The tilt t with the least loss at each level, by Newton's method.

  This is tau without a parametric form. Confidences within a level may differ;
  if they are equal, t is t* of `tilt.best_tilt`. |t| is at most `MOST`; t is 0
  for a level without answers.
  """
  conf = jnp.clip(conf, _FLOOR, 1.0 - _FLOOR)

  def over(values):
    return jnp.zeros(levels).at[level].add(values)

  def step(_, ends):
    low, high, t = ends
    moved = tilt.tilted_confidence(t[level], conf)
    slope, bend = over(moved - correct), over(moved * (1.0 - moved))
    low, high = jnp.where(slope < 0, t, low), jnp.where(slope < 0, high, t)
    newton = t - slope / jnp.maximum(bend, 1e-12)
    inside = (newton > low) & (newton < high)
    return low, high, jnp.where(inside, newton, 0.5 * (low + high))

  end = jnp.full(levels, MOST)
  _, _, t = jax.lax.fori_loop(0, _NEWTON, step, (-end, end, jnp.zeros(levels)))
  return jnp.where(over(jnp.ones_like(conf)) > 0, t, 0.0)
