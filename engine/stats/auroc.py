"""The area under the ROC curve: how often a right answer outscores a wrong one.

P(score of a positive > score of a negative) + P(equal) / 2, from ranks, so
that only the order of the scores matters.

Shapes: N samples; leading axes are batches.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from engine.stats import ranks, replicates


def check_labels(name: str, labels) -> None:
  """Raises unless `labels` are zeros and ones, some of both.

  Args:
    name: the task's name, for the message.
    labels: one-dimensional: booleans or numbers, 1 for a correct answer.

  Raises:
    ValueError: naming the task, what was expected and what came.
  """
  labels = np.asarray(labels)
  if labels.ndim != 1 or labels.size == 0:
    raise ValueError(
      f'task {name!r}: labels must be a sequence of at least two, got shape '
      f'{labels.shape}'
    )
  values, counts = np.unique(labels, return_counts=True)
  if not set(values.tolist()) <= {0, 1}:
    raise ValueError(
      f'task {name!r}: labels must be 0 or 1, got {values[:5].tolist()}'
    )
  if len(values) < 2:
    raise ValueError(
      f'task {name!r}: labels of both classes are needed, got {counts[0]} of '
      f'class {int(values[0])} and none of the other; take a task the model '
      'neither always nor never solves, or more samples'
    )


def _area(scores, labels, weights):
  """Of three arrays of one shape, of either library."""
  xp = scores.__array_namespace__()
  scores = xp.where(weights > 0, scores, 0)
  at = ranks.runs(scores)
  labels, weights = (ranks.take(x, at.order) for x in (labels, weights))
  found = ranks.area(
    at, xp.where(labels, weights, 0), xp.where(labels, 0, weights)
  )
  return xp.where(xp.isnan(scores).any(-1), xp.nan, found)


@jax.jit
def _in_program(scores, labels, weights):
  if weights is None:
    weights = jnp.ones(scores.shape[-1])
  return _area(
    *jnp.broadcast_arrays(
      scores.astype(jnp.float32),
      labels.astype(bool),
      weights.astype(jnp.float32),
    )
  )


def auroc(
  scores: Shaped[Array | np.ndarray, '... N'],
  labels: Shaped[Array | np.ndarray, '... N'],
  weights: Shaped[Array | np.ndarray, '... N'] | None = None,
) -> Float[Array | np.ndarray, '...'] | np.floating:
  """Weighted AUROC over the last axis; equal scores count a half.

  NumPy scores are compared as they are, pairs are counted in int64, or float64
  where weights are fractions. JAX scores are compared and counted in float32.

  Args:
    scores: in any unit. Leading axes of all three broadcast.
    labels: 0 or 1, of any dtype.
    weights: not negative; 0 or False for padding, whose score is ignored.

  Returns:
    In [0, 1], [...]. NaN where a class has no weight or a counted score is
    NaN; `check_labels` says so in words.

  Raises:
    ValueError: JAX scores of more than 2^24 samples.
  """
  if not isinstance(scores, np.ndarray):
    return _in_program(scores, labels, weights)
  weights = np.ones(scores.shape[-1], int) if weights is None else weights
  rows = scores, np.asarray(labels).astype(bool), ranks.exact(weights)
  with np.errstate(divide='ignore', invalid='ignore'):
    return _area(*np.broadcast_arrays(*rows))


@functools.partial(jax.jit, static_argnames=('draws', 'level'))
def bootstrap_auroc(
  key: Key[Array, ''],
  scores: Float[Array, ' N'],
  labels: Shaped[Array, ' N'],
  mask: Bool[Array, ' N'] | None = None,
  groups: Int[Array, ' N'] | None = None,
  *,
  draws: int = 1000,
  level: float = 0.95,
) -> Float[Array, '3']:
  """AUROC and its percentile interval, samples drawn again within each class.

  Where `groups` are given, they are drawn whole instead: samples of a group
  that answer alike are not independent evidence.

  Args:
    key: consumed here.
    scores: in any unit.
    labels: 0 or 1; a replicate has as many of each as there are.
    mask: False for padding.
    groups: numbers in [0, N) of samples drawn together, whatever their labels;
      replicates with one class alone are left out.
    draws: replicates, positive.
    level: of the interval, in (0, 1).

  Returns:
    [estimate, low, high]; all NaN where `auroc` is. The interval has no width
    where the scores separate the classes.
  """
  mask = jnp.ones(scores.shape, bool) if mask is None else mask
  scores = jnp.where(mask, scores.astype(jnp.float32), 0.0)
  # The order is the same in all replicates: sorted once.
  at = ranks.runs(scores)
  label, weight = (x[at.order] for x in (labels.astype(bool), mask * 1.0))

  def area(weight):
    found = ranks.area(
      at, jnp.where(label, weight, 0.0), jnp.where(label, 0.0, weight)
    )
    return jnp.where(jnp.isnan(scores).any(), jnp.nan, found)

  return replicates.interval(
    area,
    key,
    weight,
    classes=label if groups is None else None,
    groups=None if groups is None else groups[at.order],
    draws=draws,
    level=level,
  )
