"""Checkpoints of others into our parameters, and back.

GGUF (any type that the `gguf` library dequantises) and Hugging Face folders
(safetensors, one file or shards). Tensors are read, laid out and put on their
devices one after the other: the host never holds a copy of the whole model.
"""

import dataclasses
import functools
import itertools
import json
import mmap
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import gguf
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from flax import traverse_util

from engine.runs import writer
from lm import int8, layout, lora, transformer
from lm.checkpoints import families, gguf_config, hf_config

INDEX = 'model.safetensors.index.json'
# Follow from the config, or from another tensor.
_IGNORED = ('rotary_emb.inv_freq',)


class CheckpointError(ValueError):
  """A checkpoint that is broken, incomplete or of another shape."""


class Source(Protocol):
  """Tensors by name, as a checkpoint holds them."""

  style: str
  path: pathlib.Path

  def names(self) -> set[str]: ...

  def read(self, name: str) -> np.ndarray: ...


class GGUFSource:
  """A GGUF file, memory-mapped; `metadata` gives its keys."""

  style = 'gguf'

  def __init__(self, path: str | os.PathLike):
    self.path = pathlib.Path(path)
    try:
      self._reader = gguf.GGUFReader(self.path)
    except Exception as error:  # numpy's and the library's own, of many types
      raise CheckpointError(
        f'{self.path}: expected a whole GGUF file, came one that is cut, '
        f'damaged or of an unknown tensor type ({error}); fetch it again'
      ) from error
    self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}

  def metadata(self, key: str, *default):
    """The value of a key; CheckpointError where it is missing."""
    field = self._reader.get_field(key)
    if field is not None:
      return field.contents()
    if default:
      return default[0]
    raise CheckpointError(f'{self.path}: expected the key {key}, found none')

  def names(self) -> set[str]:
    return set(self._tensors)

  def read(self, name: str) -> np.ndarray:
    tensor = self._tensors[name]
    try:
      values = gguf.dequantize(tensor.data, tensor.tensor_type)
    except NotImplementedError as error:
      raise CheckpointError(
        f'{self.path}: the tensor {name} is of type '
        f'{tensor.tensor_type.name}, which cannot be dequantised here; use a '
        'file of type F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K or Q6_K'
      ) from error
    # Pages of the file that were read would count as memory in use.
    self._reader.data.base.madvise(mmap.MADV_DONTNEED)
    # GGUF counts axes from the last.
    return values.reshape(tuple(int(n) for n in tensor.shape[::-1]))

  def config(self) -> tuple[families.Family, transformer.TransformerConfig]:
    """Family and config from the metadata."""
    try:
      return gguf_config.read(self)
    except CheckpointError:
      raise
    except ValueError as error:
      raise CheckpointError(f'{self.path}: {error}') from error

  def keys(self, prefix: str) -> dict[str, Any]:
    """The values of all keys that begin with `prefix`, without it."""
    return {
      key.removeprefix(prefix): self.metadata(key)
      for key in self._reader.fields
      if key.startswith(prefix)
    }


class FolderSource:
  """A Hugging Face folder: config.json and safetensors, whole or in shards."""

  style = 'hf'

  def __init__(self, path: str | os.PathLike):
    self.path = pathlib.Path(path)
    index = self.path / INDEX
    if index.is_file():
      weight_map = json.loads(index.read_text())['weight_map']
      files = sorted(set(weight_map.values()))
    else:
      files = sorted(file.name for file in self.path.glob('*.safetensors'))
      weight_map = None
    if not files:
      raise CheckpointError(
        f'{self.path}: expected *.safetensors, {INDEX} or one .gguf file, '
        'found none of them'
      )
    self._where: dict[str, Any] = {}
    for file in files:
      if not (self.path / file).is_file():
        raise CheckpointError(
          f'{self.path}: expected the shard {file}, which {INDEX} names; '
          'it is missing: fetch it again'
        )
      try:
        handle = safetensors.safe_open(self.path / file, framework='np')
      except Exception as error:  # SafetensorError, OSError
        raise CheckpointError(
          f'{self.path / file}: expected a whole safetensors file, came one '
          f'that is cut or damaged ({error}); fetch it again'
        ) from error
      self._where |= dict.fromkeys(handle.keys(), handle)
    lost = sorted(set(weight_map or ()) - set(self._where))
    if lost:
      raise CheckpointError(
        f'{self.path}: expected the tensor {lost[0]}, which {INDEX} names; '
        'no shard holds it'
      )

  def names(self) -> set[str]:
    return set(self._where)

  def read(self, name: str) -> np.ndarray:
    return self._where[name].get_tensor(name)

  def config(self) -> tuple[families.Family, transformer.TransformerConfig]:
    """Family and config from config.json."""
    file = self.path / 'config.json'
    if not file.is_file():
      raise CheckpointError(f'{self.path}: expected a config.json, found none')
    try:
      return hf_config.read(json.loads(file.read_text()))
    except ValueError as error:
      raise CheckpointError(f'{file}: {error}') from error


