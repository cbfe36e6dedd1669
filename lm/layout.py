"""One set of parameters in several layouts: joined, apart, stacked, unrolled.

Values never change, only which array they lie in (lm/transformer.py has the
switches `fused` and `scan_layers`).
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from lm import lora, transformer

Config = transformer.TransformerConfig

# What `fused` joins, and along which axis of a kernel.
_JOINED = {
  'qkv': (('query', 'key', 'value'), -2),
  'gate_up': (('gate', 'up'), -1),
}


def fuse(config: Config, params: Mapping[str, Any]):
  """Config and parameters with the kernels of a layer joined; for decoding.

  Low-rank updates are merged first.
  """
  if config.fused:
    return config, dict(params)
  params = lora.merge(params)
  join_layers(params)
  return dataclasses.replace(config, fused=True), params


def join_layers(params: dict[str, Any]) -> None:
  """`fuse` in place: what a layer was is let go before the next is joined."""

  def joined(block):
    block = dict(block)
    for whole, (parts, axis) in _JOINED.items():
      parts = [block.pop(part) for part in parts]
      join = functools.partial(_concatenate, axis)
      block[whole] = jax.tree.map(join, *parts)
    return block

  _change_blocks(params, joined)


def split(config: Config, params: Mapping[str, Any]):
  """`fuse` undone."""
  if not config.fused:
    return config, dict(params)
  n, k, f = config.heads, config.kv_heads, config.mlp_width
  cuts = {'qkv': (n, n + k), 'gate_up': (f,)}

  def parted(block):
    block = dict(block)
    for whole, (parts, axis) in _JOINED.items():
      pieces = jax.tree.map(
        lambda a, whole=whole, axis=axis: jnp.split(a, cuts[whole], axis),
        block.pop(whole),
      )
      for i, part in enumerate(parts):
        block[part] = {name: piece[i] for name, piece in pieces.items()}
    return block

  params = dict(params)
  _change_blocks(params, parted)
  return dataclasses.replace(config, fused=False), params


def _concatenate(axis, *arrays):
  return jnp.concatenate(arrays, axis)


def _change_blocks(params, change):
  """Changes each layer, or the stack of them, in place."""
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
