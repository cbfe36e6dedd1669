"""Does confidence put right answers first? Areas, ranks and agreement.

The AUROC is in engine/stats/auroc.py. Here: risk by coverage and its area, the
prediction-rejection ratio of Malinin and Gales (2021), Spearman's correlation
of ranks and Cohen's kappa.

Answers of equal score have no order among them: every figure here is its mean
over all orders, so that the order of the rows never matters.

Shapes: N answers. Leading axes broadcast; float32. A weight counts copies,
exactly so; 0 or False is padding, where any value may stand.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from calibration.metrics import binned
from engine.stats import auroc

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


def _prepare(scores, values, weights):
  """Three float32 arrays of one shape; padding is silenced to zeros."""
  if weights is None:
    weights = jnp.ones(scores.shape[-1])
  scores, values, weights = jnp.broadcast_arrays(scores, values, weights)
  weights = weights.astype(jnp.float32)
  counted = weights > 0
  return (
    jnp.where(counted, scores.astype(jnp.float32), 0.0),
    jnp.where(counted, values.astype(jnp.float32), 0.0),
    weights,
  )


def _runs(score_N):
  """Order, and each place's first and one past its last equal in it."""
  order_N = jnp.argsort(score_N)
  ordered_N = score_N[order_N]
  first_N = jnp.searchsorted(ordered_N, ordered_N, side='left')
  end_N = jnp.searchsorted(ordered_N, ordered_N, side='right')
  return order_N, first_N, end_N


def _below(weight_N):
  return jnp.concatenate([jnp.zeros(1), jnp.cumsum(weight_N)])


def _kept(score_N, quality_N, weight_N):
  """By descending score: mass and quality before and in each run of equals.

  Members of a run share its numbers.
  """
  order_N, first_N, end_N = _runs(-score_N)
  weight_N, quality_N = weight_N[order_N], quality_N[order_N]
  mass, good = _below(weight_N), _below(weight_N * quality_N)
  before_N, good_N = mass[first_N], good[first_N]
  run_N = mass[end_N] - before_N
  mean_N = (good[end_N] - good_N) / jnp.where(run_N > 0, run_N, 1.0)
  return weight_N, before_N, good_N, run_N, mean_N


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


def _area(score_N, quality_N, weight_N):
  """Mean over k = 1..W of the mean quality of the k best scores.

  A run of m equals of mean quality q, after mass w of total quality s, has
  sum over j of (s + j q) / (w + j) = m q + (s - w q) (H(w + m) - H(w)).
  """
  weight_N, before_N, good_N, run_N, mean_N = _kept(
    score_N, quality_N, weight_N
  )
  lead_N = (good_N - before_N * mean_N) * _harmonic(before_N, run_N)
  run_N = jnp.where(run_N > 0, run_N, 1.0)
  # Each member has its part of its run's sum.
  return jnp.sum(weight_N * (mean_N + lead_N / run_N)) / weight_N.sum()


