"""Reading one growing sequence with a KV cache.

`Reader.read(ids)` returns the last position's logits for the whole of `ids`,
but runs the model only from the first id that differs from what it read last:
text that is edited at its end costs what was edited.

Shapes: V vocabulary.
"""

import functools
from collections.abc import Sequence

import jax
import numpy as np

from lm import cache as caches
from lm import transformer
from lm.decoding import generate

# Lengths that a run of new tokens is padded to; one compilation each.
BUCKETS = (1, 8, 32, 128, 512)


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
  """Length of the longest common prefix."""
  length = min(len(a), len(b))
  for i in range(length):
    if a[i] != b[i]:
      return i
  return length


@functools.cache
def _extend(config: transformer.TransformerConfig):
  """(params, cache, new tokens, how many) to cache and last logits, jitted.

  Readers of models of one shape share it.
  """
  model = transformer.Transformer(config)

  def extend(params, cache, tokens, count):
    out = model.apply({'params': params}, tokens[None], cache=cache)
    last = out.hidden[:, count - 1]
    logits = generate.logits_of(last, transformer.unembedding(params))[0]
    return cache.advanced(out.cache.keys, out.cache.values, count), logits

  return jax.jit(extend, donate_argnums=1)


class Reader:
  """Logits of a sequence that grows or changes at its end.

  Not a pure function: it owns the cache of one sequence. `tokens_run` counts
  the positions computed since it was made.
  """

  def __init__(
    self, config: transformer.TransformerConfig, params, *, size: int
  ):
    """Args: config and params of the model; size: longest sequence, in ids."""
    self._params = params
    self._size = size
    self._ids: list[int] = []
    # Room for the padding of the last bucket behind the longest sequence.
    room = size + BUCKETS[-1]
    self._cache = caches.Cache.create(config, 1, room)
    self._extend = _extend(config)
    self.tokens_run = 0

  def read(self, ids: Sequence[int]) -> np.ndarray:
    """Next-token logits [V], float32, after all of `ids`.

    Raises:
      ValueError: `ids` is empty or longer than the reader's size.
    """
    if not 0 < len(ids) <= self._size:
      raise ValueError(
        f'a sequence of 1 to {self._size} ids can be read, got {len(ids)}; '
        'make the reader with a larger size'
      )
    # The last id is always run again: its logits are what is asked for.
    kept = min(common_prefix(self._ids, ids), len(ids) - 1)
    self._cache = self._cache.replace(
      cursor=np.int32(kept), lengths=np.full(1, kept, np.int32)
    )
    logits = None
    while kept < len(ids):
      new = ids[kept : kept + BUCKETS[-1]]
      bucket = next(size for size in BUCKETS if size >= len(new))
      tokens = np.zeros(bucket, np.int32)
      tokens[: len(new)] = new
      self._cache, logits = self._extend(
        self._params, self._cache, tokens, np.int32(len(new))
      )
      kept += len(new)
      self.tokens_run += len(new)
    self._ids = list(ids)
    return np.asarray(logits)
