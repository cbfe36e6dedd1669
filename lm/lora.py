"""LoRA: a low-rank update beside each chosen kernel (arXiv 2106.09685).

  {'query': {'kernel': W, 'lora_a': A, 'lora_b': B}}    y = x W + (x A) B

The update lies in the parameter tree, where transformer.Dense finds it, so
whoever runs the model runs it too; `merge` folds it into the kernels. There
is no alpha: under Adam it only rescales the rates, and the rate is a knob of
its own. A is drawn, B is zero: at first the model is the one it was.

Trees may hold flax's boxes with logical axis names. The axis of the rank has
none: it is whole on every device.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util

KERNELS = ('query', 'key', 'value', 'out', 'gate', 'up', 'down')
# Axes of a kernel that are contracted with the input; 1 where not named.
_CONTRACT = {'out': 2}
_LOW, _HIGH = 'lora_a', 'lora_b'
_TABLES = ('embedding', 'unembedding')

Params = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoraConfig:
  """`rank` 0: no updates, all weights are trained. `kernels`: which get one.

  Kernels are those of every layer by their names in lm/transformer.py.
  """

  rank: int = 0
  kernels: tuple[str, ...] = KERNELS

  def __post_init__(self):
    # A config read back from JSON holds a list.
    object.__setattr__(self, 'kernels', tuple(self.kernels))
    if self.rank < 0:
      raise ValueError(f'lora.rank must not be negative, got {self.rank}')
    unknown = set(self.kernels) - set(KERNELS)
    if unknown or not self.kernels:
      raise ValueError(
        f'lora.kernels must be some of {", ".join(KERNELS)}, got '
        f'{", ".join(self.kernels) or "none"}'
      )


def _flat(params: Params) -> dict[tuple[str, ...], Any]:
  return traverse_util.flatten_dict(dict(params))


def _value(leaf):
  return leaf.value if isinstance(leaf, nn.LogicallyPartitioned) else leaf


def _like(leaf, value, names: Callable[[tuple], tuple]):
  """`value` in the box of `leaf`, if it has one, its names changed."""
  if isinstance(leaf, nn.LogicallyPartitioned):
    return leaf.replace(value=value, names=names(leaf.names))
  return value


def _axes(path: tuple[str, ...]) -> tuple[int, int]:
  """Leading axes of scanned layers, and axes contracted with the input."""
  return int('layers' in path), _CONTRACT.get(path[-2], 1)


def init(key: jax.Array, params: Params, config: LoraConfig) -> dict[str, Any]:
  """The parameters with updates that are zero as yet.

  Args:
    key: consumed here.
    params: with unfused kernels, of scanned layers or not.
    config: rank 0 returns the parameters as they are.

  Raises:
    ValueError: no layer has a kernel of that name.
  """
  out = _flat(params)
  if not config.rank:
    return dict(params)
  found = set()
  for i, path in enumerate(sorted(out)):
    if path[-1] != 'kernel' or path[-2] not in config.kernels:
      continue
    found.add(path[-2])
    kernel = out[path]
    shape = _value(kernel).shape
    stack, contract = _axes(path)
    split = stack + contract
    layers, inputs, features = shape[:stack], shape[stack:split], shape[split:]
    fan_in = 1
    for size in inputs:
      fan_in *= size
    low = jax.random.normal(
      jax.random.fold_in(key, i), (*layers, *inputs, config.rank), jnp.float32
    )
    high = jnp.zeros((*layers, config.rank, *features), jnp.float32)
    out[(*path[:-1], _LOW)] = _like(
      kernel, low * fan_in**-0.5, lambda n, end=split: (*n[:end], None)
    )
    out[(*path[:-1], _HIGH)] = _like(
      kernel,
      high,
      lambda n, a=stack, b=split: (*n[:a], None, *n[b:]),
    )
  if missing := set(config.kernels) - found:
    raise ValueError(
      f'lora.kernels names {", ".join(sorted(missing))}, which no layer has '
      '(fused ones must be split first)'
    )
  return traverse_util.unflatten_dict(out)


def merge(params: Params) -> dict[str, Any]:
  """The plain parameters, each kernel with its update added, W + A B."""
  flat = _flat(params)
  out = {p: leaf for p, leaf in flat.items() if p[-1] not in (_LOW, _HIGH)}
  for path, low in flat.items():
    if path[-1] != _LOW:
      continue
    place = (*path[:-1], 'kernel')
    stack, _ = _axes(path)

    def product(a, b):
      return jnp.tensordot(a, b, 1, precision='highest')

    update = jax.vmap(product) if stack else product
    kernel = out[place]
    added = update(_value(low), _value(flat[(*path[:-1], _HIGH)]))
    value = _value(kernel) + added.astype(_value(kernel).dtype)
    out[place] = _like(kernel, value, lambda n: n)
  return traverse_util.unflatten_dict(out)


def take(params: Params, *, first_row: int) -> dict[str, Any]:
  """What is trained: the updates, and rows of the tables from `first_row` on.

  Everything else is frozen: kernels, norms, biases, the rows before.

  Returns:
    By 'path/to/leaf'; what an optimiser sees and `put` puts back.
  """
  out = {}
  for path, leaf in _flat(params).items():
    if path[-1] in (_LOW, _HIGH):
      out['/'.join(path)] = leaf
    elif path[-1] in _TABLES:
      # Too few rows to be spread: their axis loses its name.
      out['/'.join(path)] = _like(
        leaf, _value(leaf)[first_row:], lambda n: (None, *n[1:])
      )
  return out


def put(params: Params, part: Params, *, first_row: int) -> dict[str, Any]:
  """`params` with `part`, as `take` gives it, in its place."""
  out = _flat(params)
  for name, leaf in part.items():
    path = tuple(name.split('/'))
    if path[-1] in _TABLES:
      leaf = out[path].at[first_row:].set(leaf)
    out[path] = leaf
  return traverse_util.unflatten_dict(out)


def graft(params: Params, onto: Params) -> dict[str, Any]:
  """The updates of `params` beside the kernels of `onto`."""
  updates = {p: x for p, x in _flat(params).items() if p[-1] in (_LOW, _HIGH)}
  return traverse_util.unflatten_dict(_flat(onto) | updates)
