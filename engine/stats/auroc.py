"""The area under the ROC curve: how often a right answer outscores a wrong one.

P(score of a positive > score of a negative) + P(equal) / 2, from ranks, so
that only the order of the scores matters.

Shapes: N samples, R bootstrap replicates.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

# Replicates at a time: bounds memory at this many times N.
_BLOCK = 128


def check_labels(name: str, labels) -> None:
  """Raises unless `labels` are zeros and ones, some of both.

  Args:
    name: of the task, for the message.
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


def _edges(ordered_N):
  """First and one past the last index of each score's run of equals."""
  at_N = jnp.arange(ordered_N.shape[-1])
  new_N = ordered_N[1:] != ordered_N[:-1]
  yes = jnp.ones(1, bool)
  first_N = jnp.where(jnp.concatenate([yes, new_N]), at_N, 0)
  last_N = jnp.where(jnp.concatenate([new_N, yes]), at_N, at_N.size)
  return (
    jax.lax.cummax(first_N),
    jax.lax.cummin(last_N, reverse=True) + 1,
  )


def _area(edges, positive_N, negative_N):
  """Of weights in ascending order of score, with the `edges` of the scores."""
  first_N, end_N = edges
  total = negative_N.sum()
  below_N = jnp.concatenate([jnp.zeros(1), jnp.cumsum(negative_N)])
  # Half of the equals count: the mean of those below and those not above.
  beaten_N = 0.5 * (below_N[first_N] + below_N[end_N]) / total
  return jnp.sum(positive_N * beaten_N) / positive_N.sum()


def _one(scores_N, labels_N, weights_N):
  ordered_N, order_N = jax.lax.sort_key_val(
    scores_N, jnp.arange(scores_N.shape[0])
  )
  labels_N, weights_N = labels_N[order_N], weights_N[order_N]
  area = _area(
    _edges(ordered_N),
    jnp.where(labels_N, weights_N, 0.0),
    jnp.where(labels_N, 0.0, weights_N),
  )
  return jnp.where(jnp.isnan(scores_N).any(), jnp.nan, area)


@jax.jit
def auroc(
  scores: Float[Array, '... N'],
  labels: Shaped[Array, '... N'],
  weights: Float[Array, '... N'] | Bool[Array, '... N'] | None = None,
) -> Float[Array, '...']:
  """Weighted AUROC over the last axis, equals at a half; float32.

  Args:
    scores: in any unit. Leading axes of all three broadcast.
    labels: 0 or 1, of any dtype.
    weights: not negative; 0 or False for padding, whose score is ignored.

  Returns:
    In [0, 1]. NaN where a class has no weight or a counted score is NaN;
    `check_labels` says so in words.
  """
  if weights is None:
    weights = jnp.ones(scores.shape[-1])
  weights = weights.astype(jnp.float32)
  scores, labels, weights = jnp.broadcast_arrays(
    scores.astype(jnp.float32), labels.astype(bool), weights
  )
  scores = jnp.where(weights > 0, scores, 0.0)
  lead, count = scores.shape[:-1], scores.shape[-1]
  if count == 0:
    return jnp.full(lead, jnp.nan)
  rows = [a.reshape(-1, count) for a in (scores, labels, weights)]
  return jax.vmap(_one)(*rows).reshape(lead)


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

  Or whole groups: samples of one that answer alike are no independent evidence.

  Args:
    key: consumed here.
    scores: in any unit.
    labels: 0 or 1; the number of each stays what it is.
    mask: False for padding.
    groups: numbers in [0, N) of what is drawn together, classes as they come;
      replicates with one class alone are left out.
    draws: replicates, positive.
    level: of the interval, in (0, 1).

  Returns:
    [estimate, low, high]; all NaN where `auroc` is. No width is left where
    the classes are separated.
  """
  if draws < 1 or not 0.0 < level < 1.0:
    raise ValueError(
      'draws must be positive and level in (0, 1), got '
      f'draws={draws} and level={level}'
    )
  size = scores.shape[0]
  mask_N = jnp.ones(size, bool) if mask is None else mask
  # The order is the same in all replicates: sorted once.
  scores_N = jnp.where(mask_N, scores.astype(jnp.float32), 0.0)
  order_N = jnp.argsort(scores_N)
  edges = _edges(scores_N[order_N])
  class_N = jnp.where(mask_N, labels.astype(jnp.int32), 2)[order_N]
  member_N = jnp.argsort(class_N)  # negatives, positives, padding
  class_of_slot_N = class_N[member_N]
  sizes_C = jnp.bincount(class_N, length=3)
  start_C = jnp.cumsum(sizes_C) - sizes_C

  def by_sample(number):
    slot_N = start_C[class_of_slot_N] + jax.random.randint(
      jax.random.fold_in(key, number), (size,), 0, sizes_C[class_of_slot_N]
    )
    return jnp.zeros(size).at[member_N[slot_N]].add(1.0)

  if groups is not None:
    group_N = groups[order_N]
    here_G = jnp.zeros(size).at[group_N].max(1.0 * (class_N < 2)) > 0
    first_G = jnp.argsort(~here_G)  # those that are there come first
    there = jnp.sum(here_G)

  def by_group(number):
    drawn_G = jax.random.randint(
      jax.random.fold_in(key, number), (size,), 0, there
    )
    counts = jnp.arange(size) < there
    times_G = jnp.zeros(size).at[first_G[drawn_G]].add(counts)
    return times_G[group_N]

  def replicate(number):
    times_N = (by_sample if groups is None else by_group)(number)
    return _area(
      edges,
      jnp.where(class_N == 1, times_N, 0.0),
      jnp.where(class_N == 0, times_N, 0.0),
    )

  area_R = jax.lax.map(replicate, jnp.arange(draws), batch_size=_BLOCK)
  tail = (1.0 - level) / 2
  low, high = jnp.nanquantile(area_R, jnp.array([tail, 1.0 - tail]))
  estimate = auroc(scores, labels, mask_N)
  out = jnp.stack([estimate, low, high])
  return jnp.where(jnp.isnan(estimate), jnp.nan, out)
