"""AUROC that length cannot raise: within lengths, or with its ranks taken out.

Our addition to the paper in docs/papers/uq_length_bias.md (section 4, F).

Stratified: only pairs of one length count. Whatever h^ does to all answers of
a length alike, it cannot tell pairs within it apart. Exact, at the price of
pairs; `share` says how many are left.

Partial: ranks of scores less their regression on ranks of lengths. Keeps all
answers, takes out only what is linear in ranks, and h^ itself still depends on
length: where it refuses right answers for theirs, the result is nearer to 0.5
than the truth. Not for scores of few values: any slope but 0 puts those of one
value in the order of their lengths.

Shapes: N answers.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from engine.stats import auroc as auroc_lib
from engine.stats import ranks, replicates

# Residuals nearer than so many of all ranks are equal: what a score owes to
# length alone leaves rounding errors, and those have an order.
_EQUAL = 1e-5


def strata(lengths: np.ndarray, *, bins: int = 0) -> np.ndarray:
  """Numbers from 0 of answers of like length, [N] int32; on the host.

  Args:
    lengths: [N], in words, tokens or characters.
    bins: so many of about the same size, equal lengths always together; 0 for
      one a length.

  Raises:
    ValueError: no lengths, or negative bins.
  """
  lengths = np.asarray(lengths)
  if lengths.ndim != 1 or not lengths.size or bins < 0:
    raise ValueError(
      'strata need lengths [N] and bins of 0 or more, got shape '
      f'{lengths.shape} and bins={bins}'
    )
  if bins:
    inner = np.arange(1, bins) / bins
    edges = np.quantile(lengths, inner, method='inverted_cdf')
    lengths = np.searchsorted(edges, lengths, side='left')
  return np.unique(lengths, return_inverse=True)[1].astype(np.int32)


class Controlled(NamedTuple):
  """A stratified AUROC.

  Attributes:
    area: in [0, 1]; NaN where no pair is within a stratum.
    share: of all pairs of a correct and a wrong answer, those that counted.
  """

  area: Float[Array, '...']
  share: Float[Array, '...']


class _Sorted(NamedTuple):
  """Positions in an order by stratum, then score."""

  at: ranks.Runs  # runs of equal scores in one stratum
  start: Int[Array, ' N']  # the first place of the stratum
  stop: Int[Array, ' N']  # one past its last


def _sorted(scores_N, strata_N):
  at = ranks.runs(strata_N, scores_N)
  return _Sorted(at, *ranks.edges(strata_N[at.order]))


def _pairs(places: _Sorted, positive_N, negative_N):
  """(won, counted) weights of pairs within strata, in the sorted order."""
  at, start_N, stop_N = places
  below_N = ranks.cumulative(negative_N)
  beaten_N = 0.5 * (below_N[at.first] + below_N[at.end]) - below_N[start_N]
  met_N = below_N[stop_N] - below_N[start_N]
  return jnp.sum(positive_N * beaten_N), jnp.sum(positive_N * met_N)


def _ratio(won, counted):
  return jnp.where(
    counted > 0, won / jnp.where(counted > 0, counted, 1), jnp.nan
  )


@jax.jit
def stratified_auroc(
  scores: Float[Array, '... N'],
  labels: Shaped[Array, '... N'],
  strata: Int[Array, ' N'],
  weights: Shaped[Array, '... N'] | None = None,
) -> Controlled:
  """AUROC over pairs within strata, each pair counted once; equals at a half.

  The mean of the strata's AUROCs, weighted by their numbers of pairs.

  Args:
    scores: in any unit, higher for label 1. Leading axes of all but `strata`
      broadcast.
    labels: 0 or 1, of any dtype.
    strata: of `strata`, or any other numbers.
    weights: not negative; 0 or False leaves an answer out.
  """
  if weights is None:
    weights = jnp.ones(scores.shape[-1])
  scores, labels, weights = jnp.broadcast_arrays(
    scores.astype(jnp.float32),
    labels.astype(bool),
    weights.astype(jnp.float32),
  )
  lead, count = scores.shape[:-1], scores.shape[-1]

  def one(scores_N, labels_N, weights_N):
    scores_N = jnp.where(weights_N > 0, scores_N, 0.0)
    places = _sorted(scores_N, strata)
    order_N = places.at.order
    labels_N, weights_N = labels_N[order_N], weights_N[order_N]
    positive_N = jnp.where(labels_N, weights_N, 0.0)
    negative_N = jnp.where(labels_N, 0.0, weights_N)
    won, counted = _pairs(places, positive_N, negative_N)
    area = jnp.where(jnp.isnan(scores_N).any(), jnp.nan, _ratio(won, counted))
    return area, _ratio(counted, positive_N.sum() * negative_N.sum())

  rows = [a.reshape(-1, count) for a in (scores, labels, weights)]
  area, share = jax.vmap(one)(*rows)
  return Controlled(area.reshape(lead), share.reshape(lead))


@functools.partial(jax.jit, static_argnames=('draws', 'level'))
def bootstrap_stratified(
  key: Key[Array, ''],
  scores: Float[Array, ' N'],
  labels: Shaped[Array, ' N'],
  strata: Int[Array, ' N'],
  mask: Bool[Array, ' N'] | None = None,
  *,
  draws: int = 1000,
  level: float = 0.95,
) -> Float[Array, '3']:
  """`stratified_auroc` and its percentile interval, answers drawn again.

  Answers are drawn as they come, not within strata: those of one answer would
  have no variance.

  Args:
    key: consumed here.
    scores: in any unit.
    labels: 0 or 1.
    strata: of like length.
    mask: False leaves an answer out.
    draws: replicates, positive; those without a pair are left out.
    level: of the interval, in (0, 1).

  Returns:
    [estimate, low, high]; all NaN where no pair is within a stratum.
  """
  mask_N = jnp.ones(scores.shape, bool) if mask is None else mask
  scores_N = jnp.where(mask_N, scores.astype(jnp.float32), 0.0)
  places = _sorted(scores_N, strata)
  order_N = places.at.order
  label_N = labels.astype(bool)[order_N]

  def area(weight_N):
    positive_N = jnp.where(label_N, weight_N, 0.0)
    negative_N = jnp.where(label_N, 0.0, weight_N)
    found = _ratio(*_pairs(places, positive_N, negative_N))
    return jnp.where(jnp.isnan(scores_N).any(), jnp.nan, found)

  return replicates.interval(
    area, key, 1.0 * mask_N[order_N], draws=draws, level=level
  )


@jax.jit
def rank_residuals(
  scores: Float[Array, '... N'],
  lengths: Shaped[Array, ' N'],
  mask: Bool[Array, '... N'] | None = None,
) -> Float[Array, '... N']:
  """What of the scores' ranks a line in the lengths' ranks leaves over.

  e = r - m - b (q - n), with r and q the midranks of scores and lengths, m
  and n their means and b = cov(r, q) / var(q), or 0 where all lengths equal;
  rounded to 1e-5 of the number of ranks.

  Args:
    scores: in any unit; leading axes broadcast.
    lengths: in any unit.
    mask: False leaves an answer out; its residual means nothing.
  """
  if mask is None:
    mask = jnp.ones(scores.shape[-1], bool)
  scores, lengths, mask = jnp.broadcast_arrays(scores, lengths, mask)
  lead, count = scores.shape[:-1], scores.shape[-1]

  def one(scores_N, lengths_N, mask_N):
    total = jnp.maximum(mask_N.sum(), 1)

    def centred(values_N):
      values_N = jnp.where(mask_N, values_N.astype(jnp.float32), 0.0)
      rank_N = jnp.where(mask_N, ranks.midranks(values_N, 1.0 * mask_N), 0.0)
      return jnp.where(mask_N, rank_N - rank_N.sum() / total, 0.0) / total

    r_N, q_N = centred(scores_N), centred(lengths_N)
    variance = jnp.sum(q_N * q_N)
    b = jnp.sum(r_N * q_N) / jnp.where(variance > 0, variance, 1.0)
    e_N = jnp.round((r_N - b * q_N) / _EQUAL) * _EQUAL
    return jnp.where(jnp.isnan(scores_N) & mask_N, jnp.nan, e_N * total)

  rows = [a.reshape(-1, count) for a in (scores, lengths, mask)]
  return jax.vmap(one)(*rows).reshape(*lead, count)


@jax.jit
def partial_auroc(
  scores: Float[Array, '... N'],
  labels: Shaped[Array, '... N'],
  lengths: Shaped[Array, ' N'],
  mask: Bool[Array, '... N'] | None = None,
) -> Float[Array, '...']:
  """AUROC of `rank_residuals`; NaN where a class is empty.

  Args:
    scores: in any unit, higher for label 1.
    labels: 0 or 1, of any dtype.
    lengths: in any unit.
    mask: False leaves an answer out.
  """
  residuals = rank_residuals(scores, lengths, mask)
  return auroc_lib.auroc(residuals, labels, mask)
