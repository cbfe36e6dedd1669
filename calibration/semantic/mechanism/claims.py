"""What the mechanism should show, as numbers over seeds, from its summaries.

docs/papers/semantic_calibration.md section 7.1, (i) to (v). A claim's name says
which sign or size would make it hold (engine/report/claims.py).
"""

import re
from collections.abc import Callable, Mapping

import numpy as np

from engine.report import claims as claims_lib
from engine.stats import bootstrap, ranks

Summary = claims_lib.Summary
Runs = Mapping[str, Summary]

COLUMNS = (
  ('accuracy_exact', 'accuracy', '.3f'),
  ('accuracy_best', 'best', '.3f'),
  ('confidence', 'confidence', '.3f'),
  ('smece', 'smECE', '.3f'),
  ('null', 'null floor', '.3f'),
  ('smece_exact', 'exact', '.3f'),
  ('gap_signed', 'gap', '+.3f'),
  ('gap_measured', 'to gain', '.4f'),
  ('kl_linear', 'KL linear', '.3f'),
  ('kl_lora', 'KL LoRA', '.3f'),
)

STYLES = ('direct', 'chain')
EVERY = (*STYLES, 'narrow_direct', 'narrow_chain')
# Whose checkpoints a correlation is over; untrained models are left out.
SETS = {
  'direct': ('direct',),
  'chain': ('chain',),
  'both': STYLES,
  'both, narrow': EVERY[2:],
  'all four': EVERY,
}
_AT = re.compile(r'at_(\d+)/(.+)')


def path(run: Summary, key: str) -> np.ndarray:
  """A figure of every checkpoint that was measured, by step."""
  found = {
    int(match[1]): value
    for name, value in run.items()
    if (match := _AT.fullmatch(name)) and match[2] == key
  }
  return np.array([found[step] for step in sorted(found)], float)


def interval(x: np.ndarray, y: np.ndarray) -> list[float]:
  """Spearman and its 95 % interval, points drawn again.

  Checkpoints of one run are no independent evidence: too narrow, if anything.
  """
  found = bootstrap.interval(
    lambda points: ranks.spearman(x[points], y[points]), len(x)
  )
  return [round(float(v), 6) for v in found]


def _measured(runs: Runs, styles, key) -> np.ndarray:
  return np.concatenate([path(runs[f'{s}_measured'], key) for s in styles])


def _correlation(styles, smece) -> Callable[[Runs], float]:
  return lambda runs: ranks.spearman(
    _measured(runs, styles, 'kl_lora'), _measured(runs, styles, smece)
  )


def _worst(a: str, b: str) -> Callable[[Runs], float]:
  """Of all models measured, the largest |a - b|."""

  def one(runs):
    every = [
      *(
        np.abs(path(r, a) - path(r, b))
        for r in runs.values()
        if path(r, a).size
      ),
      *(np.abs([r[a] - r[b]]) for r in runs.values() if a in r),
    ]
    return float(np.concatenate(every).max())

  return one


def _of(variant: str, key: str) -> Callable[[Runs], float]:
  return lambda runs: runs[variant][key]


def _less(variant, key, other, other_key) -> Callable[[Runs], float]:
  return lambda runs: runs[variant][key] - runs[other][other_key]


def _tuned() -> dict[str, Callable[[Runs], float]]:
  out = {}
  for name in ('reward', 'preference', 'more'):
    out |= {
      f'iii_{name}: accuracy gained (about 0)': _less(
        name, 'accuracy_exact', 'direct', 'accuracy_exact'
      ),
      f'iii_{name}: confidence less accuracy (> 0.1 but for more)': _of(
        name, 'gap_signed'
      ),
      f'iii_{name}: smECE less its null floor (> 0.1 but for more)': _less(
        name, 'smece', name, 'null'
      ),
      f'iii_{name}: nats that a tilt would save (> 0.02 but for more)': _of(
        name, 'gap_measured'
      ),
    }
  return out


