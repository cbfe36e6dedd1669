"""Parameters of tiny models, made by one program a model."""

import flax.linen as nn
import jax
import numpy as np

from lm import transformer


def params(config: transformer.TransformerConfig, seed: int, scale: float = 1):
  """Random parameters on the host; a large scale makes them decided."""
  model = transformer.Transformer(config)
  init = jax.jit(lambda key, tokens: nn.unbox(model.init(key, tokens)))
  made = init(jax.random.key(seed), np.zeros((1, 2), np.int32))
  return jax.tree.map(lambda p: scale * np.asarray(p), made['params'])
