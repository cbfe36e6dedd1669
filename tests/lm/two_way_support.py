"""Staleness by the slow road: whole passes, one layer at a time.

A column that is stale enters every layer as it did in the pass that is kept;
then its keys and values are that pass's, and no cache is needed.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax.core import meta

from lm import layers, transformer


@functools.cache
def small(seed=1, **fields):
  """A config and parameters so large that positions do feel one another."""
  settings = dict(
    vocab_size=11, layers=2, width=16, heads=4, kv_heads=2, mlp_width=24
  )
  config = transformer.TransformerConfig(**settings | fields)
  init = transformer.Transformer(config).init
  tokens = jax.ShapeDtypeStruct((1, 2), jnp.int32)
  shapes = meta.unbox(jax.eval_shape(init, jax.random.key(0), tokens))
  rng = np.random.default_rng(seed)

  def draw(path, leaf):
    name = path[-1].key
    if name == 'scale':
      drawn = rng.uniform(0.5, 1.5, leaf.shape)
    else:
      spread = 1.0 if name == 'unembedding' else 0.5
      drawn = spread * rng.normal(size=leaf.shape)
    return jax.device_put(drawn.astype(leaf.dtype))

  return config, jax.tree.map_with_path(draw, shapes['params'])


@functools.partial(jax.jit, static_argnums=0)
def inputs(config, params, tokens, positions, segments):
  """What enters each layer in a plain pass."""
  out = transformer.Transformer(config).apply(
    {'params': params},
    tokens,
    positions,
    segments,
    causal=False,
    capture=tuple(range(config.layers)),
  )
  return out.captured


@functools.partial(jax.jit, static_argnums=0)
def stale_hidden(config, params, tokens, positions, segments, kept, stale):
  """Last hidden states [B, T, D] where `stale` [B, T] enter as in `kept`."""
  x = params['embedding'][tokens]
  if config.embed_scale:
    x = x * config.width**0.5
  views = []
  for base, window in config.reaches():
    mask = layers.Mask(causal=False, segments=segments, window=window)
    table = layers.rope_table(positions, config.head_dim, base)
    views.append(transformer.View(rope=table, mask=mask))
  for layer in range(config.layers):
    x = jnp.where(stale[..., None], kept[layer], x)
    x, _ = transformer.Block(config).apply(
      {'params': params[f'layer_{layer}']},
      x,
      None,
      views[config.is_local(layer)],
      None,
    )
  norm = layers.RMSNorm(config.norm_eps)
  return norm.apply({'params': params['final_norm']}, x)
