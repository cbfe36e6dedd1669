"""BERT, a bidirectional encoder, and its checkpoints in the form of others.

Devlin et al., 2019 (arXiv 1810.04805), section 3 and appendix A.2: learned
positions and segment types, layers normed after each residual sum, and the
exact GELU. All in float32. The pooler of the next-sentence task is not built.

Shapes: B sequences, T positions, V vocabulary, D width, N heads, H head width,
F mlp width.
"""

import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from lm import layers, ops
from lm.checkpoints import config_keys, families, weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class BertConfig:
  """Shape of the model; `positions` and `types` are the rows of their tables.

  `norm_eps` is added to the variance.
  """

  vocab_size: int
  layers: int
  width: int
  heads: int
  mlp_width: int
  positions: int = 512
  types: int = 2
  norm_eps: float = 1e-12

  def __post_init__(self):
    for field in dataclasses.fields(self):
      if not getattr(self, field.name) > 0:
        raise ValueError(
          f'encoder.{field.name} must be positive, got '
          f'{getattr(self, field.name)}'
        )
    if self.width % self.heads:
      raise ValueError(
        f'encoder.width={self.width} must divide over encoder.heads='
        f'{self.heads}'
      )


# Our fields, and what a config.json calls them.
_KEYS = {
  'vocab_size': 'vocab_size',
  'layers': 'num_hidden_layers',
  'width': 'hidden_size',
  'heads': 'num_attention_heads',
  'mlp_width': 'intermediate_size',
  'positions': 'max_position_embeddings',
  'types': 'type_vocab_size',
  'norm_eps': 'layer_norm_eps',
}
# The values of a config.json that this model has.
_FIXED = {
  **config_keys.FIXED,
  'model_type': ('bert',),
  'hidden_act': ('gelu',),
  'position_embedding_type': ('absolute',),
  'is_decoder': (False,),
}
_HARMLESS = (config_keys.HARMLESS - {'model_type'}) | {
  'tie_word_embeddings',  # no unembedding is built
  # Of the pooler, which is not built.
  'pooler_fc_size',
  'pooler_num_attention_heads',
  'pooler_num_fc_layers',
  'pooler_size_per_head',
  'pooler_type',
  'directionality',
}


def config_of_hf(data: Mapping[str, Any]) -> BertConfig:
  """The config from the contents of a config.json.

  Raises:
    ValueError: a missing key, another family, activation or kind of position,
      or a key that is not known.
  """
  keys = config_keys.Keys(data, 'config.json')
  fields = {ours: keys.take(key) for ours, key in _KEYS.items()}
  keys.close(harmless=_HARMLESS, fixed=_FIXED)
  return BertConfig(**fields)