CLAIMS: Mapping[str, Callable[[Runs], float]] = {
  **{
    f'i_{s}: {what}': of
    for s in EVERY
    for what, of in (
      (
        'smECE before training (more than at the end)',
        _of(f'{s}_measured', 'untrained/smece'),
      ),
      (
        'smECE of the worst checkpoint',
        lambda r, s=s: float(path(r[f'{s}_measured'], 'smece').max()),
      ),
      ('smECE at the end', _of(f'{s}_measured', 'smece')),
      (
        'smECE less its null floor at the end (about 0)',
        _less(f'{s}_measured', 'smece', f'{s}_measured', 'null'),
      ),
      (
        'smECE less the 95 % end of the null (< 0)',
        _less(f'{s}_measured', 'smece', f'{s}_measured', 'null_high'),
      ),
      (
        'smECE without noise of labels, at the end (< 0.02)',
        _of(f'{s}_measured', 'smece_exact'),
      ),
      (
        'the same at the worst checkpoint',
        lambda r, s=s: float(path(r[f'{s}_measured'], 'smece_exact').max()),
      ),
      (
        'accuracy at the end less what noise allows (about 0 but for narrow)',
        _less(
          f'{s}_measured', 'accuracy_exact', f'{s}_measured', 'accuracy_best'
        ),
      ),
      ('accuracy that noise allows', _of(f'{s}_measured', 'accuracy_best')),
    )
  },
  'ii: slope less confidence less accuracy, worst of all (about 0)': _worst(
    'slope', 'slope_formula'
  ),
  'ii: nats saved less the divergence, worst of base models (about 0)': (
    lambda r: _worst('gap_measured', 'gap_formula')(
      {k: v for k, v in r.items() if k.endswith('_measured')}
    )
  ),
  'ii: fitted less formula tilts, worst of base models (about 0)': (
    lambda r: float(_measured(r, STYLES, 'tilt_error').max())
  ),
  'ii_reward: nats that fitted tilts save': _of('reward', 'gap_measured'),
  'ii_reward: those of the formula': _of('reward', 'gap_formula'),
  'ii_reward: nats that a learned tau saves on other entities': _of(
    'reward', 'tau_saves'
  ),
  'ii_reward: smECE after the learned tau, without noise of labels': _of(
    'reward', 'tau_smece'
  ),
  'ii_direct: nats left to save at the end (about 0)': _of(
    'direct_measured', 'gap_measured'
  ),
  'ii_direct: nats left at the worst checkpoint': (
    lambda r: float(path(r['direct_measured'], 'gap_measured').max())
  ),
  **_tuned(),
  'iv: KL gap of LoRA, chain less direct (> 0)': _less(
    'chain_measured', 'kl_lora', 'direct_measured', 'kl_lora'
  ),
  'iv: KL gap of the linear probe, chain less direct (> 0)': _less(
    'chain_measured', 'kl_linear', 'direct_measured', 'kl_linear'
  ),
  'iv: share that LoRA leaves of reading no question, direct (about 0)': (
    lambda r: (
      r['direct_measured']['kl_lora'] / r['direct_measured']['kl_constant']
    )
  ),
  'iv: the same, chain (about 1)': (
    lambda r: (
      r['chain_measured']['kl_lora'] / r['chain_measured']['kl_constant']
    )
  ),
  'iv: smECE without noise, chain less direct (> 0 by prediction 3)': _less(
    'chain_measured', 'smece_exact', 'direct_measured', 'smece_exact'
  ),
  'iv_narrow: the same, of starved models (> 0 by prediction 3)': _less(
    'narrow_chain_measured',
    'smece_exact',
    'narrow_direct_measured',
    'smece_exact',
  ),
  'iv_narrow: confidence less accuracy, chain': _of(
    'narrow_chain_measured', 'gap_signed'
  ),
  'iv_narrow: KL gap of LoRA, chain less direct (> 0)': _less(
    'narrow_chain_measured', 'kl_lora', 'narrow_direct_measured', 'kl_lora'
  ),
  **{
    f'v: Spearman of KL gap and smECE{how}, {name} (> 0)': _correlation(
      styles, key
    )
    for key, how in (('smece', ''), ('smece_exact', ' without noise'))
    for name, styles in SETS.items()
  },
}


def _pooled(summaries: claims_lib.Summaries) -> dict[str, list[float]]:
  """Correlations over the checkpoints of all seeds, with intervals."""
  out = {}
  for name, styles in SETS.items():
    if not all(f'{s}_measured' in summaries for s in styles):
      continue
    x, y = (
      np.concatenate(
        [path(run, key) for s in styles for run in summaries[f'{s}_measured']]
      )
      for key in ('kl_lora', 'smece')
    )
    found = interval(x, y)
    if not np.isnan(found).any():
      out[f'v: the same over all seeds, {name}, 95 % of checkpoints drawn'] = (
        found
      )
  return out


def claims(summaries: claims_lib.Summaries) -> dict[str, list[float]]:
  """[mean, lowest, highest] over seeds of every claim that can be made.

  Claims about a correlation over all seeds have an interval instead, of
  checkpoints drawn again.
  """
  return claims_lib.margins(CLAIMS, summaries) | _pooled(summaries)
