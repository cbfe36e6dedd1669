"""AUROC controlled for answer length: stratified, or from rank residuals.

Our addition to the paper in docs/papers/uq_length_bias.md (section 4, F). h^
is the label that a correctness function gives.

The stratified AUROC counts only pairs of answers of the same length. An error
of h^ that depends on length alone is the same for both answers of a pair, so
it cannot favour one of them. The control is exact, but it discards pairs;
`share` is the share of pairs that are left.

The partial AUROC replaces the ranks of scores by their residuals after linear
regression on the ranks of lengths. It keeps all answers. It removes only what
is linear in ranks, and h^ still depends on length: where h^ refuses correct
answers because of their length, the result is nearer to 0.5 than the true
AUROC. Do not use it for scores that take few values: with any slope except 0,
it orders answers of equal score by their length.

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

# Residuals, divided by N, that differ by less than this count as equal. A score
# that is a function of length leaves only rounding errors, which would
# otherwise be ranked.
_EQUAL = 1e-5


def strata(lengths: np.ndarray, *, bins: int = 0) -> np.ndarray:
  """Numbers the strata of similar length, in NumPy.

  Args:
    lengths: [N], in words, tokens or characters.
    bins: number of strata of about equal size, at most; answers of equal length
      share a stratum. 0 gives every length its own stratum.

  Returns:
    [N] int32: the stratum of each answer, counted from 0.

  Raises:
    ValueError: there are no lengths, or `bins` is negative.
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
    area: in [0, 1]; NaN if no stratum has a correct and a wrong answer.
    share: the share of all pairs of a correct and a wrong answer that lie
      within a stratum.
  """

  area: Float[Array, '...']
  share: Float[Array, '...']


class _Sorted(NamedTuple):
  """The order of answers by stratum, then score."""

  at: ranks.Runs  # runs of equal scores in one stratum
  start: Int[Array, ' N']  # the first position of the answer's stratum
  stop: Int[Array, ' N']  # one past the last position of that stratum


def _sorted(scores_N, strata_N):
  at = ranks.runs(strata_N, scores_N)
  return _Sorted(at, *ranks.edges(strata_N[at.order]))


def _pairs(places: _Sorted, positive_N, negative_N):
  """(weight of pairs that were won, weight of all pairs), within strata.

  The arguments [N] are in the sorted order.
  """
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
  """AUROC over the pairs within strata; a tie counts half.

  It is the mean of the AUROCs of the strata, weighted by their numbers of
  pairs.

  Args:
    scores: in any unit, higher for label 1. Leading axes of `scores`, `labels`
      and `weights` broadcast.
    labels: 0 or 1, of any dtype.
    strata: see `strata`; any integers.
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
  """`stratified_auroc` and its percentile bootstrap interval.

  The bootstrap resamples all answers together, not within strata: resampling a
  stratum of one answer would have no variance.

  Args:
    key: consumed here.
    scores: in any unit.
    labels: 0 or 1.
    strata: see `strata`.
    mask: False leaves an answer out.
    draws: number of replicates, positive; replicates without a pair are left
      out.
    level: coverage of the interval, in (0, 1).

  Returns:
    [estimate, low, high]; all NaN if no stratum has a correct and a wrong
    answer.
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
  """Residuals of the scores' ranks after regression on the lengths' ranks.

  e = r - m - b (q - n), where r and q are the midranks of scores and lengths,
  m and n are their means, and b = cov(r, q) / var(q), or 0 if all lengths are
  equal. e is rounded to multiples of 1e-5 N.

  Args:
    scores: in any unit; leading axes broadcast.
    lengths: in any unit.
    mask: False leaves an answer out; ignore its residual.
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
  """AUROC of `rank_residuals`; NaN if all labels are equal.

  Args:
    scores: in any unit, higher for label 1.
    labels: 0 or 1, of any dtype.
    lengths: in any unit.
    mask: False leaves an answer out.
  """
  residuals = rank_residuals(scores, lengths, mask)
  return auroc_lib.auroc(residuals, labels, mask)
