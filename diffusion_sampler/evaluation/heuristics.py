"""Measures samplers on a finished denoiser; nothing is trained.

Rules, and with `policy_run` a policy trained elsewhere: on another denoiser,
or at another length. `build(cfg)` reads
configs/diffusion_sampler/heuristics_*.py.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from diffusion_sampler.evaluation import evaluate
from diffusion_sampler.report import claims as claims_lib
from diffusion_sampler.training import puzzle_policy, setup
from engine import experiment as experiment_lib
from engine import mesh as mesh_lib

claims = claims_lib.claims
COLUMNS = claims_lib.COLUMNS


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """Reads the denoiser, and the policy where one is named.

  Raises:
    ValueError: a field that does not fit.
    FileNotFoundError: no such run.
  """
  task = setup.task(cfg)
  model, frozen = setup.frozen_denoiser(cfg, task)
  sampling = evaluate.SamplingConfig(**cfg['sampling'])
  trained = None
  if cfg['policy_run']:
    run = setup.finished(cfg['policy_run'], 'policy_run')
    trained = puzzle_policy.trained(
      puzzle_policy.settings(run.config), run.params['policy']
    )

  def init(key):
    del key
    # As many steps as asked for are done: a finished run is not run again.
    return experiment_lib.TrainState(
      step=jnp.int32(cfg['run']['steps']), params={}, opt_state={}
    )

  def test(state, key):
    del state
    params, policy = mesh_lib.replicated((frozen, trained))
    return evaluate.evaluate(task, model, params, sampling, key, trained=policy)

  return experiment_lib.Experiment(
    init=init, step=None, train_data=None, final={'test': test}
  )
