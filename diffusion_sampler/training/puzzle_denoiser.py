"""Masked-diffusion training as an experiment (sections 2.1, 2.2).

`build(cfg)` reads configs/diffusion_sampler/puzzles.py:denoiser_*.

Shapes: B sequences, P prompt columns, L answer positions, T = P + L.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffusion_sampler.evaluation import evaluate
from diffusion_sampler.report import claims as claims_lib
from diffusion_sampler.training import masking, setup
from engine import experiment as experiment_lib
from engine import metrics, optim, options
from lm import init as model_init
from lm import losses, transformer


class Settings(NamedTuple):
  """The config, taken apart into checked dataclasses."""

  task: setup.Task
  model: transformer.TransformerConfig
  noise: masking.Noise
  optim: optim.OptimConfig
  sampling: evaluate.SamplingConfig
  steps: int
  seed: int


def settings(cfg: Mapping[str, Any]) -> Settings:
  """Raises ValueError where a field does not fit."""
  task = setup.task(cfg)
  return Settings(
    task=task,
    model=setup.model(cfg, task),
    noise=options.section(cfg['noise'], 'noise', masking.Noise),
    optim=options.section(cfg['optim'], 'optim', optim.OptimConfig),
    sampling=options.section(
      cfg['sampling'], 'sampling', evaluate.SamplingConfig
    ),
    steps=cfg['run']['steps'],
    seed=cfg['run']['seed'],
  )


def denoising_loss(
  config: transformer.TransformerConfig,
  params: Any,
  batch: Mapping[str, jax.Array],
  key: jax.Array,
  *,
  mask_id: int,
  noise: masking.Noise,
) -> metrics.Mean:
  """(2.1) as nats an answer token: weighted sum, and number of answer tokens.

  An end-of-sequence token that fills an answer up counts as answer.

  Args:
    config, params: the denoiser.
    batch: 'prompt' [B, P] and 'answer' [B, L].
    key: consumed.
    mask_id: the mask.
    noise: see `masking.Noise`.
  """
  width = batch['prompt'].shape[1]
  tokens = jnp.concatenate([batch['prompt'], batch['answer']], axis=1)
  answer = jnp.broadcast_to(jnp.arange(tokens.shape[1]) >= width, tokens.shape)
  hidden_from = masking.hide(key, tokens, answer, mask_id, noise)
  hidden = (
    transformer.Transformer(config)
    .apply({'params': params}, hidden_from.tokens, causal=False)
    .hidden[:, width:]
  )
  stats = losses.vocab_stats(
    hidden, transformer.unembedding(params), batch['answer'], excluded=mask_id
  )
  loss = (stats.lse - stats.target) * hidden_from.weights[:, width:]
  return metrics.Mean(total=loss.sum(), count=jnp.float32(loss.size))


def make_step(s: Settings, optimiser):
  """(state, batch, key) -> (state, metrics)."""

  def step(state, batch, key):
    def mean_loss(params):
      loss = denoising_loss(
        s.model,
        params,
        batch,
        key,
        mask_id=s.task.puzzle.mask_id,
        noise=s.noise,
      )
      return loss.compute(), loss

    grads, loss = jax.grad(mean_loss, has_aux=True)(state.params)
    state, norms = optim.apply(optimiser, state, grads)
    return state, norms | {'loss': loss, 'tokens': loss.count}

  return step


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """Masked-diffusion training on a puzzle.

  Raises:
    ValueError: a field that does not fit.
  """
  s = settings(cfg)
  return experiment_lib.Experiment(
    open=functools.partial(open_program, s),
    abstract=functools.partial(abstract, s),
    flops=functools.partial(flops_per_step, s),
    columns=claims_lib.COLUMNS,
    claims=claims_lib.claims,
    figures='diffusion_sampler.report.plots',
  )


def open_program(s: Settings) -> experiment_lib.Program:
  """Opens the puzzle, preparing it where needed, and ties all together."""
  optimiser, _ = optim.make(s.optim, s.steps)
  # The 'count' form: less noise in the estimate.
  quiet = masking.Noise(form='count')
  bound = jax.jit(
    functools.partial(
      denoising_loss, s.model, mask_id=s.task.puzzle.mask_id, noise=quiet
    )
  )

  def validation(state, key):
    some = s.task.split('validation')
    some = {k: some[k][: s.task.config.eval_records] for k in some}
    draws = [
      bound(state.params, some, jax.random.fold_in(key, i)).compute()
      for i in range(4)
    ]
    return {'nll_bound': float(np.mean(draws))}

  def test(state, key):
    return evaluate.evaluate(s.task, s.model, state.params, s.sampling, key)

  return experiment_lib.Program(
    init=model_init.train_state(s.model, optimiser),
    step=make_step(s, optimiser),
    train_data=lambda: s.task.train_data(s.seed),
    evals={'validation': validation},
    final={'test': test},
  )


def abstract(s: Settings):
  """Program and a batch of shapes, without data: for --dry_run."""
  optimiser, _ = optim.make(s.optim, s.steps)
  made = experiment_lib.Program(
    init=model_init.train_state(s.model, optimiser),
    step=make_step(s, optimiser),
    train_data=None,
  )
  p, count = s.task.puzzle, s.task.config.batch_size

  def ints(*shape):
    return jax.ShapeDtypeStruct((count, *shape), jnp.int32)

  batch = {'prompt': ints(p.prompt), 'answer': ints(p.answer), 'level': ints()}
  return made, batch


def flops_per_step(s: Settings) -> int:
  """Matmul FLOPs of one training step."""
  length = s.task.puzzle.prompt + s.task.puzzle.answer
  # Every position sees every other: twice the causal attention.
  return s.model.train_flops(s.task.config.batch_size * length, 2 * length)
