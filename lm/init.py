"""Training states of a new transformer, and of one that only answers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from engine import options
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
  """A program that has a model's parameters and no training step."""

  def init(key: Array) -> TrainState:
    model = transformer.Transformer(config)
    params = model.init(key, jnp.zeros((1, 2), jnp.int32))['params']
    params = jax.tree.map(lambda p: p.astype(dtype), params)
    return TrainState(step=jnp.int32(0), params=params, opt_state={})

  return Program(init=init, step=None, train_data=None)


def dry_run(
  cfg: Mapping[str, Any],
  dtype: str,
  cost: Callable[[transformer.TransformerConfig], Sequence[str]],
  *,
  flops: Callable[[transformer.TransformerConfig], int] | None = None,
) -> dict[str, Callable]:
  """The fields of `Experiment` for `--dry_run`, for a model that only answers.

  Args:
    cfg: a config. Its optional section `model` describes the model's shape for
      `--dry_run` alone; without it there are no fields.
    dtype: of the parameters.
    cost: maps the model's shape to the lines that `--dry_run` prints.
    flops: maps the model's shape to the FLOPs of the whole evaluation.

  Raises:
    ValueError: a field of `model` does not fit.
  """
  if 'model' not in cfg:
    return {}
  config = options.section(cfg['model'], 'model', transformer.TransformerConfig)
  lines = cost(config)  # now: it may find that the config does not fit
  fields = {
    'abstract': lambda: (only_asked(config, dtype), None),
    'cost': lambda: lines,
  }
  return fields | ({'flops': lambda: flops(config)} if flops else {})
