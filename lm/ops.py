"""Matmul and attention with hand-written gradients; argmax, GELU.

The mathematics is the textbook's; only the order of axes in the backward pass
differs from what `jax.grad` derives. XLA materialises the transposes that the
derived gradient of a kernel asks for, which on CPU costs as much as the
matmul; written out, no operand is ever transposed in memory.

Shapes: B sequences, T queries, S keys, P keys that B / C sequences share, N
heads, K key-value heads, G = N / K, H head width.
"""

import functools
import math

import einops
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

# Finite, so that a fully masked row stays finite in any dtype.
NEVER = -1e30


# Of an argmax: the length of a run, and from how many entries on it has any.
_RUN = 256
_LARGE = 4096

# A bfloat16 row is multiplied among so many: XLA's CPU has no fast kernel for
# one alone (a tenth of the speed).
_FEWEST_ROWS = 4


def _dot(x, kernel, dims, batch=((), ())):
  """Accumulates in float32: more exact, and what fast bfloat16 kernels do.

  Asked for a bfloat16 result, XLA's CPU converts both sides to float32 first
  and takes twice the time.
  """
  out = jax.lax.dot_general(
    x, kernel, (dims, batch), preferred_element_type=jnp.float32
  )
  return out.astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def matmul(
  x: Array, kernel: Array, contract: int = 1, outputs_first: bool = False
) -> Array:
  """Contracts the last `contract` axes of `x` with the first of `kernel`.

  Or with its last, where its outputs come first: what an output is made of
  then lies together, and XLA's CPU, which lays a kernel out anew for every
  product, does so in up to a third less time. It shows where rows are few.
  """
  leading, inner = x.shape[: x.ndim - contract], x.shape[x.ndim - contract :]
  outputs = kernel.shape[contract:]
  axes, ours = tuple(range(x.ndim - contract, x.ndim)), tuple(range(contract))
  if outputs_first:
    outputs = kernel.shape[:-contract]
    # As a matrix: a kernel of more axes is copied with its inputs first.
    kernel = kernel.reshape(math.prod(outputs), -1)
    inner, ours = (kernel.shape[1],), (1,)
    x = x.reshape(*leading, *inner)
    axes = (x.ndim - 1,)
  if x.dtype == jnp.bfloat16 and math.prod(leading) == 1:
    rows = jnp.broadcast_to(x.reshape(1, *inner), (_FEWEST_ROWS, *inner))
    rows = jax.lax.optimization_barrier(rows)
    y = _dot(rows, kernel, (tuple(range(1, rows.ndim)), ours))[0]
  else:
    y = _dot(x, kernel, (axes, ours))
  return y.reshape(*leading, *outputs)


def _matmul_fwd(x, kernel, contract, outputs_first):
  return matmul(x, kernel, contract, outputs_first), (x, kernel)


def _matmul_bwd(contract, outputs_first, saved, g):
  x, kernel = saved
  rows = tuple(range(x.ndim - contract))
  outputs = tuple(range(kernel.ndim))
  outputs = outputs[:-contract] if outputs_first else outputs[contract:]
  g_axes = tuple(range(g.ndim - len(outputs), g.ndim))
  sides = (g, x) if outputs_first else (x, g)
  return _dot(g, kernel, (g_axes, outputs)), _dot(*sides, (rows, rows))


matmul.defvjp(_matmul_fwd, _matmul_bwd)


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


def gelu(x: Array) -> Array:
  """x Phi(x), not its form with tanh (Hendrycks, Gimpel, arXiv 1606.08415).

  As PyTorch computes it. `nn.gelu` asks for erfc, which takes two and a half
  times as long on CPU and is more exact where x Phi(x) is nearly zero.
  """
  return x * (0.5 + 0.5 * jax.lax.erf(x * 0.5**0.5))


@jax.custom_vjp
def attend(
  q: Float[Array, 'B T N H'],
  k: Float[Array, 'B S K H'],
  v: Float[Array, 'B S K H'],
  mask: Bool[Array, 'B T S'],
) -> Float[Array, 'B T N H']:
  """Softmax attention with grouped heads; the softmax is float32.

  Scores are scaled by H ** -0.5. A row whose mask is empty gets a finite
  mean, never nan.
  """
  return _attend_fwd(q, k, v, mask)[0]


def _attend_fwd(q, k, v, mask):
  heads, length = k.shape[2], q.shape[1]
  # Queries of a group are more rows of one matmul: on CPU an axis of their own
  # makes it up to ten times as slow.
  q = einops.rearrange(q, 'b t (k g) h -> b k (g t) h', k=heads)
  q = q * jnp.asarray(q.shape[-1] ** -0.5, q.dtype)
  k, v = (einops.rearrange(a, 'b s k h -> b k s h') for a in (k, v))
  scores = jnp.einsum(
    'bkqh,bksh->bkqs', q, k, preferred_element_type=jnp.float32
  )
  groups = q.shape[2] // length
  seen = einops.repeat(mask, 'b t s -> b 1 (g t) s', g=groups)
  scores = jnp.where(seen, scores, NEVER)
  weights = jnp.exp(scores - scores.max(-1, keepdims=True))
  total = weights.sum(-1, keepdims=True)
  weights = weights.astype(v.dtype)
  # Dividing the [T, H] mix instead of the [T, S] weights: fewer divisions.
  mix = jnp.einsum(
    'bkqs,bksh->bkqh', weights, v, preferred_element_type=jnp.float32
  )
  mix = mix / total
  out = einops.rearrange(mix, 'b k (g t) h -> b t (k g) h', t=length)
  return out.astype(v.dtype), (q, k, v, weights, total, mix)


def _attend_bwd(saved, g):
  q, k, v, weights, total, mix = saved
  heads, length = k.shape[1], g.shape[1]
  g = einops.rearrange(g, 'b t (k g) h -> b k (g t) h', k=heads)
  g = g.astype(jnp.float32) / total
  shift = jnp.sum(g * mix, -1, keepdims=True)
  g = g.astype(v.dtype)
  g_v = jnp.einsum('bkqs,bkqh->bksh', weights, g)
  g_weights = jnp.einsum(
    'bkqh,bksh->bkqs', g, v, preferred_element_type=jnp.float32
  )
  g_scores = (weights * (g_weights - shift)).astype(v.dtype)
  g_q = jnp.einsum('bkqs,bksh->bkqh', g_scores, k)
  g_q = g_q * jnp.asarray(q.shape[-1] ** -0.5, q.dtype)
  g_k = jnp.einsum('bkqs,bkqh->bksh', g_scores, q)
  return (
    einops.rearrange(g_q, 'b k (g t) h -> b t (k g) h', t=length),
    einops.rearrange(g_k, 'b k s h -> b s k h'),
    einops.rearrange(g_v, 'b k s h -> b s k h'),
    None,
  )


attend.defvjp(_attend_fwd, _attend_bwd)


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
