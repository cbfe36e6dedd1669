"""Samples drawn again inside a program of JAX.

A replicate is a vector of weights: a sample that is drawn twice counts twice.
So every statistic that takes weights can be resampled, in blocks of replicates
that bound the memory.

Shapes: N samples, R replicates, G groups.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, Shaped, UInt32

from engine.stats import bootstrap

# Elements of the largest array of a block of replicates.
_BLOCK_SIZE = 2**18


def numbers(
  bits: UInt32[Array, ' N'], bound: Shaped[Array, '...']
) -> UInt32[Array, ' N']:
  """floor(bits * bound / 2^32): whole numbers below `bound`, from 32 bits.

  As even as `jax.random.randint`, whose divisions take longer than its bits.
  """
  bound = bound.astype(jnp.uint32)
  high_N, low_N = bits >> 16, bits & 0xFFFF
  high, low = bound >> 16, bound & 0xFFFF
  cross_N = high_N * low + ((low_N * low) >> 16)
  carry_N = (low_N * high + (cross_N & 0xFFFF)) >> 16
  return high_N * high + (cross_N >> 16) + carry_N


def redraw(
  weights: Float[Array, ' N'],
  classes: Bool[Array, ' N'] | None = None,
  groups: Int[Array, ' N'] | None = None,
) -> Callable[[Key[Array, '']], Float[Array, ' N']]:
  """A function from a key to the weights of a replicate.

  As many samples are drawn as have a positive weight, with replacement.

  Args:
    weights: 0 for padding, which is never drawn; others stay with the sample.
    classes: draws within each of the two, as many as it has.
    groups: numbers in [0, N) of samples that are drawn together, as many
      groups as there are; without `classes`.
  """
  size = weights.size
  here_N = weights > 0
  if groups is not None:
    draw_groups = redraw(jnp.zeros(size).at[groups].max(1.0 * here_N))
    return lambda key: weights * draw_groups(key)[groups]
  class_N = jnp.zeros(size, int) if classes is None else classes.astype(int)
  class_N = jnp.where(here_N, class_N, 2)  # padding draws padding
  member_N = jnp.argsort(class_N)
  sizes_C = jnp.bincount(class_N, length=3)
  start_C = jnp.cumsum(sizes_C) - sizes_C
  class_of_slot_N = class_N[member_N]
  start_N, bound_N = start_C[class_of_slot_N], sizes_C[class_of_slot_N]

  def draw(key):
    slot_N = start_N + numbers(jax.random.bits(key, (size,)), bound_N)
    return weights * jnp.zeros(size).at[member_N[slot_N]].add(1.0)

  return draw


def each(
  function: Callable[[Key[Array, '']], Shaped[Array, '...']],
  key: Key[Array, ''],
  draws: int,
  size: int,
) -> Shaped[Array, 'R ...']:
  """`function` of the key of every replicate, which is folded from `key`.

  Args:
    function: of one replicate.
    key: consumed here.
    draws: R.
    size: elements of the largest array of one replicate.
  """
  blocks = -(-draws // max(1, _BLOCK_SIZE // size))
  block = -(-draws // blocks)
  # Full blocks only, so that there is one program; the surplus is cut off.
  numbers_R = jnp.arange(blocks * block).reshape(blocks, block)
  out = jax.lax.map(
    jax.vmap(lambda number: function(jax.random.fold_in(key, number))),
    numbers_R,
  )
  return out.reshape(-1, *out.shape[2:])[:draws]


def interval(
  statistic: Callable[[Float[Array, ' N']], Float[Array, '...']],
  key: Key[Array, ''],
  weights: Float[Array, ' N'],
  classes: Bool[Array, ' N'] | None = None,
  groups: Int[Array, ' N'] | None = None,
  *,
  draws: int,
  level: float,
  size: int = 1,
) -> Float[Array, '3 ...']:
  """A statistic and its percentile interval, samples drawn again.

  Args:
    statistic: of the samples under the weights given to it.
    key: consumed here.
    weights: of the samples; 0 for padding.
    classes: see `redraw`.
    groups: see `redraw`.
    draws: replicates, positive.
    level: of the interval, in (0, 1).
    size: elements of the statistic's largest array, where that is not N.

  Returns:
    [estimate, low, high]; all NaN where the estimate is. Replicates in which
    the statistic is NaN are left out.

  Raises:
    ValueError: draws or level out of range.
  """
  bootstrap.check(draws, level)
  draw = redraw(weights, classes, groups)
  values_R = each(
    lambda key: statistic(draw(key)), key, draws, max(size, weights.size)
  )
  return bootstrap.percentile(statistic(weights), values_R, level)