class Layer(nn.Module):
  """norm(x + attention(x)), then norm(x + mlp(x))."""

  config: BertConfig

  @nn.compact
  def __call__(self, x_BTD, mask_BTT):
    c = self.config
    norm = functools.partial(_norm, c.norm_eps)
    shape = (c.heads, c.width // c.heads)

    def heads(name):
      axes = ('embed', 'heads', 'head_dim')
      return layers.Dense(shape, axes, use_bias=True, name=name)(x_BTD)

    mixed = ops.attend(heads('query'), heads('key'), heads('value'), mask_BTT)
    y_BTD = layers.Dense(
      (c.width,),
      ('heads', 'head_dim', 'embed'),
      contract=2,
      use_bias=True,
      name='out',
    )(mixed)
    x_BTD = norm('attention_norm')(x_BTD + y_BTD)
    up_BTF = layers.Dense(
      (c.mlp_width,), ('embed', 'mlp'), use_bias=True, name='up'
    )(x_BTD)
    y_BTD = layers.Dense(
      (c.width,), ('mlp', 'embed'), use_bias=True, name='down'
    )(ops.gelu(up_BTF))
    return norm('mlp_norm')(x_BTD + y_BTD)


class Bert(nn.Module):
  """Token ids to the hidden states of the last layer."""

  config: BertConfig

  @nn.compact
  def __call__(
    self,
    tokens: Int[Array, 'B T'],
    mask: Bool[Array, 'B T'],
    types: Int[Array, 'B T'] | None = None,
  ) -> Float[Array, 'B T D']:
    """Nobody sees a position outside the mask; what stands there is void.

    Args:
      tokens: ids; T is at most `config.positions`.
      mask: true where there is a token.
      types: which of two texts a token belongs to; all the first if None.
    """
    c = self.config

    def table(name, rows):
      init = nn.initializers.normal(0.02)
      axes = ('vocab' if name == 'embedding' else None, 'embed')
      return layers.param(self, name, init, (rows, c.width), axes)

    if types is None:
      types = jnp.zeros_like(tokens)
    x_BTD = (
      table('embedding', c.vocab_size)[tokens]
      + table('type_embedding', c.types)[types]
      + table('position_embedding', c.positions)[: tokens.shape[1]]
    )
    x_BTD = _norm(c.norm_eps, 'embedding_norm')(x_BTD)
    mask_BTT = jnp.broadcast_to(mask[:, None], (*tokens.shape, tokens.shape[1]))
    for index in range(c.layers):
      x_BTD = Layer(c, name=f'layer_{index}')(x_BTD, mask_BTT)
    return x_BTD


def _norm(eps, name):
  # The two-pass variance: the fast one subtracts squares, which costs digits.
  return nn.LayerNorm(epsilon=eps, use_fast_variance=False, name=name)


# Of a layer, and of the whole: our path, the name in a checkpoint, the kinds
# (families.KINDS) of kernel or scale and of bias, '' where there is none.
_LAYER = (
  ('query', 'attention.self.query', 'heads', 'heads_bias'),
  ('key', 'attention.self.key', 'heads', 'heads_bias'),
  ('value', 'attention.self.value', 'heads', 'heads_bias'),
  ('out', 'attention.output.dense', 'merge', 'as_is'),
  ('attention_norm', 'attention.output.LayerNorm', 'as_is', 'as_is'),
  ('up', 'intermediate.dense', 'matrix', 'as_is'),
  ('down', 'output.dense', 'matrix', 'as_is'),
  ('mlp_norm', 'output.LayerNorm', 'as_is', 'as_is'),
)
_GLOBAL = (
  ('embedding', 'word_embeddings', 'as_is', ''),
  ('position_embedding', 'position_embeddings', 'as_is', ''),
  ('type_embedding', 'token_type_embeddings', 'as_is', ''),
  ('embedding_norm', 'LayerNorm', 'as_is', 'as_is'),
)
# A buffer of old savers, and the head of the next-sentence task.
_UNUSED = (
  'embeddings.position_ids',
  'pooler.dense.weight',
  'pooler.dense.bias',
)


def _rows(c: BertConfig) -> dict[str, tuple[tuple[str, ...], str]]:
  """Every tensor by its name in a checkpoint: our path, and its kind."""
  parts = [
    (f'embeddings.{theirs}', (ours,), *kinds)
    for ours, theirs, *kinds in _GLOBAL
  ]
  for index in range(c.layers):
    parts += [
      (f'encoder.layer.{index}.{theirs}', (f'layer_{index}', ours), *kinds)
      for ours, theirs, *kinds in _LAYER
    ]
  out = {}
  for theirs, path, weight, bias in parts:
    leaf = ('scale',) if theirs.endswith('LayerNorm') else ('kernel',)
    out[f'{theirs}.weight'] = (path + leaf if bias else path), weight
    if bias:
      out[f'{theirs}.bias'] = (*path, 'bias'), bias
  return out


class Pretrained(NamedTuple):
  """An encoder that exists: its config and its parameters."""

  config: BertConfig
  params: dict[str, Any]


def load(path: str | os.PathLike) -> Pretrained:
  """Reads a folder of config.json and safetensors, in float32.

  Args:
    path: a folder as `transformers` saves a BertModel.

  Raises:
    lm.weights.CheckpointError: a config of another model, a missing, extra or
      misshapen tensor (by name), a file that is cut.
    FileNotFoundError: no config.json in `path`.
  """
  path = pathlib.Path(path)
  file = path / 'config.json'
  if not file.is_file():
    raise FileNotFoundError(
      f'expected an encoder with config.json and *.safetensors in {path}, '
      'found no config.json'
    )
  try:
    config = config_of_hf(json.loads(file.read_text(encoding='utf-8')))
  except (TypeError, ValueError) as error:
    raise weights.CheckpointError(f'{file}: {error}') from error
  source, rows = weights.FolderSource(path), _rows(config)
  wanted, found = set(rows), source.names() - set(_UNUSED)
  for what, names in (
    ('lacks', wanted - found),
    ('has an unknown', found - wanted),
  ):
    if names:
      more = f' and {len(names) - 1} more' if len(names) > 1 else ''
      raise weights.CheckpointError(
        f'{path}: a BERT of {config.layers} layers has other tensors: the '
        f'checkpoint {what} {min(names)}{more}'
      )
  shapes = jax.eval_shape(
    Bert(config).init,
    jax.random.key(0),
    jnp.zeros((1, 1), jnp.int32),
    jnp.ones((1, 1), bool),
  )['params']
  # Not nn.meta.unbox: under a mesh it would constrain what is no array.
  boxed = nn.meta.AxisMetadata
  shapes = jax.tree.map(
    lambda leaf: leaf.value if isinstance(leaf, boxed) else leaf,
    shapes,
    is_leaf=lambda leaf: isinstance(leaf, boxed),
  )
  params: dict[str, Any] = {}
  for name, (place, kind) in rows.items():
    theirs = source.read(name)
    shape = shapes
    for part in place:
      shape = shape[part]
    try:
      ours = families.KINDS[kind].ours(theirs, config.heads)
    except ValueError:
      ours = None
    if ours is None or ours.shape != shape.shape:
      raise weights.CheckpointError(
        f'{path}: the tensor {name} must become {shape.shape} '
        f'({"/".join(place)}), came {theirs.shape}'
      )
    *folders, leaf = place
    tree = params
    for folder in folders:
      tree = tree.setdefault(folder, {})
    tree[leaf] = jnp.asarray(ours, jnp.float32)
  return Pretrained(config, params)
