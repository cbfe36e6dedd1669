"""Tiny models that tests share: each is made, and run without a cache, once.

What is called here is one program for a config, whatever the length of a
sequence.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lm import cache as caches
from lm import transformer
from lm.checkpoints import weights
from tests import files

# Sequences are padded to it at the end, where nothing is seen.
_LENGTH = 64


@functools.cache
def peer(family: str = 'llama', **fields):
  """A checkpoint of tests/lm/peers, loaded once."""
  return weights.load(files.PEERS / family, **fields)


def abstract(config: transformer.TransformerConfig):
  """Shapes of a model's parameters."""
  init = transformer.Transformer(config).init
  tokens = jax.ShapeDtypeStruct((1, 2), jnp.int32)
  return nn.unbox(jax.eval_shape(init, jax.random.key(0), tokens))['params']


@functools.cache
def params(
  config: transformer.TransformerConfig, seed: int = 0, spread: float = 0.4
):
  """Parameters drawn on the host: `spread` wide around 0, scales around 1."""
  rng = np.random.default_rng(seed)

  def draw(path, leaf):
    drawn = spread * rng.normal(size=leaf.shape)
    drawn += path[-1].key == 'scale'
    return jax.device_put(drawn.astype(leaf.dtype))

  return jax.tree.map_with_path(draw, abstract(config))


def stacked(config: transformer.TransformerConfig, params):
  """Parameters of unrolled layers as those of scanned ones."""
  names = [f'layer_{layer}' for layer in range(config.layers)]
  rest = {name: params[name] for name in params if name not in names}
  block = jax.tree.map(
    lambda *leaves: np.stack(leaves), *(params[name] for name in names)
  )
  return rest | {'layers': {'block': block}}


cache = jax.jit(caches.Cache.create, static_argnums=(0, 1, 2))


@functools.partial(jax.jit, static_argnums=(0, 3))
def forward(config, params, tokens, capture=()):
  """The output of a full pass; see transformer.Transformer."""
  model = transformer.Transformer(config)
  return model.apply({'params': params}, tokens, capture=capture)


def padded(ids) -> np.ndarray:
  """`ids` as one row [1, 64], zeros at the end."""
  return np.array([[*ids, *[0] * (_LENGTH - len(ids))]], np.int32)


def logits(config, params, ids) -> np.ndarray:
  """Next-token scores after each of `ids`, float64 [T, V]."""
  hidden = forward(config, params, padded(ids)).hidden
  table_VD = np.asarray(transformer.unembedding(params), np.float64)
  return np.asarray(hidden, np.float64)[0, : len(ids)] @ table_VD.T


def log_softmax(z: np.ndarray) -> np.ndarray:
  z = z - z.max(-1, keepdims=True)
  return z - np.log(np.exp(z).sum(-1, keepdims=True))


def greedy(config, params, ids, steps: int) -> list[int]:
  """The best token after token, each by a full pass over all before it."""
  ids = list(ids)
  for _ in range(steps):
    ids.append(int(logits(config, params, ids)[-1].argmax()))
  return ids[-steps:]
