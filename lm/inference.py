"""Operations that only inference needs: argmax, attention to a cache.

Shapes: B sequences, T queries, S keys, P keys that B / C sequences share, N
heads, K key-value heads, G = N / K, H head width, V vocabulary.
"""

import functools
import math

import einops
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from lm.ops import NEVER

# Of an argmax: the length of a run, and from how many entries on it has any.
_RUN = 256
_LARGE = 4096


def argmax(x: Float[Array, '*R V']) -> Int[Array, '*R']:
  """The lowest place of the largest along the last axis; any where nan is.

  `jnp.argmax` carries place and value through one reduction, which XLA's CPU
  walks an element at a time. Two plain ones are ten times as quick, and
  places fastest as float32, exact up to 2 ** 24 of them. A vocabulary is read
  once only: the largest of each run, then the run that has it.
  """
  size = x.shape[-1]
  if size > 1 << 24:
    return jnp.argmax(x, -1).astype(jnp.int32)

  def first(x, most):
    places = jnp.arange(x.shape[-1], dtype=jnp.float32)
    at = jnp.where(x == most, places, x.shape[-1] - 1.0).min(-1)
    return at.astype(jnp.int32)

  run = math.gcd(size, _RUN)
  if size < _LARGE or run < 16:
    return first(x, x.max(-1, keepdims=True))
  runs = x.reshape(*x.shape[:-1], size // run, run)
  highest = runs.max(-1)
  most = highest.max(-1, keepdims=True)
  at = first(highest, most)
  inside = jnp.take_along_axis(runs, at[..., None, None], -2)[..., 0, :]
  return at * run + first(inside, most)


def attend_cached(
  q: Float[Array, 'B T N H'],
  keys: Float[Array, 'B K H S'],
  values: Float[Array, 'B K S H'],
  mask: Bool[Array, 'B T SP'],
  *beneath: Float[Array, '_ K _ _'],
) -> Float[Array, 'B T N H']:
  """`attend` to a cache, whose layout (lm/cache.py) spares every transpose.

  Keys [C, K, H, P] and values [C, K, P, H] that sequences share follow, any
  number of such pairs: they come in with one matmul a head and row, in which
  the queries of all that share the row are rows.
  """
  q = einops.rearrange(q, 'b t (k g) h -> b k (t g) h', k=keys.shape[1])
  q = q * jnp.asarray(q.shape[-1] ** -0.5, q.dtype)
  if mask.shape[1] == 1:
    # A few queries a head are no matmul: multiplied and added as they stream
    # by, keys are read once, at the speed of memory.
    scores = jnp.sum(q[..., None] * keys[:, :, None], 3, dtype=jnp.float32)
  else:
    scores = jnp.einsum(
      'bkqh,bkhs->bkqs', q, keys, preferred_element_type=jnp.float32
    )
  groups = q.shape[2] // mask.shape[1]
  seen = einops.repeat(mask, 'b t s -> b 1 (t g) s', g=groups)
  sizes = [a.shape[-1] for a in (keys, *beneath[::2])]
  seen, *rest = jnp.split(seen, np.cumsum(sizes)[:-1], axis=-1)
  scores = jnp.where(seen, scores, NEVER)
  peak = scores.max(-1, keepdims=True)
  bases = []
  for ours, theirs, seen in zip(beneath[::2], beneath[1::2], rest, strict=True):
    shared = functools.partial(_shared, rows=len(ours))
    first = jnp.einsum(
      'cbkqh,ckhp->ckbqp', shared(q), ours, preferred_element_type=jnp.float32
    )
    first = jnp.where(shared(seen).swapaxes(1, 2), first, NEVER)
    peak = jnp.maximum(peak, _apart(first.max(-1, keepdims=True)))
    bases.append((first, theirs))
  weights = jnp.exp(scores - peak)
  total = weights.sum(-1, keepdims=True)
  mix = jnp.einsum(
    'bkqs,bksh->bkqh',
    weights.astype(values.dtype),
    values,
    preferred_element_type=jnp.float32,
  )
  for first, theirs in bases:
    weights = jnp.exp(first - _shared(peak, len(theirs)).swapaxes(1, 2))
    total += _apart(weights.sum(-1, keepdims=True))
    # Swapped behind the matmul: on CPU one that swaps in bfloat16 is refused.
    first = jnp.einsum(
      'ckbqp,ckph->ckbqh',
      weights.astype(values.dtype),
      theirs,
      preferred_element_type=jnp.float32,
    )
    mix += _apart(first)
  mix = (mix / total).astype(values.dtype)
  return einops.rearrange(mix, 'b k (t g) h -> b t (k g) h', g=groups)


def _shared(a, rows):
  """[B, K, ...] by the row that is shared: [C, B / C, K, ...]."""
  return einops.rearrange(a, '(c b) ... -> c b ...', c=rows)


def _apart(a):
  """[C, K, B / C, ...] as [B, K, ...]."""
  return einops.rearrange(a, 'c k b ... -> (c b) k ...')
