"""Do sparse probes choose the same features, and would chance do as well?

Section numbers are those of docs/papers/probes.md. A support is the set of
features whose weight is not zero, as a row of booleans.

Shapes: T tasks (one support each), D width.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key


@functools.partial(jax.jit, static_argnames='k')
def top_k(w: Float[Array, 'T D'], k: int) -> Bool[Array, 'T D']:
  """Supports of the k largest |w|: always k, equals go to the lowest index.

  Raises:
    ValueError: if k is not between 0 and D.
  """
  width = w.shape[-1]
  if not 0 <= k <= width:
    raise ValueError(f'k must lie in [0, {width}], the width of w; got {k}')
  _, at_TK = jax.lax.top_k(jnp.abs(w), k)
  row_T1 = jnp.arange(w.shape[0])[:, None]
  return jnp.zeros(w.shape, bool).at[row_T1, at_TK].set(True)


def _intersections(supports_TD):
  """Sizes of all pairs' intersections, exact up to 2^24, and of supports."""
  ones_TD = supports_TD.astype(jnp.float32)
  # Zeros and ones, summed in float32: exact in any precision.
  return ones_TD @ ones_TD.T, ones_TD.sum(axis=-1)


@jax.jit
def jaccard(supports: Bool[Array, 'T D']) -> Float[Array, 'T T']:
  """|A and B| / |A or B| of all pairs; NaN where both are empty (section 4).

  It grows with the sizes alone: read it beside `chance_jaccard`.
  """
  both_TT, size_T = _intersections(supports)
  return both_TT / (size_T[:, None] + size_T - both_TT)


@jax.jit
def overlap_coefficient(supports: Bool[Array, 'T D']) -> Float[Array, 'T T']:
  """|A and B| / min(|A|, |B|) of all pairs; NaN where either is empty."""
  both_TT, size_T = _intersections(supports)
  return both_TT / jnp.minimum(size_T[:, None], size_T)


def density_jaccard(p: float) -> float:
  """Chance Jaccard of two wide supports of density p: p / (2 - p)."""
  if not 0.0 < p <= 1.0:
    raise ValueError(f'p, a density, must lie in (0, 1], got {p}')
  return p / (2.0 - p)


def chance_jaccard(
  sizes: Sequence[int] | Int[Array | np.ndarray, ' T'], d: int
) -> np.ndarray:
  """Expected Jaccard of independent random supports, exactly (section 4).

  The intersection of sizes a and b is hypergeometric; the mean is over it.

  Args:
    sizes: of the T supports.
    d: how many features there are.

  Returns:
    float64 [T, T]; NaN where both are empty. The diagonal is of two supports
    of that size, not of one with itself.

  Raises:
    ValueError: if a size is not between 0 and d.
  """
  sizes = np.asarray(sizes, int)
  if d < 1 or (sizes < 0).any() or (sizes > d).any():
    raise ValueError(f'sizes must lie in [0, d={d}], got {sizes.tolist()}')
  factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, d + 1)))])

  def choose(n, k):
    return factorial[n] - factorial[k] - factorial[n - k]

  def mean(a, b):
    if a + b == 0:
      return np.nan
    k = np.arange(max(0, a + b - d), min(a, b) + 1)
    log_p = choose(a, k) + choose(d - a, b - k) - choose(d, b)
    return float(np.sum(np.exp(log_p) * k / (a + b - k)))

  return np.array([[mean(a, b) for b in sizes] for a in sizes])


@functools.partial(jax.jit, static_argnames='draws')
def permutation_p(
  key: Key[Array, ''], supports: Bool[Array, 'T D'], draws: int = 999
) -> Float[Array, 'T T']:
  """One-sided p-values: do random supports of these sizes overlap as much?

  (1 + random overlaps not smaller than the observed) / (1 + draws), for
  Jaccard and the overlap coefficient alike: with the sizes given, both grow
  with the intersection. One draw is in memory at a time.

  Args:
    key: consumed here.
    supports: the observed ones.
    draws: how often all T supports are drawn anew; positive.

  Returns:
    In (0, 1], symmetric; NaN on the diagonal.
  """
  if draws < 1:
    raise ValueError(f'draws must be positive, got {draws}')
  observed_TT, size_T = _intersections(supports)
  tasks, width = supports.shape

  def draw(number, count_TT):
    keys = jax.random.split(jax.random.fold_in(key, number), tasks)
    order_TD = jax.vmap(lambda k: jax.random.permutation(k, width))(keys)
    both_TT, _ = _intersections(order_TD < size_T[:, None])
    return count_TT + (both_TT >= observed_TT)

  zero_TT = jnp.zeros((tasks, tasks), jnp.int32)
  count_TT = jax.lax.fori_loop(0, draws, draw, zero_TT)
  p_TT = (1.0 + count_TT) / (1.0 + draws)
  return jnp.where(jnp.eye(tasks, dtype=bool), jnp.nan, p_TT)
