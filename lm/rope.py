"""Rotary positions (RoFormer, arXiv 2104.09864), paired as in Llama.

Shapes: B sequences, T positions, N heads, H head width, h = H / 2.
"""

import jax.numpy as jnp


def table(positions_BT, head_dim: int, base: float):
  """Cosines and sines [B, T, H/2] of the rotation angles, float32."""
  frequency = base ** (-jnp.arange(0, head_dim, 2, jnp.float32) / head_dim)
  angles_BTh = positions_BT[..., None].astype(jnp.float32) * frequency
  cos_sin_BTH = jnp.concatenate([jnp.cos(angles_BTh), jnp.sin(angles_BTh)], -1)
  # Times the identity: XLA's CPU drops barriers and makes what is elementwise
  # again in every layer that rotates, but never a product.
  cos_sin_BTH = jnp.einsum(
    'bth,hw->btw', cos_sin_BTH, jnp.eye(head_dim), precision='highest'
  )
  return tuple(jnp.split(cos_sin_BTH, 2, axis=-1))


def rotate(x_BTNH, table_BTh):
  """Rotates the pairs (i, i + H/2), the pairing of the Llama checkpoints."""
  cos, sin = (a[:, :, None].astype(x_BTNH.dtype) for a in table_BTh)
  first, second = jnp.split(x_BTNH, 2, axis=-1)
  return jnp.concatenate(
    [first * cos - second * sin, second * cos + first * sin], axis=-1
  )
