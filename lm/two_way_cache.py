"""Keys and values of a bidirectional pass, some columns of which run again.

Where every position sees every other, keys and values kept from an earlier
pass are exact only as long as nothing changes; a denoiser uses them all the
same for what changes slowly (Fast-dLLM, arXiv 2505.22618). One full pass fills
the cache; later ones run a few columns, put their new keys and values in place
of the kept ones, and see the rest as it was.

Rows run columns of their own, as many as the others. A row that has fewer to
run lets its run begin earlier and writes from `begin` on: so every column that
is run exists, and what lies before `begin` is seen as it was kept.

Shapes: B sequences, W columns that run, S columns altogether, K key-value
heads, H head width.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Int


class Span(struct.PyTreeNode):
  """Which columns of a row run, and which of them are written.

  Attributes:
    first: the first that runs; as many as there are tokens, all below S.
    begin: the first that is written; none where it lies behind the run.
  """

  first: Int[Array, ' B']
  begin: Int[Array, ' B']


def take(array: Array, span: Span, count: int, axis: int = 1) -> Array:
  """The `count` columns of each row from `span.first` on."""
  if count == array.shape[axis]:
    return array

  def row(one, first):
    return jax.lax.dynamic_slice_in_dim(one, first, count, axis - 1)

  return jax.vmap(row)(array, span.first)


def put(old: Array, new: Array, span: Span, axis: int = 1) -> Array:
  """`old` with the columns `new` in their place, from `span.begin` on."""
  if old.dtype == jnp.bfloat16:
    # As integers: XLA's CPU updates bfloat16 by way of a float32 copy.
    bits = (jax.lax.bitcast_convert_type(a, jnp.uint16) for a in (old, new))
    return jax.lax.bitcast_convert_type(put(*bits, span, axis), old.dtype)
  count = new.shape[axis]
  written = span.first[:, None] + jnp.arange(count) >= span.begin[:, None]
  shape = [1 if i not in (0, axis) else n for i, n in enumerate(new.shape)]
  kept = take(old, span, count, axis)
  new = jnp.where(written.reshape(shape), new, kept)
  if count == old.shape[axis]:
    return new

  def row(old, new, first):
    return jax.lax.dynamic_update_slice_in_dim(old, new, first, axis - 1)

  return jax.vmap(row)(old, new, span.first)


class TwoWayCache(struct.PyTreeNode):
  """Laid out as `lm.cache.Cache`: keys [B, K, H, S], values [B, K, S, H].

  One of each a layer; where layers are scanned, one array with L in front.

  `segments`: of all columns, as the full pass had them. `span`: of the next
  pass; set it by `at`.
  """

  keys: Any
  values: Any
  segments: Int[Array, 'B S'] | None
  span: Span

  @classmethod
  def of(cls, keys, values, segments) -> 'TwoWayCache':
    """After a full pass."""
    batch = jax.tree.leaves(keys)[0].shape[-4]
    zero = jnp.zeros(batch, jnp.int32)
    return cls(keys, values, segments, Span(first=zero, begin=zero))

  @property
  def size(self) -> int:
    """S."""
    return jax.tree.leaves(self.keys)[0].shape[-1]

  def at(self, first: Int[Array, ' B'], begin: Int[Array, ' B']):
    """To run from `first` on and write from `begin` on, see `Span`."""
    return self.replace(span=Span(first=first, begin=begin))

  def positions(self, count: int) -> Int[Array, 'B W']:
    """The columns that run next."""
    return self.span.first[:, None] + jnp.arange(count)

  def mask(self, count: int, window=None) -> Bool[Array, 'B W S']:
    """Which columns the next `count` see: `layers.Mask`, without causality."""
    columns_BW = self.positions(count)
    ahead_BWS = columns_BW[:, :, None] - jnp.arange(self.size)
    seen_BWS = jnp.ones(ahead_BWS.shape, bool)
    if window is not None:
      seen_BWS &= jnp.abs(ahead_BWS) < window
    if self.segments is not None:
      mine_BW = take(self.segments, self.span, count)
      seen_BWS &= mine_BW[:, :, None] == self.segments[:, None, :]
    return seen_BWS

  def advanced(self, keys, values, count: int) -> 'TwoWayCache':
    """With what was written; the span stays."""
    del count
    return self.replace(keys=keys, values=values)


def laid_out(k_BSKH, v_BSKH):
  """One layer's (keys, values) of a full pass."""
  return k_BSKH.transpose(0, 2, 3, 1), v_BSKH.transpose(0, 2, 1, 3)


def write(pair, k_BWKH, v_BWKH, span: Span):
  """One layer's (keys, values) with what runs again in its place."""
  k_BKHW, v_BKWH = laid_out(k_BWKH, v_BWKH)
  return put(pair[0], k_BKHW, span, 3), put(pair[1], v_BKWH, span, 2)
