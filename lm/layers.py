"""The parts that layers are made of: parameters, norms, contractions, rotary
positions, and masks that say who may look at whom.

Masks are booleans, true where a query may see a key. A `Mask` stays symbolic
until a block of it is asked for, so that attention can leave out the blocks
that lie wholly in a causal future.

Shapes: B sequences, T positions or queries, S keys, N heads, H head width,
h = H / 2.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Int

from lm import int8, ops

QUERY_BLOCK = 128
# A window that leaves nothing out.
FAR = 2**30


def param(module, name, init, shape, axes):
  """A float32 parameter whose axes have logical names."""
  init = nn.with_logical_partitioning(init, axes)
  return module.param(name, init, shape, jnp.float32)


class RMSNorm(nn.Module):
  """x / rms(x) * scale over the last axis, in float32."""

  eps: float
  axis: str = 'embed'

  @nn.compact
  def __call__(self, x):
    scale = param(
      self, 'scale', nn.initializers.ones, (x.shape[-1],), (self.axis,)
    )
    x32 = x.astype(jnp.float32)
    inverse = jax.lax.rsqrt(jnp.mean(x32 * x32, -1, keepdims=True) + self.eps)
    return (x32 * inverse * scale).astype(x.dtype)


class Dense(nn.Module):
  """Contracts the last `contract` axes with a kernel of logical `axes`.

  With `outputs_first` the kernel is kept so, see `ops.matmul`; `axes` name the
  contracted ones first all the same.
  """

  features: tuple[int, ...]
  axes: tuple[str, ...]
  contract: int = 1
  use_bias: bool = False
  init_scale: float = 1.0
  outputs_first: bool = False

  @nn.compact
  def __call__(self, x):
    inputs = x.shape[x.ndim - self.contract :]
    fan_in = 1
    for size in inputs:
      fan_in *= size
    init = nn.initializers.normal(self.init_scale * fan_in**-0.5)
    shape, axes = (*inputs, *self.features), self.axes
    if self.outputs_first:
      shape = (*self.features, *inputs)
      axes = (*axes[self.contract :], *axes[: self.contract])
    kernel = param(self, 'kernel', init, shape, axes)
    if kernel.dtype == jnp.int8:
      scale = self.get_variable('params', int8.SCALE)
      y = int8.matmul(x, kernel, scale, self.contract)
    else:
      kernel = kernel.astype(x.dtype)
      y = ops.matmul(x, kernel, self.contract, self.outputs_first)
    if self.has_variable('params', 'lora_a'):  # see lm/lora.py
      low = self.get_variable('params', 'lora_a').astype(x.dtype)
      high = self.get_variable('params', 'lora_b').astype(x.dtype)
      y = y + ops.matmul(ops.matmul(x, low, self.contract), high, 1)
    if self.use_bias:
      bias = param(
        self,
        'bias',
        nn.initializers.zeros,
        self.features,
        self.axes[self.contract :],
      )
      y = y + bias.astype(x.dtype)
    return y


def rope_table(positions_BT, head_dim: int, base: float):
  """Cosines and sines [B, T, H/2] of the rotation angles, float32.

  Rotary positions (RoFormer, arXiv 2104.09864).
  """
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


class Mask(struct.PyTreeNode):
  """Causal or not, within equal `segments` (None: one segment).

  `window`: a query sees keys less than that many positions before it (None:
  all); where not causal, as many after it. An array, so that scanned layers
  can choose. `opened`: where causal, the later keys that a query sees all the
  same (None: none of them).
  """

  causal: bool = struct.field(pytree_node=False, default=True)
  segments: Int[Array, 'B T'] | None = None
  window: Int[Array, ''] | int | None = None
  opened: Bool[Array, 'T T'] | None = None

  def block(self, batch, queries: slice, keys: slice) -> Bool[Array, 'B T S']:
    """The mask of a range of queries against a range of keys."""
    shape = (batch, queries.stop - queries.start, keys.stop - keys.start)
    allowed = jnp.ones(shape, bool)
    ahead = jnp.arange(queries.start, queries.stop)[:, None] - jnp.arange(
      keys.start, keys.stop
    )
    if self.causal:
      before = ahead >= 0
      if self.opened is not None:
        before |= self.opened[queries, keys]
      allowed &= before
    if self.window is not None:
      allowed &= jnp.abs(ahead) < self.window
    if self.segments is not None:
      mine, theirs = self.segments[:, queries], self.segments[:, keys]
      allowed &= mine[:, :, None] == theirs[:, None, :]
    return allowed


def blockwise(attend, q, k, v, mask: Mask):
  """`attend` over blocks of queries; a causal block skips the keys after it.

  Halves the work of causal attention on long records and bounds the memory
  to [B, N, QUERY_BLOCK, S] scores; exact, whatever the block size.

  Args:
    attend: (q [B, t, N, H], k, v [B, s, K, H], mask [B, t, s]) -> [B, t, N, H].
    q, k, v: all T positions.
    mask: of the same T positions.
  """
  batch, length = q.shape[:2]
  out = []
  for begin in range(0, length, QUERY_BLOCK):
    queries = slice(begin, min(begin + QUERY_BLOCK, length))
    skips = mask.causal and mask.opened is None
    keys = slice(0, queries.stop if skips else length)
    allowed = mask.block(batch, queries, keys)
    out.append(attend(q[:, queries], k[:, keys], v[:, keys], allowed))
  return jnp.concatenate(out, axis=1) if len(out) > 1 else out[0]
