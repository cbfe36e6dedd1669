"""Does confidence put right answers first? Risk by coverage and its areas.

The area under risk by coverage (AURC), and the prediction-rejection ratio (PRR)
of Malinin and Gales (2021).

Answers of equal score have no order among them: every figure here is its mean
over all orders, so the order of the rows never matters.

Shapes: N answers. Leading axes broadcast; float32. A weight counts copies,
exactly so; 0 or False is padding, where any value may stand.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from engine.stats import auroc, ranks

Weights = Float[Array, '... N'] | Bool[Array, '... N'] | None

# Terms of a harmonic number before its series is off by 1e-6 at most.
_FIRST = 9


def check(name: str, scores, labels) -> None:
  """Raises unless every answer has a score and both classes are there.

  Args:
    name: of the task, for the message.
    scores: one-dimensional, no NaN.
    labels: of the same length, 0 or 1.

  Raises:
    ValueError: naming the task, what was expected and what came.
  """
  auroc.check_labels(name, labels)
  scores = np.asarray(scores)
  if scores.shape != np.shape(labels):
    raise ValueError(
      f'task {name!r}: scores and labels must have one shape, got '
      f'{scores.shape} and {np.shape(labels)}'
    )
  if np.isnan(scores).any():
    raise ValueError(
      f'task {name!r}: every answer needs a score, {np.isnan(scores).sum()} of '
      f'{scores.size} are NaN; leave those answers out'
    )


def _prepare(scores, quality, weights):
  """Three float32 arrays of one shape; padding is silenced to zeros."""
  if weights is None:
    weights = jnp.ones(scores.shape[-1])
  scores, quality, weights = jnp.broadcast_arrays(scores, quality, weights)
  weights = weights.astype(jnp.float32)
  counted = weights > 0
  return (
    jnp.where(counted, scores.astype(jnp.float32), 0.0),
    jnp.where(counted, quality.astype(jnp.float32), 0.0),
    weights,
  )


def _broken(scores):
  """Where a score that counts is NaN; a NaN quality makes its own way."""
  return jnp.isnan(scores).any(-1)


def _kept(scores, quality, weights):
  """By descending score: mass and quality before and in each run of equals.

  Members of a run share its numbers.
  """
  at = ranks.runs(-scores)
  weights, quality = (
    ranks.take(weights, at.order),
    ranks.take(quality, at.order),
  )
  mass = ranks.cumulative(weights)
  good = ranks.cumulative(weights * quality)
  before, good_before = ranks.take(mass, at.first), ranks.take(good, at.first)
  run = ranks.take(mass, at.end) - before
  mean = (ranks.take(good, at.end) - good_before) / jnp.where(run > 0, run, 1.0)
  return weights, before, good_before, run, mean


def _series(x):
  """H(x) less log(x + 1/2) and Euler's constant, for x from _FIRST on."""
  return 1.0 / (24.0 * (x + 0.5) ** 2)


def _harmonic(start, run):
  """H(start + run) - H(start), sum of 1 / j over start < j <= start + run.

  Digamma would do for it, but for its rounding.
  """
  out = 0.0
  for j in range(1, _FIRST + 1):
    out += run / ((start + j) * (start + run + j))
  start = start + _FIRST
  out += jnp.log1p(run / (start + 0.5))
  return out + _series(start + run) - _series(start)


def _area(scores, quality, weights):
  """Mean over k = 1..W of the mean quality of the k best scores.

  A run of m equals of mean quality q, after mass w of total quality s, has
  sum over j of (s + j q) / (w + j) = m q + (s - w q) (H(w + m) - H(w)).
  """
  weights, before, good, run, mean = _kept(scores, quality, weights)
  lead = (good - before * mean) * _harmonic(before, run)
  run = jnp.where(run > 0, run, 1.0)
  # Each member has its part of its run's sum.
  return jnp.sum(weights * (mean + lead / run), -1) / weights.sum(-1)


@jax.jit
def risk_coverage(
  scores: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: Weights = None,
) -> tuple[Float[Array, '... N'], Float[Array, '... N']]:
  """Error rate among the most confident answers, by how many there are.

  Args:
    scores: higher is more confident, in any unit.
    correct: 0 or 1, or any quality in [0, 1].
    weights: copies.

  Returns:
    Coverage, the share of answers kept, ascending to 1, and the risk among
    them: a point an answer. Padding repeats a point.
  """
  scores, quality, weights = _prepare(scores, correct, weights)
  broken = _broken(scores)
  weights, before, good, _, mean = _kept(scores, quality, weights)
  kept = jnp.cumsum(weights, -1)
  good = good + mean * (kept - before)
  risk = 1.0 - good / jnp.where(kept > 0, kept, 1.0)
  risk = jnp.where(kept > 0, risk, 0.0)
  coverage = kept / weights.sum(-1, keepdims=True)
  return coverage, jnp.where(broken[..., None], jnp.nan, risk)


@jax.jit
def aurc(
  scores: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: Weights = None,
) -> Float[Array, '...']:
  """Area under risk by coverage: mean risk of the k most confident, k = 1..N.

  Args:
    scores: higher is more confident.
    correct: 0 or 1, or any quality in [0, 1].
    weights: copies.

  Returns:
    Less is better; 1 - accuracy for scores that know nothing.
  """
  scores, quality, weights = _prepare(scores, correct, weights)
  found = 1.0 - _area(scores, quality, weights)
  return jnp.where(_broken(scores), jnp.nan, found)


@jax.jit
def prr(
  scores: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: Weights = None,
) -> Float[Array, '...']:
  """Prediction-rejection ratio: how far from chance to the best order.

  (A - mean) / (A_best - mean), A the mean quality of the k most confident,
  averaged over k = 1..N, A_best that of answers in order of quality.

  Args:
    scores: higher is more confident.
    correct: 0 or 1, or any quality.
    weights: copies.

  Returns:
    1 for the best order, 0 for chance, less for worse. NaN where all answers
    are of one quality: `check` says so in words.
  """
  scores, quality, weights = _prepare(scores, correct, weights)
  mean = jnp.sum(weights * quality, -1) / weights.sum(-1)
  best = _area(quality, quality, weights) - mean
  ratio = (_area(scores, quality, weights) - mean) / best
  counted = weights > 0
  low = jnp.where(counted, quality, jnp.inf).min(-1, initial=jnp.inf)
  high = jnp.where(counted, quality, -jnp.inf).max(-1, initial=-jnp.inf)
  return jnp.where((high > low) & ~_broken(scores), ratio, jnp.nan)
