"""Measures samplers on a finished denoiser; nothing is trained.

Rules, and with `policy_run` a policy trained elsewhere: on another denoiser,
or at another length. `build(cfg)` reads
configs/diffusion_sampler/puzzles.py:heuristics_*.
"""

from collections.abc import Mapping
from typing import Any

from diffusion_sampler.evaluation import evaluate
from diffusion_sampler.report import claims as claims_lib
from diffusion_sampler.training import puzzle_policy, setup
from engine import experiment as experiment_lib
from engine import mesh as mesh_lib
from engine import options


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """Samplers on the denoiser of a finished run.

  Raises:
    ValueError: a field that does not fit.
  """
  task = setup.task(cfg)
  sampling = options.section(
    cfg['sampling'], 'sampling', evaluate.SamplingConfig
  )
  denoiser, policy_run = cfg['denoiser'], cfg['policy_run']
  steps = cfg['run']['steps']
  return experiment_lib.Experiment(
    open=lambda: open_program(task, sampling, denoiser, policy_run, steps),
    columns=claims_lib.COLUMNS,
    claims=claims_lib.claims,
    figures='diffusion_sampler.report.plots',
  )


def open_program(
  task: setup.Task,
  sampling: evaluate.SamplingConfig,
  denoiser: str,
  policy_run: str,
  steps: int,
) -> experiment_lib.Program:
  """Reads the denoiser, and the policy where one is named.

  Raises:
    ValueError: the denoiser was trained on another vocabulary.
    FileNotFoundError: no such run.
  """
  model, frozen = setup.frozen_denoiser(denoiser, task)
  trained = None
  if policy_run:
    run = setup.finished(policy_run, 'policy_run')
    trained = puzzle_policy.trained(
      puzzle_policy.settings(run.config), run.params['policy']
    )

  def test(state, key):
    del state
    params, policy = mesh_lib.replicated((frozen, trained))
    return evaluate.evaluate(task, model, params, sampling, key, trained=policy)

  return experiment_lib.only_evaluates(test, steps=steps)
