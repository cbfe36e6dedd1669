"""The loss of every denoiser (2.1), its step and its bound on the likelihood.

A denoiser made from a causal model predicts token i + 1 at position i, any
other its own token; all else is the same.

Shapes: B sequences, T positions, A microbatches.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key

from diffusion_sampler.training import masking
from engine import experiment, metrics, microbatches, optim
from lm import losses, transformer

# (params, batch, key, noise) -> nats and hidden tokens, summed.
Loss = Callable[[Any, Mapping, Any, masking.Noise], metrics.Mean]


def loss(
  config: transformer.TransformerConfig,
  params: Any,
  tokens: Int[Array, 'B T'],
  answer: Bool[Array, 'B T'],
  key: Key[Array, ''],
  *,
  mask_id: int,
  noise: masking.Noise,
  first: int,
  shifted: bool = False,
  positions: Int[Array, 'B T'] | None = None,
  segments: Int[Array, 'B T'] | None = None,
  **attention: Any,
) -> metrics.Mean:
  """(2.1) as nats an answer token: weighted sum, and number of answer tokens.

  Args:
    config, params: the denoiser.
    tokens: clean sequences.
    answer: which tokens may be hidden.
    key: consumed.
    mask_id: the mask.
    noise: see `masking.Noise`.
    first: the first column that is ever an answer's.
    shifted: position i predicts token i + 1; then `first` is at least 1.
    positions, segments: as the transformer takes them.
    attention: `causal` or `opened`, which positions see which.
  """
  hidden_from = masking.hide(key, tokens, answer, mask_id, noise)
  out = transformer.Transformer(config).apply(
    {'params': params}, hidden_from.tokens, positions, segments, **attention
  )
  last = tokens.shape[1] - shifted
  stats = losses.vocab_stats(
    out.hidden[:, first - shifted : last],
    transformer.unembedding(params),
    tokens[:, first:],
    excluded=mask_id,
  )
  nats = (stats.lse - stats.target) * hidden_from.weights[:, first:]
  return metrics.Mean(total=nats.sum(), count=jnp.float32(answer.sum()))


def update(
  state: experiment.TrainState,
  batch: Mapping[str, jax.Array],
  keys: Key[Array, ' A'],
  loss: Loss,
  optimiser: Any,
  *,
  noise: masking.Noise,
) -> tuple[experiment.TrainState, dict[str, Any]]:
  """One step of training in A microbatches, a key each: state and metrics."""
  parts = microbatches.split(batch, len(keys))

  def sums(params, part):
    def total(params):
      made = loss(params, *part, noise)
      return made.total, made

    return jax.grad(total, has_aux=True)(params)

  grads, made = microbatches.add_up(sums, state.params, (parts, keys))
  grads = jax.tree.map(lambda g: g / jnp.maximum(made.count, 1.0), grads)
  state, norms = optim.apply(optimiser, state, grads)
  return state, norms | {'loss': made, 'tokens': made.count}


def bound(
  loss: Loss,
) -> Callable[[Any, Mapping[str, np.ndarray], Any], float]:
  """(params, batch, key) -> (2.1), from four draws of `masking`'s 'count' form,
  which has less noise; compiled once."""
  run = jax.jit(loss, static_argnums=3)
  quiet = masking.Noise(form='count')

  def measure(params, batch, key):
    draws = [
      run(params, batch, jax.random.fold_in(key, i), quiet).compute()
      for i in range(4)
    ]
    return float(np.mean(draws))

  return measure
