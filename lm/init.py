"""Training states of a fresh transformer, and of one that is only asked."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from engine.experiment import Program, TrainState
from lm import transformer


def train_state(config: transformer.TransformerConfig, optimiser) -> Callable:
  """Returns `key -> TrainState`, with logical axis names on the parameters."""
  model = transformer.Transformer(config)

  def init(key: Array) -> TrainState:
    params = model.init(key, jnp.zeros((1, 8), jnp.int32))['params']
    return TrainState(
      step=jnp.int32(0), params=params, opt_state=optimiser.init(params)
    )

  return init


def only_asked(config: transformer.TransformerConfig, dtype: str) -> Program:
  """The parameters of a model that is not trained, for `--dry_run`."""

  def init(key: Array) -> TrainState:
    model = transformer.Transformer(config)
    params = model.init(key, jnp.zeros((1, 2), jnp.int32))['params']
    params = jax.tree.map(lambda p: p.astype(dtype), params)
    return TrainState(step=jnp.int32(0), params=params, opt_state={})

  return Program(init=init, step=None, train_data=None)
