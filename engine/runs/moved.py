"""Configs of earlier releases, as today's code reads them.

A run's config.json names its experiment by module. When a module moves, its old
name stands here, so that an old run still opens, resumes and is drawn.
"""

from collections.abc import Mapping
from typing import Any

_TRAINING = 'diffusion_sampler.training'
# Old name of an experiment: its name today.
EXPERIMENTS = {
  'lacy.free_running': 'lacy.cascade.experiment',
  'diffusion_sampler.train_denoiser': f'{_TRAINING}.puzzle_denoiser',
  'diffusion_sampler.adapt_denoiser': f'{_TRAINING}.text_denoiser',
  'diffusion_sampler.train_policy': f'{_TRAINING}.puzzle_policy',
  'diffusion_sampler.train_text_policy': f'{_TRAINING}.text_policy',
  'diffusion_sampler.heuristics': 'diffusion_sampler.evaluation.heuristics',
  'calibration.semantic_study': 'calibration.semantic.experiment',
  'calibration.length_study': 'calibration.length_bias.experiment',
  'calibration.mechanism': 'calibration.semantic.mechanism.experiment',
  'calibration.mechanism_measure': 'calibration.semantic.mechanism.measure',
}


def modern(config: Mapping[str, Any]) -> dict[str, Any]:
  """`config` under today's names."""
  out = dict(config)
  if 'experiment' in out:
    out['experiment'] = EXPERIMENTS.get(out['experiment'], out['experiment'])
  return out