class Pretrained(NamedTuple):
  """A model that exists: its family, its config and its parameters."""

  family: families.Family
  config: transformer.TransformerConfig
  params: dict[str, Any]


def gguf_of_folder(folder: pathlib.Path) -> pathlib.Path | None:
  """The one .gguf file of a folder without safetensors; None without any.

  Raises:
    CheckpointError: several, so that the folder names none of them.
  """
  if any(folder.glob('*.safetensors')) or (folder / INDEX).is_file():
    return None
  found = sorted(folder.glob('*.gguf'))
  if len(found) > 1:
    raise CheckpointError(
      f'{folder}: expected one .gguf file, found '
      f'{", ".join(file.name for file in found)}; name one of them'
    )
  return found[0] if found else None


def open_source(path: str | os.PathLike) -> GGUFSource | FolderSource:
  """The reader for a .gguf file, or a folder of safetensors or of one .gguf."""
  path = pathlib.Path(path)
  if path.is_dir():
    file = gguf_of_folder(path)
    return FolderSource(path) if file is None else GGUFSource(file)
  if path.is_file():
    return GGUFSource(path)
  raise FileNotFoundError(
    f'expected a .gguf file or a folder of safetensors at {path}, found nothing'
  )


def _rows(source, family, config) -> list[families.Row]:
  """What our tensors are made of; CheckpointError where names differ."""
  rows = families.rows(family, config, source.style)
  wanted, found = {row.name for row in rows}, source.names()
  extra = {n for n in found - wanted if not n.endswith(_IGNORED)}
  if config.tied:
    # Written by some savers although it is the embedding.
    extra -= {'lm_head.weight'}
  for what, names in (('lacks', wanted - found), ('has an unknown', extra)):
    if names:
      more = f' and {len(names) - 1} more' if len(names) > 1 else ''
      raise CheckpointError(
        f'{source.path}: a {family.name} of this config has other tensors: '
        f'the checkpoint {what} {min(names)}{more}'
      )
  return rows


def _read(source, row: families.Row) -> np.ndarray:
  """One of our tensors; CheckpointError where its shape differs."""
  theirs = source.read(row.name)
  try:
    ours = row.kind.ours(theirs, row.heads)
  except ValueError:
    ours = None
  if ours is None or ours.shape != row.shape:
    raise CheckpointError(
      f'{source.path}: the tensor {row.name} must become {row.shape} '
      f'({row.path}), came {theirs.shape}'
    )
  return ours


def _layers(read, rows, config, dtype: str) -> Iterator[tuple[str, np.ndarray]]:
  """The parameters of all layers by path, as the config lays them.

  Theirs are views with outputs first, and keep that order when they are cast:
  only joining copies them. Of unrolled layers one is held at a time, of stacked
  ones what is stacked into one module.
  """

  # Int8 is rounded from all that a checkpoint knows.
  held = jnp.dtype('float32' if dtype == 'int8' else dtype)

  def block(rows):
    tree = traverse_util.unflatten_dict(
      {tuple(row.path.split('/')[1:]): read(row).astype(held) for row in rows}
    )
    tree = layout.join(tree) if config.fused else tree
    tree = int8.quantize_block(tree) if dtype == 'int8' else tree
    return traverse_util.flatten_dict(tree, sep='/')

  by_layer = [
    list(group)
    for _, group in itertools.groupby(rows, lambda r: r.path.split('/')[0])
  ]
  if not config.scan_layers:
    for index, rows in enumerate(by_layer):
      for path, value in block(rows).items():
        yield f'layer_{index}/{path}', value
    return

  def module(row):
    name = row.path.split('/')[1]
    return layout.whole_of(name) if config.fused else name

  for name in dict.fromkeys(map(module, by_layer[0])):
    stacks: dict[str, np.ndarray] = {}
    for index, rows in enumerate(by_layer):
      for path, value in block([r for r in rows if module(r) == name]).items():
        if not index:
          stacks[path] = np.empty((len(by_layer), *value.shape), value.dtype)
        stacks[path][index] = value
    for path, stack in stacks.items():
      yield f'layers/block/{path}', stack


