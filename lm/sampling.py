"""From next-token logits to a token: temperature, top-k, top-p, greedy.

Pure functions of arrays, used by decoders inside jit. Shapes: B rows, V
vocabulary.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from lm import ops


def keep_top_k(logits: Float[Array, 'B V'], top_k: int) -> Float[Array, 'B V']:
  """All but the `top_k` largest become `ops.NEVER`; ties with the last stay.

  Args:
    logits: in nats, up to a constant a row.
    top_k: 0 keeps all.
  """
  if not 0 < top_k < logits.shape[-1]:
    return logits
  least_B1 = jax.lax.top_k(logits, top_k)[0][:, -1:]
  return jnp.where(logits >= least_B1, logits, ops.NEVER)


def keep_top_p(
  logits: Float[Array, 'B V'], top_p: float
) -> Float[Array, 'B V']:
  """Keeps the fewest most probable tokens that hold `top_p` of the mass.

  The one that passes `top_p` is kept, so there is always one; of equal tokens
  the lower id counts as the more probable.
  """
  if top_p >= 1.0:
    return logits
  order_BV = jnp.argsort(logits, axis=-1, descending=True, stable=True)
  ranked_BV = jnp.take_along_axis(jax.nn.softmax(logits), order_BV, -1)
  before_BV = jnp.cumsum(ranked_BV, -1) - ranked_BV
  kept_BV = (before_BV < top_p).at[:, 0].set(True)
  back_BV = jnp.argsort(order_BV, axis=-1)
  kept_BV = jnp.take_along_axis(kept_BV, back_BV, -1)
  return jnp.where(kept_BV, logits, ops.NEVER)


def draw(
  keys: Key[Array, ' B'],
  logits: Float[Array, 'B V'],
  temperature: Float[Array, ' B'],
  *,
  top_k: int = 0,
  top_p: float = 1.0,
) -> Int[Array, ' B']:
  """One token a row.

  A row depends on its own key, logits and temperature only: whatever else is
  in the batch, it draws the same.

  Args:
    keys: one a row; consumed.
    logits: next-token scores; cast to float32.
    temperature: divides the logits before the cuts; 0 takes the largest
      (the lowest id of equals).
    top_k: see `keep_top_k`; 0 keeps all.
    top_p: see `keep_top_p`; 1 keeps all.
  """
  logits = logits.astype(jnp.float32)
  hot_B = temperature > 0
  scaled_BV = logits / jnp.where(hot_B, temperature, 1.0)[:, None]
  scaled_BV = keep_top_p(keep_top_k(scaled_BV, top_k), top_p)
  drawn_B = jax.vmap(jax.random.categorical)(keys, scaled_BV)
  return jnp.where(hot_B, drawn_B, jnp.argmax(logits, -1)).astype(jnp.int32)


def token_logprob(
  logits: Float[Array, 'B V'], tokens: Int[Array, ' B']
) -> Float[Array, ' B']:
  """log p(token) of the model itself, at temperature 1 and without cuts."""
  logp_BV = jax.nn.log_softmax(logits.astype(jnp.float32))
  return jnp.take_along_axis(logp_BV, tokens[:, None], -1)[:, 0]
