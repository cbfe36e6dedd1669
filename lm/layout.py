"""One set of parameters in several layouts: joined, apart, stacked, unrolled.

Values never change, only which array they lie in (lm/transformer.py has the
switches `fused` and `scan_layers`).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lm import lora, transformer

Config = transformer.TransformerConfig

# What `fused` joins, and the number of their inputs' and outputs' axes. What
# is joined is the first of the outputs.
_JOINED = {
  'qkv': (('query', 'key', 'value'), (1, 2)),
  'gate_up': (('gate', 'up'), (1, 1)),
}
# Whose outputs come first besides.
_ALONE = {'out': (2, 1), 'down': (1, 1)}


def fuse(config: Config, params: Mapping[str, Any]):
  """Config and parameters with the kernels of a layer joined; for decoding.

  Low-rank updates are merged first.
  """
  if config.fused:
    return config, dict(params)
  params = lora.merge(params)
  _change_blocks(params, join)
  return dataclasses.replace(config, fused=True), params


def whole_of(part: str) -> str:
  """What `fuse` joins a module of a layer into; its own name if nothing."""
  for whole, (parts, _) in _JOINED.items():
    if part in parts:
      return whole
  return part


def join(block: Mapping[str, Any]) -> dict[str, Any]:
  """The modules of a layer, or of the stack of layers, as `fuse` has them.

  Modules that are absent are left out. Arrays of NumPy stay such.
  """
  block = dict(block)
  for whole, (parts, (inputs, outputs)) in _JOINED.items():
    if parts[0] not in block:
      continue
    parts = [_turned(block.pop(part), inputs, outputs) for part in parts]
    block[whole] = {
      name: _library(array).concatenate(
        [part[name] for part in parts], -_joined_axis(name, inputs, outputs)
      )
      for name, array in parts[0].items()
    }
  for name, (inputs, outputs) in _ALONE.items():
    if name in block:
      block[name] = _turned(block[name], inputs, outputs)
  return block


def split(config: Config, params: Mapping[str, Any]):
  """`fuse` undone."""
  if not config.fused:
    return config, dict(params)
  n, k, f = config.heads, config.kv_heads, config.mlp_width
  cuts = {'qkv': (n, n + k), 'gate_up': (f,)}

  def parted(block):
    block = dict(block)
    for whole, (parts, (inputs, outputs)) in _JOINED.items():
      pieces = {
        name: jnp.split(
          array, cuts[whole], -_joined_axis(name, inputs, outputs)
        )
        for name, array in block.pop(whole).items()
      }
      for i, part in enumerate(parts):
        one = {name: piece[i] for name, piece in pieces.items()}
        block[part] = _turned(one, outputs, inputs)
    for name, (inputs, outputs) in _ALONE.items():
      block[name] = _turned(block[name], outputs, inputs)
    return block

  params = dict(params)
  _change_blocks(params, parted)
  return dataclasses.replace(config, fused=False), params


def _joined_axis(name, inputs, outputs):
  """Counted from the end: that of the first output, layers stacked or not."""
  return outputs + (inputs if name == 'kernel' else 0)


def _turned(dense, first, last):
  """A kernel of `first` + `last` axes, or a stack of such, with those swapped.

  A bias is what it was.
  """
  kernel = dense['kernel']
  kernel = _library(kernel).moveaxis(
    kernel, range(-first - last, -last), range(-first, 0)
  )
  return dense | {'kernel': kernel}


def _library(array):
  return np if isinstance(array, np.ndarray) else jnp


def _change_blocks(params, change):
  """Changes each layer, or the stack of them, in place.

  What a layer was is let go before the next is changed.
  """
  if 'layers' in params:
    params['layers'] = {'block': change(params['layers']['block'])}
  for name in params:
    if name.startswith('layer_'):
      params[name] = change(params[name])


def unrolled(params: Mapping[str, Any], layers: int) -> dict[str, Any]:
  """Parameters of scanned layers as those of unrolled ones."""
  if 'layers' not in params:
    return dict(params)
  rest = {name: value for name, value in params.items() if name != 'layers'}
  block = params['layers']['block']
  return rest | {
    f'layer_{i}': jax.tree.map(lambda x, i=i: x[i], block)
    for i in range(layers)
  }