def _insert(tree, path, value):
  *folders, last = path.split('/')
  for folder in folders:
    tree = tree.setdefault(folder, {})
  tree[last] = value


def _lookup(tree, path):
  for part in path.split('/'):
    tree = tree[part]
  return tree


def load(
  path: str | os.PathLike | GGUFSource | FolderSource,
  *,
  param_dtype: str = 'float32',
  shardings: Mapping[str, Any] | None = None,
  table: Callable[[np.ndarray], np.ndarray] | None = None,
  **overrides,
) -> Pretrained:
  """Reads a checkpoint onto the devices.

  Args:
    path: a .gguf file, a folder that holds one, a Hugging Face folder, or what
      `open_source` made of one of them.
    param_dtype: of the parameters in memory; `dtype` among the overrides is
      what the model computes in.
    shardings: a tree of shardings like the parameters; default device if None.
    table: what to make of a table [V, D], for another vocabulary.
    **overrides: fields of TransformerConfig (dtype, fused, scan_layers, remat).

  Raises:
    CheckpointError: a missing, extra or misshapen tensor, a file that is cut,
      an unknown tensor type, a missing shard.
    ValueError: dtypes that do not go together.
    FileNotFoundError: there is nothing at `path`.
  """
  source = path
  if not isinstance(source, GGUFSource | FolderSource):
    source = open_source(source)
  family, config = source.config()
  config = dataclasses.replace(config, **overrides)
  if config.fused and shardings is not None:
    raise ValueError('fused: join with layout.fuse after loading into shards')
  if (param_dtype == 'int8') != (config.dtype == 'int8'):
    raise ValueError(
      f'param_dtype={param_dtype} and dtype={config.dtype}: both are int8, or '
      'neither is'
    )

  # Tables and the last norm have no kernels.
  outside_dtype = jnp.dtype(
    'bfloat16' if param_dtype == 'int8' else param_dtype
  )

  def put(path, value):
    sharding = None if shardings is None else _lookup(shardings, path)
    _insert(params, path, jax.device_put(value, sharding))

  params: dict[str, Any] = {}
  read = functools.partial(_read, source)
  inside, outside = [], []
  for row in _rows(source, family, config):
    (inside if row.path.startswith('layer_') else outside).append(row)
  for row in outside:
    value = read(row)
    if table is not None and row.path in ('embedding', 'unembedding'):
      value = table(value)
    put(row.path, value.astype(outside_dtype))
    del value
  for path, value in _layers(read, inside, config, param_dtype):
    put(path, value)
  size = len(params['embedding'])
  config = dataclasses.replace(config, vocab_size=size)
  return Pretrained(family, config, params)


def export(
  folder: str | os.PathLike,
  family: families.Family,
  config: transformer.TransformerConfig,
  params: Mapping[str, Any],
  *,
  dtype: str = 'float32',
) -> None:
  """Writes a folder that transformers opens: config.json, model.safetensors.

  Whole or not at all: the folder appears under its name when it is complete.

  Args:
    folder: where nothing lies as yet.
    family: of the model.
    config: of the model.
    params: of the model; low-rank updates are merged.
    dtype: of the tensors in the file.

  Raises:
    FileExistsError: something lies at `folder`.
    ValueError: transformers has no class for the family, or no field for a
      switch of the config; or the parameters are int8.
  """
  if config.dtype == 'int8':
    raise ValueError(
      'expected float32 or bfloat16 parameters to export, came int8; load the '
      'checkpoint again without dtype=int8'
    )
  folder = pathlib.Path(folder)
  if folder.exists():
    raise FileExistsError(f'expected nothing at {folder}, found something')
  data = hf_config.write(family, config)
  config, params = layout.split(config, lora.merge(params))
  params = layout.unrolled(params, config.layers)
  tensors = {}
  for row in families.rows(family, config, 'hf'):
    value = np.asarray(_lookup(params, row.path)).astype(jnp.dtype(dtype))
    theirs = row.kind.theirs(value, row.heads)
    tensors[row.name] = np.ascontiguousarray(theirs)
  with writer.replace(folder) as building:
    building.mkdir()
    writer.write_json(building / 'config.json', data)
    safetensors.numpy.save_file(
      tensors, building / 'model.safetensors', metadata={'format': 'pt'}
    )
