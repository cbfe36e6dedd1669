"""Masked-diffusion training as an experiment (sections 2.1, 2.2).

`build(cfg)` reads configs/diffusion_sampler/puzzles.py:denoiser_*.

Shapes: B sequences, P prompt columns, L answer positions, T = P + L.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from diffusion_sampler.evaluation import evaluate
from diffusion_sampler.report import claims as claims_lib
from diffusion_sampler.training import denoising, masking, setup
from engine import experiment as experiment_lib
from engine import metrics, optim, options
from lm import init as model_init
from lm import transformer


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
  mask_id: int,
  params: Any,
  batch: Mapping[str, jax.Array],
  key: jax.Array,
  noise: masking.Noise,
) -> metrics.Mean:
  """`denoising.loss` of a puzzle's answers.

  An end-of-sequence token that fills an answer up counts as answer.

  Args:
    config: the denoiser.
    mask_id: the mask.
    params: of the denoiser.
    batch: 'prompt' [B, P] and 'answer' [B, L].
    key: consumed.
    noise: see `masking.Noise`.
  """
  width = batch['prompt'].shape[1]
  tokens = jnp.concatenate([batch['prompt'], batch['answer']], axis=1)
  return denoising.loss(
    config,
    params,
    tokens,
    jnp.broadcast_to(jnp.arange(tokens.shape[1]) >= width, tokens.shape),
    key,
    mask_id=mask_id,
    noise=noise,
    first=width,
    causal=False,
  )


def _loss(s: Settings) -> denoising.Loss:
  return functools.partial(denoising_loss, s.model, s.task.puzzle.mask_id)


def make_step(s: Settings, optimiser):
  """(state, batch, key) -> (state, metrics)."""

  def step(state, batch, key):
    return denoising.update(
      state, batch, key[None], _loss(s), optimiser, noise=s.noise
    )

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
  bound = denoising.bound(_loss(s))

  def validation(state, key):
    some = s.task.split('validation')
    some = {k: some[k][: s.task.config.eval_records] for k in some}
    return {'nll_bound': bound(state.params, some, key)}

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