@jax.jit
def risk_coverage(
  scores: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: binned.Weights = None,
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

  def one(score_N, quality_N, weight_N):
    weight_N, before_N, good_N, _, mean_N = _kept(score_N, quality_N, weight_N)
    kept_N = jnp.cumsum(weight_N)
    good_N = good_N + mean_N * (kept_N - before_N)
    risk_N = 1.0 - good_N / jnp.where(kept_N > 0, kept_N, 1.0)
    return kept_N / weight_N.sum(), jnp.where(kept_N > 0, risk_N, 0.0)

  return binned.batched(one, *_prepare(scores, correct, weights))


@jax.jit
def aurc(
  scores: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: binned.Weights = None,
) -> Float[Array, '...']:
  """Area under risk by coverage: mean risk of the k most confident, k = 1..N.

  Args:
    scores: higher is more confident.
    correct: 0 or 1, or any quality in [0, 1].
    weights: copies.

  Returns:
    Less is better; 1 - accuracy for scores that know nothing.
  """
  rows = _prepare(scores, correct, weights)
  return 1.0 - binned.batched(_area, *rows)


@jax.jit
def prr(
  scores: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: binned.Weights = None,
) -> Float[Array, '...']:
  """Prediction-rejection ratio: how far from chance to the best order.

  (A - mean) / (A_best - mean), A the mean quality of the k most confident,
  meaned over k = 1..N, A_best that of answers in order of quality.

  Args:
    scores: higher is more confident.
    correct: 0 or 1, or any quality.
    weights: copies.

  Returns:
    1 for the best order, 0 for chance, less for worse. NaN where all answers
    are of one quality: `check` says so in words.
  """

  def one(score_N, quality_N, weight_N):
    mean = jnp.sum(weight_N * quality_N) / weight_N.sum()
    best = _area(quality_N, quality_N, weight_N) - mean
    ratio = (_area(score_N, quality_N, weight_N) - mean) / best
    counted_N = weight_N > 0
    low = jnp.where(counted_N, quality_N, jnp.inf).min()
    high = jnp.where(counted_N, quality_N, -jnp.inf).max()
    return jnp.where(high > low, ratio, jnp.nan)

  return binned.batched(one, *_prepare(scores, correct, weights))


def _midranks(value_N, weight_N):
  """Mass below and half of the equals', about their mean."""
  order_N, first_N, end_N = _runs(value_N)
  below = _below(weight_N[order_N])
  rank_N = 0.5 * (below[first_N] + below[end_N])
  rank_N = jnp.zeros_like(rank_N).at[order_N].set(rank_N)
  return rank_N - 0.5 * below[-1]  # midranks have this mean, ties or not


@jax.jit
def spearman(
  a: Shaped[Array, '... N'],
  b: Shaped[Array, '... N'],
  weights: binned.Weights = None,
) -> Float[Array, '...']:
  """Pearson's correlation of ranks, equals at the middle of theirs.

  Args:
    a: in any unit.
    b: likewise.
    weights: copies.

  Returns:
    In [-1, 1]; NaN where either does not vary.
  """

  def one(a_N, b_N, weight_N):
    a_N, b_N = _midranks(a_N, weight_N), _midranks(b_N, weight_N)
    # Ranks grow with N, their squares' sum with its cube.
    total = weight_N.sum()
    a_N, b_N = a_N / total, b_N / total
    square = jnp.sum(weight_N * a_N**2) * jnp.sum(weight_N * b_N**2)
    return jnp.sum(weight_N * a_N * b_N) / jnp.sqrt(square)

  return binned.batched(one, *_prepare(a, b, weights))


@jax.jit
def kappa(
  a: Int[Array, '... N'],
  b: Int[Array, '... N'],
  weights: binned.Weights = None,
) -> Float[Array, '...']:
  """Cohen's kappa: agreement of two judges above that of their habits.

  Args:
    a: classes that one judge gave, any whole numbers.
    b: the other's.
    weights: copies.

  Returns:
    1 for full agreement, 0 for chance; NaN where chance leaves no room, that
    is where both gave one and the same class throughout.
  """

  def one(a_N, b_N, weight_N):
    total = weight_N.sum()
    agreed = jnp.sum(jnp.where(a_N == b_N, weight_N, 0.0)) / total
    # Of every answer's class by a: how often b gave it, anywhere.
    order_N = jnp.argsort(b_N)
    ordered_N, below = b_N[order_N], _below(weight_N[order_N])
    first_N = jnp.searchsorted(ordered_N, a_N, side='left')
    end_N = jnp.searchsorted(ordered_N, a_N, side='right')
    share_N = (below[end_N] - below[first_N]) / total
    chance = jnp.sum(weight_N * share_N) / total
    return (agreed - chance) / (1.0 - chance)

  return binned.batched(one, *_prepare(a, b, weights))
