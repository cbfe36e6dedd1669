"""Means that are summed first and divided once."""

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float


class Mean(struct.PyTreeNode):
  """A weighted mean as total and count, so that parts can be merged exactly."""

  total: Float[Array, '']
  count: Float[Array, '']

  @classmethod
  def of(cls, values, weights) -> 'Mean':
    """The mean of `values` under `weights`, of the same shape; in float32."""
    weights = jnp.asarray(weights, jnp.float32)
    values = jnp.asarray(values, jnp.float32)
    # A weight of zero also silences inf and nan.
    values = jnp.where(weights != 0, values, 0.0)
    return cls(total=jnp.sum(values * weights), count=jnp.sum(weights))

  def merge(self, other: 'Mean') -> 'Mean':
    return Mean(total=self.total + other.total, count=self.count + other.count)

  def compute(self):
    """total / count; nan when nothing was counted."""
    return self.total / self.count
