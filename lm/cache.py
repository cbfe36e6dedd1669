"""Keys and values of positions already read: a ring of slots with one cursor.

Every row writes at the same slot, whatever the length of its own text: a row
that came later, or was padded at the front, sees only its last `lengths` slots
and counts its positions from there. So one contiguous write serves rows of any
length, and a finished row can be replaced by another in mid-decoding.

What rows have read in common lies in a cache beneath them: it is kept once, and
one matmul serves all of them, where a copy each would be read from memory at
every step. Beneath the samples of a few prompts lies a cache with a row for
each prompt, and beneath that one of a single row: worked examples, say.

Shapes: B sequences, T new positions, S slots, C rows and P slots of a cache
beneath, K key-value heads, H head width, L layers.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Int


class Cache(struct.PyTreeNode):
  """`keys` [B, K, H, S] and `values` [B, K, S, H], one of each a layer.

  (Slots are last in keys, so that scoring one query runs along them.) Where
  layers are scanned, both are one array with L in front.

  `cursor`: the slot that is written next. `lengths`: how many positions before
  it a row sees; negative where that many tokens to come are padding. Whatever
  else lies in the slots is stale: to forget a tail, lower both. Positions that
  are written together must not pass the last slot; single ones go round.

  `base`: a cache that lies before the rows and is never written; none if
  absent. Each of its C rows lies before B / C consecutive ones. `cursor` and
  `lengths` count without it.
  """

  keys: Any
  values: Any
  cursor: Int[Array, '']
  lengths: Int[Array, ' B']
  base: 'Cache | None' = None

  @classmethod
  def create(
    cls, config, batch: int, size: int, padding=None, base=None
  ) -> 'Cache':
    """An empty cache in the config's dtype of activations; see `place`.

    Args:
      config: of the model.
      batch: B.
      size: S, the most positions that a row can see.
      padding: [B] tokens at the front of what is read first; none if absent.
      base: what the rows have read before; none if absent.

    Raises:
      ValueError: `batch` is no multiple of the base's rows, or beneath the
        base lies another of more than one row.
    """
    if base is not None and batch % len(base.lengths):
      raise ValueError(
        f'expected a multiple of the {len(base.lengths)} rows of the base, '
        f'came {batch}'
      )
    if base is not None and base.base is not None:
      base.base._check_one()
    rows, (width, heads) = (batch, config.kv_heads), (config.head_dim, size)

    def empty(shape):
      # An array each, never one shared: a donated buffer is donated once.
      if config.scan_layers:
        return jnp.zeros((config.layers, *shape), config.activations)
      return tuple(
        jnp.zeros(shape, config.activations) for _ in range(config.layers)
      )

    if padding is None:
      padding = jnp.zeros(batch, jnp.int32)
    return cls(
      keys=empty((*rows, width, heads)),
      values=empty((*rows, heads, width)),
      cursor=jnp.int32(0),
      lengths=-padding,
      base=base,
    )

  @property
  def size(self) -> int:
    """S."""
    return jax.tree.leaves(self.keys)[0].shape[-1]

  @property
  def arrays(self) -> tuple[Any, ...]:
    """(keys, values), and those of each cache beneath, the next one first."""
    own = self.keys, self.values
    return own if self.base is None else own + self.base.arrays

  def positions(self, count: int) -> Int[Array, 'B T']:
    """Of the next `count` tokens of each row; of padding any."""
    own_BT = self.lengths[:, None] + jnp.arange(count)
    own_BT = jnp.maximum(own_BT, 0)
    return own_BT + sum(n_B[:, None] for _, n_B in self._beneath())

  def mask(self, count: int, window=None) -> Bool[Array, 'B T SP']:
    """Which slots the next `count` tokens see, themselves included.

    Args:
      count: T.
      window: only the last so many, if not None.

    Returns:
      Of the slots in the order of `arrays`.
    """
    seen_BTS, reach_BT1 = self._own(count, window)
    seen = [seen_BTS]
    for base, lengths_B in self._beneath():
      age_P = (base.cursor - 1 - jnp.arange(base.size)) % base.size
      lengths_B11 = lengths_B[:, None, None]
      seen_BTP = jnp.broadcast_to(
        age_P < lengths_B11, (*seen_BTS.shape[:2], base.size)
      )
      if window is not None:
        seen_BTP &= reach_BT1 + age_P < window
      seen.append(seen_BTP)
      reach_BT1 += lengths_B11
    return jnp.concatenate(seen, -1)

  def _own(self, count, window):
    """Slots seen of this cache, [B, T, S], and how many positions [B, T, 1]."""
    slots_T1 = self.cursor + jnp.arange(count)[:, None]
    age_TS = (slots_T1 - jnp.arange(self.size)) % self.size
    reach_BT1 = (self.lengths[:, None] + jnp.arange(count))[:, :, None]
    seen_BTS = age_TS <= reach_BT1
    if window is not None:
      seen_BTS &= age_TS < window
    return seen_BTS, reach_BT1 + 1

  def _beneath(self):
    """Each cache beneath, and what a row of this one has read in it [B]."""
    base, rows = self.base, len(self.lengths)
    while base is not None:
      count = rows // len(base.lengths)
      yield base, jnp.repeat(base.lengths, count)
      base = base.base

  def _check_one(self) -> None:
    """Raises ValueError if what lies beneath others has several rows."""
    if len(self.lengths) != 1:
      raise ValueError(
        f'expected a base of one row, came {len(self.lengths)} rows'
      )

  def advanced(self, keys, values, count: int) -> 'Cache':
    """With what was written, and the cursor behind it."""
    return self.replace(
      keys=keys,
      values=values,
      cursor=(self.cursor + count) % self.size,
      lengths=self.lengths + count,
    )

  def rows(self, index: Int[Array, ' R']) -> 'Cache':
    """The given rows, in the given order; a row may come several times.

    Raises:
      ValueError: a base of several rows, which would lie before others.
    """
    if self.base is not None:
      self.base._check_one()

    def take(a):
      return jnp.take(a, index, axis=a.ndim - 4)

    return self.replace(
      keys=jax.tree.map(take, self.keys),
      values=jax.tree.map(take, self.values),
      lengths=self.lengths[index],
    )


def grown(cache: Cache, size: int) -> Cache:
  """`cache` with `size` slots: what it has read comes first, the rest is stale.

  Raises:
    ValueError: it has more slots.
  """
  if size < cache.size:
    raise ValueError(f'expected at least {cache.size} slots, came {size}')

  def longer(a, axis):
    half = a.dtype == jnp.bfloat16
    a = jax.lax.bitcast_convert_type(a, jnp.uint16) if half else a
    # The oldest slot is the one that would be written next.
    a = jnp.roll(a, -cache.cursor, axis)
    rest = [(0, 0)] * a.ndim
    rest[axis] = (0, size - cache.size)
    a = jnp.pad(a, rest)
    return jax.lax.bitcast_convert_type(a, jnp.bfloat16) if half else a

  return cache.replace(
    keys=jax.tree.map(lambda a: longer(a, -1), cache.keys),
    values=jax.tree.map(lambda a: longer(a, -2), cache.values),
    cursor=jnp.int32(cache.size % size),
  )


def write(pair, k_BTKH, v_BTKH, cursor):
  """One layer's (keys, values) with new positions from slot `cursor` on."""
  keys, values = pair
  k_BKHT, v_BKTH = k_BTKH.transpose(0, 2, 3, 1), v_BTKH.transpose(0, 2, 1, 3)
  update = _update_bits if keys.dtype == jnp.bfloat16 else _update
  return update(keys, k_BKHT, cursor, 3), update(values, v_BKTH, cursor, 2)


