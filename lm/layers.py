"""The parts that layers are made of: parameters, norms, contractions."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lm import ops


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
