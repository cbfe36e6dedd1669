"""Reading many growing sequences at once, each with a KV cache of its own.

What `reader.Reader` does for one sequence: `read(rows)` runs the model on what
is new in each row only, and text that is edited at its end costs what was
edited. All rows write at one slot. A row that has nothing to read there leaves
a hole, which nobody sees; so rows of uneven lengths, and rows that lose their
tail, move no keys. What a row has read before all else, such as a document,
lies in a cache beneath, and is read once.

Shapes: B rows, T new tokens, S slots, V vocabulary.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from engine import stop
from lm import cache as caches
from lm import transformer
from lm.decoding import generate, reader

# Tokens of a row in one pass. A pass costs what it has room for, so rows that
# are a few tokens behind are read one token after another.
WIDE = 16
_SINGLE = 4


class HoledCache(caches.Cache, kw_only=True):
  """A cache in which a slot may be of some rows only.

  `places` [B, S]: the position that a slot holds, -1 for a hole; `coming`
  [B, T]: which of the next tokens are any.
  """

  places: Int[Array, 'B S']
  coming: Bool[Array, 'B T']

  def expect(
    self, counts: Int[Array, ' B'], kept: Int[Array, ' B'], width: int
  ) -> 'HoledCache':
    """The cache before it reads `counts` of `width` tokens in each row.

    Args:
      counts: tokens to come, the first of `width`.
      kept: positions that stay; what a row read behind them is forgotten.
      width: T.
    """
    coming_BT = jnp.arange(width) < counts[:, None]
    new_BT = jnp.where(coming_BT, kept[:, None] + jnp.arange(width), -1)
    places_BS = jnp.where(self.places < kept[:, None], self.places, -1)
    places_BS = jax.lax.dynamic_update_slice_in_dim(
      places_BS, new_BT, self.cursor, 1
    )
    return self.replace(places=places_BS, coming=coming_BT, lengths=kept)

  def _own(self, count, window):
    own_BT = self.lengths[:, None] + jnp.arange(count)
    places_B1S, own_BT1 = self.places[:, None], own_BT[:, :, None]
    seen_BTS = (places_B1S >= 0) & (places_B1S <= own_BT1)
    if window is not None:
      seen_BTS &= own_BT1 - places_B1S < window
    return seen_BTS, own_BT1 + 1

  def advanced(self, keys, values, count):
    return self.replace(
      keys=keys,
      values=values,
      cursor=self.cursor + count,
      lengths=self.lengths + self.coming.sum(1),
    )


class RowReader:
  """Logits of rows that grow or change at their end.

  Not a pure function: it owns the cache of its rows. `tokens_run` counts the
  positions computed since it was made, those of idle rows and those beneath
  included.
  """

  def __init__(
    self,
    config: transformer.TransformerConfig,
    params,
    *,
    rows: int,
    size: int,
    before: Sequence[Sequence[int]] = (),
    batch: int = 16,
  ):
    """Makes room.

    Args:
      config: of a causal model, layers not scanned.
      params: of the model.
      rows: B.
      size: S, about the longest row and as many passes as it grows by. Where
        slots run out, what is asked for is read again.
      before: ids that each row has read before all else; none if empty.
      batch: rows of `before` that are read at once.

    Raises:
      ValueError: as many of `before` as rows, or none; or scanned layers.
    """
    if before and len(before) != rows:
      raise ValueError(
        f'expected what each of {rows} rows has read before, or nothing; came '
        f'{len(before)}'
      )
    if config.scan_layers:
      raise ValueError('rows are read by a model with scan_layers=False')
    self._config, self._params = config, params
    self._rows, self._size = rows, size
    self.tokens_run = 0
    self._base = self._beneath(before, batch)
    self._last = None
    self._forget()

  def read(self, rows: Sequence[Sequence[int] | None]) -> Array:
    """Next-token logits after each row, [B, V] float32, on the device.

    Args:
      rows: all ids of each row but those before it. None: the row is left as
        it is, and its logits are those of its last read.

    Raises:
      ValueError: an empty row, or one longer than the slots.
    """
    for row, ids in enumerate(rows):
      if ids is not None and not 0 < len(ids) <= self._size - WIDE:
        raise ValueError(
          f'a row of 1 to {self._size - WIDE} ids can be read, row {row} has '
          f'{len(ids)}; make the reader with a larger size'
        )
    while True:
      kept = np.array([len(ids) for ids in self._ids], np.int32)
      left: list[Sequence[int]] = [()] * self._rows
      for row, ids in enumerate(rows):
        if ids is None or list(ids) == self._ids[row]:
          continue
        # The last id is always run again: its logits are what is asked for.
        kept[row] = min(reader.common_prefix(self._ids[row], ids), len(ids) - 1)
        left[row] = ids[kept[row] :]
      longest = max(map(len, left))
      if not longest:
        return self._last
      stop.check()
      width = 1 if longest <= _SINGLE else WIDE
      if self._cursor + width > self._size:
        self._forget()  # each row is read again when it is next asked for
        continue
      self._pass(left, kept, width)

  def _pass(self, left, kept, width) -> None:
    tokens_BT = np.zeros((self._rows, width), np.int32)
    counts_B = np.zeros(self._rows, np.int32)
    for row, ids in enumerate(left):
      some = ids[:width]
      tokens_BT[row, : len(some)] = some
      counts_B[row] = len(some)
      self._ids[row] = [*self._ids[row][: kept[row]], *some]
    self._cache, self._last = _extend(
      self._config,
      self._params,
      self._cache,
      self._base,
      self._last,
      tokens_BT,
      counts_B,
      kept,
    )
    self._cursor += width
    self.tokens_run += tokens_BT.size

  def _forget(self) -> None:
    self._ids: list[list[int]] = [[] for _ in range(self._rows)]
    self._cursor = 0
    plain = caches.Cache.create(self._config, self._rows, self._size)
    self._cache = HoledCache(
      keys=plain.keys,
      values=plain.values,
      cursor=plain.cursor,
      lengths=plain.lengths,
      places=jnp.full((self._rows, self._size), -1, jnp.int32),
      coming=jnp.zeros((self._rows, 1), bool),
    )
    if self._last is None:
      self._last = jnp.zeros((self._rows, self._config.vocab_size))

  def _beneath(self, before, batch) -> caches.Cache | None:
    """A cache of all rows that has read `before`."""
    if not before:
      return None
    whole = -(-self._rows // batch) * batch
    tokens_BT, padding_B = generate.pad_front(before, rows=whole, most=0)
    parts = []
    for at in range(0, whole, batch):
      stop.check()
      some = slice(at, at + batch)
      parts.append(
        _read(self._config, self._params, tokens_BT[some], padding_B[some])
      )
    self.tokens_run += tokens_BT.size
    return _joined(parts, self._rows)


@functools.partial(jax.jit, static_argnums=1)
def _joined(parts, rows):
  """The first rows of caches that have read as far."""
  cursor = parts[0].cursor
  parts = [part.replace(cursor=None) for part in parts]
  joined = jax.tree.map(lambda *a: jnp.concatenate(a)[:rows], *parts)
  return joined.replace(cursor=cursor)


@functools.partial(jax.jit, static_argnums=0)
def _read(config, params, tokens_BT, padding_B):
  """A cache that has read rows padded at the front."""
  model = transformer.Transformer(config)
  cache = caches.Cache.create(config, *tokens_BT.shape, padding_B)
  return model.apply({'params': params}, tokens_BT, cache=cache).cache


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(2, 4))
def _extend(config, params, cache, base, last_BV, tokens_BT, counts_B, kept_B):
  """Cache and logits after what is new; rows without keep their logits."""
  model = transformer.Transformer(config)
  cache = cache.replace(base=base).expect(counts_B, kept_B, tokens_BT.shape[1])
  out = model.apply({'params': params}, tokens_BT, cache=cache)
  ends_B1 = jnp.maximum(counts_B - 1, 0)[:, None, None]
  hidden_BD = jnp.take_along_axis(out.hidden, ends_B1, 1)[:, 0]
  table_VD = transformer.unembedding(params)
  logits_BV = generate.logits_of(hidden_BD, table_VD)
  last_BV = jnp.where(counts_B[:, None] > 0, logits_BV, last_BV)
  # As it came, whatever the width, so that donated buffers are the same.
  cache = out.cache.replace(base=None, coming=cache.coming[:, :1])
  return cache, last_BV