_update = jax.lax.dynamic_update_slice_in_dim


def _update_bits(old, new, cursor, axis):
  """As integers: XLA's CPU updates bfloat16 by way of a float32 copy."""
  bits = functools.partial(jax.lax.bitcast_convert_type, new_dtype=jnp.uint16)
  out = _update(bits(old), bits(new), cursor, axis)
  return jax.lax.bitcast_convert_type(out, jnp.bfloat16)


def place(cache: Cache, one: Cache, row) -> Cache:
  """`cache` with the one row of `one` in place of its row `row`.

  What `one` has read, all its slots, comes to lie before the cursor.

  Raises:
    ValueError: `one` has more slots.
  """
  if one.size > cache.size:
    raise ValueError(
      f'expected at most {cache.size} slots to place, came {one.size}'
    )
  shift = cache.cursor - one.size

  def placed(old, new, axis):
    half = old.dtype == jnp.bfloat16
    if half:
      old, new = (
        jax.lax.bitcast_convert_type(a, jnp.uint16) for a in (old, new)
      )
    rest = [(0, 0)] * new.ndim
    rest[axis] = (0, cache.size - one.size)
    new = jnp.roll(jnp.pad(new, rest), shift, axis)
    out = _update(old, new, row, old.ndim - 4)
    return jax.lax.bitcast_convert_type(out, jnp.bfloat16) if half else out

  return cache.replace(
    keys=jax.tree.map(lambda a, b: placed(a, b, -1), cache.keys, one.keys),
    values=jax.tree.map(
      lambda a, b: placed(a, b, -2), cache.values, one.values
    ),
    lengths=cache.lengths.at[row].set(one.lengths[0]),
  )
