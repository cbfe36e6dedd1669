"""Matmul and attention with hand-written gradients; GELU.

The mathematics is the textbook's; only the order of axes in the backward pass
differs from what `jax.grad` derives. XLA materialises the transposes that the
derived gradient of a kernel asks for, which on CPU costs as much as the
matmul; written out, no operand is ever transposed in memory.

Shapes: B sequences, T queries, S keys, N heads, K key-value heads, G = N / K,
H head width.
"""

import functools
import math

import einops
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# Finite, so that a fully masked row stays finite in any dtype.
NEVER = -1e30


# XLA's CPU has no fast kernel for a row of bfloat16 or int8 that is alone (a
# tenth of the speed).
_FEWEST_ROWS = 4


def enough_rows(rows: Array) -> Array:
  """Copies of a row [1, ...] that is alone; more rows as they are."""
  if len(rows) != 1:
    return rows
  rows = jnp.broadcast_to(rows, (_FEWEST_ROWS, *rows.shape[1:]))
  return jax.lax.optimization_barrier(rows)


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
  leading = x.shape[: x.ndim - contract]
  outputs = kernel.shape[contract:]
  axes, ours = tuple(range(x.ndim - contract, x.ndim)), tuple(range(contract))
  if outputs_first:
    outputs = kernel.shape[:-contract]
    # Both as matrices: where either has more axes, XLA copies the kernel with
    # its inputs first, all of them at every call of a loop.
    kernel = kernel.reshape(math.prod(outputs), -1)
    x = x.reshape(math.prod(leading), -1)
    axes, ours = (1,), (1,)
  if x.dtype == jnp.bfloat16 and math.prod(leading) == 1:
    rows = enough_rows(x.reshape(1, *x.shape[x.ndim - len(axes) :]))
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


def take(table: Float[Array, 'V D'], ids: Int[Array, '...']) -> Array:
  """Rows of a table, [..., D].

  Of bfloat16 they are gathered as integers: XLA's CPU would gather from a
  float32 copy of the whole table, made anew at every call. The barrier keeps a
  loop from copying the table as integers once before it begins.
  """
  return _take_bits(table, ids) if table.dtype == jnp.bfloat16 else table[ids]


@jax.custom_vjp
def _take_bits(table, ids):
  table, ids = jax.lax.optimization_barrier((table, ids))
  bits = jax.lax.bitcast_convert_type(table, jnp.uint16)
  return jax.lax.bitcast_convert_type(bits[ids], jnp.bfloat16)


def _take_bits_fwd(table, ids):
  return _take_bits(table, ids), (table, ids)


def _take_bits_bwd(saved, g):
  table, ids = saved
  return jnp.zeros_like(table).at[ids].add(g), None


_take_bits.defvjp(_take_bits_fwd, _take_bits_bwd)


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
