"""Configs of earlier releases, as today's code reads them.

A run's config.json names its experiment by module. When a module moves, its old
name stands here, so that an old run still opens, resumes and is drawn.
"""

import re
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
# Old name of an experiment: what its configs held and it never read. Such a key
# is an error today.
UNREAD = {
  'diffusion_sampler.train_denoiser': (
    'action',
    'block',
    'denoiser',
    'grpo',
    'policy',
    'policy_run',
  ),
  'diffusion_sampler.train_policy': ('model', 'noise', 'policy_run'),
  'diffusion_sampler.heuristics': (
    'action',
    'block',
    'grpo',
    'model',
    'noise',
    'optim',
    'policy',
  ),
  'calibration.mechanism': ('probe',),
  'calibration.mechanism_measure': ('learn', 'model', 'optim', 'world'),
}


def modern(config: Mapping[str, Any]) -> dict[str, Any]:
  """`config` under today's names and in today's form, without what nobody
  read."""
  old = config.get('experiment')
  unread = UNREAD.get(old, ())
  out = {key: value for key, value in config.items() if key not in unread}
  if old in EXPERIMENTS:
    out['experiment'] = EXPERIMENTS[old]
  for section, key, kind in _LISTS:
    value = out.get(section, {}).get(key)
    if isinstance(value, str):
      parts = filter(None, map(str.strip, value.split(';')))
      out[section] = {**out[section], key: tuple(map(kind, parts))}
  return out


def _sampler(text: str) -> dict[str, Any]:
  """'top_k(count=2,by=margin)' as a mapping; numbers as they were written."""
  name, _, inside = text.removesuffix(')').partition('(')
  pairs = (p.partition('=') for p in inside.split(',') if p.strip())
  options = {key.strip(): _number(value.strip()) for key, _, value in pairs}
  if 'fallback' in options:
    options['fallback'] = bool(options['fallback'])
  return {'rule': name.strip(), **options}


def _number(text: str) -> int | float | str:
  if re.fullmatch(r'[+-]?\d+', text):
    return int(text)
  try:
    return float(text)
  except ValueError:
    return text


# Section, key and parts of lists that were texts with ';' between.
_LISTS = (
  ('sampling', 'samplers', _sampler),
  ('sampling', 'blocks', int),
  ('grpo', 'experts', float),
)
