"""Matmuls in int8: kernels by output channel, activations by token (W8A8).

A kernel is rounded once, when it is read: an output channel is a row of int8
times one float32 number. The activations of a token are rounded at every
matmul, with a scale of their own, and products are summed in int32, exactly.
Both scales make the largest magnitude 127 (LLM.int8(), arXiv 2208.07339,
section 2.1, "vector-wise quantization"). Tables, norms, biases and attention
stay as they are.

Kernels take half the memory of bfloat16. Inference only: there is
no gradient.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int8

from lm import ops

# The largest magnitude; -128 is not used, so that signs are symmetric.
_MOST = 127
# Beside 'kernel' in the parameters of a module.
SCALE = 'kernel_scale'
# Axes of a kernel that are contracted; 1 where not named.
_CONTRACT = {'out': 2}


def quantize(kernel: np.ndarray, contract: int = 1):
  """A kernel with outputs first as int8 and a float32 scale an output.

  A channel of zeros has the scale 0.

  Args:
    kernel: [*outputs, *inputs].
    contract: how many axes the inputs have.

  Raises:
    ValueError: not all of it is finite.
  """
  kernel = np.asarray(kernel, np.float32)
  axes = tuple(range(kernel.ndim - contract, kernel.ndim))
  peak = np.abs(kernel).max(axes, keepdims=True)
  if not np.isfinite(peak).all():
    raise ValueError(
      'expected finite weights to round to int8, came nan or inf'
    )
  rounded = np.rint(kernel * (_MOST / np.where(peak > 0, peak, 1)))
  return rounded.astype(np.int8), (peak / _MOST).squeeze(axes)


def quantize_block(block: Mapping[str, Any]) -> dict[str, Any]:
  """The modules of one fused layer with int8 kernels; the rest in bfloat16."""
  out: dict[str, Any] = {}
  for name, module in block.items():
    module = dict(module)
    found = {}
    if 'kernel' in module:
      values, scale = quantize(module.pop('kernel'), _CONTRACT.get(name, 1))
      found = {'kernel': values, SCALE: scale}
    rest = {key: value.astype(jnp.bfloat16) for key, value in module.items()}
    out[name] = rest | found
  return out


def matmul(
  x: Float[Array, '...'],
  kernel: Int8[Array, '...'],
  scale: Float[Array, '...'],
  contract: int = 1,
) -> Float[Array, '...']:
  """Contracts the last `contract` axes of `x` and of an int8 kernel.

  Args:
    x: activations [*rows, *inputs].
    kernel: [*outputs, *inputs].
    scale: [*outputs].
    contract: how many axes the inputs have.

  Returns:
    [*rows, *outputs] in the dtype of `x`. A row of zeros gives zeros.
  """
  leading, outputs = x.shape[: x.ndim - contract], scale.shape
  rows = x.reshape(math.prod(leading), -1).astype(jnp.float32)
  peak = jnp.abs(rows).max(-1, keepdims=True)
  rounded = jnp.round(rows * (_MOST / jnp.where(peak > 0, peak, 1)))
  rounded = ops.enough_rows(rounded.astype(jnp.int8))
  y = jax.lax.dot_general(
    rounded,
    kernel.reshape(math.prod(outputs), -1),
    (((1,), (1,)), ((), ())),
    preferred_element_type=jnp.int32,
  )[: len(rows)]
  y = y.astype(jnp.float32) * (peak / _MOST) * scale.reshape(-1)
  return y.astype(x.dtype).reshape(*leading, *outputs)
