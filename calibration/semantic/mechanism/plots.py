"""Figures of the mechanism from the files of its sweep; no JAX.

`training`: smECE of every checkpoint beside its null floor. `reliability`:
accuracy by confidence, before and after what follows training. `probes`: what
a probe of the question lacks, against smECE. See
docs/papers/semantic_calibration.md, part B.
"""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from calibration.semantic.mechanism import claims
from engine.report import figures as plots_lib
from engine.report import tables
from engine.runs import finished, writer
from engine.stats import ranks

_BLACK, _ORANGE, _BLUE, _GREEN, _PINK, _SKY, _RED, _ = plots_lib.COLOURS

Runs = Mapping[str, Sequence[pathlib.Path]]

# How each run is drawn and called.
_MEASURED = {
  'direct': (_BLUE, 'o', 'direct'),
  'chain': (_ORANGE, 's', 'chain'),
  'narrow_direct': (_SKY, '^', 'direct, starved'),
  'narrow_chain': (_RED, 'v', 'chain, starved'),
}
_TUNED = {
  'direct': (_BLUE, 'o', 'cross-entropy'),
  'more': (_GREEN, '^', '... and 300 steps more of it'),
  'reward': (_RED, 's', '... and 300 steps of REINFORCE'),
  'preference': (_PINK, 'D', '... and 300 steps of DPO'),
}
_LEVELS = 10


def _summaries(folders: Sequence[pathlib.Path]) -> list[dict[str, Any]]:
  return [writer.read_json(f / 'summary.json') for f in folders]


def _arrays(folder: pathlib.Path) -> dict[str, np.ndarray]:
  path = folder / 'evals' / 'test-final.npz'
  with np.load(path, allow_pickle=False) as file:
    return dict(file)


def _shown(runs: Runs, kinds: Mapping, suffix: str = ''):
  for name, look in kinds.items():
    if f'{name}{suffix}' in runs:
      yield runs[f'{name}{suffix}'], look


def training(runs: Runs):
  """smECE over training, with the floor that calibrated models have."""
  figure, axes = plt.subplots(
    1, 2, figsize=(10.5, 3.8), sharey=True, layout='constrained'
  )
  for name, (colour, mark, label) in _MEASURED.items():
    if f'{name}_measured' not in runs:
      continue
    folders = runs[f'{name}_measured']
    axis = axes[int('chain' in name)]
    steps = [0, *_arrays(folders[0])['step']]
    found = _summaries(folders)
    smece, null, exact = (
      np.array([[s[f'untrained/{key}'], *claims.path(s, key)] for s in found])
      for key in ('smece', 'null', 'smece_exact')
    )
    axis.fill_between(
      steps, smece.min(0), smece.max(0), color=colour, alpha=0.15, lw=0
    )
    axis.plot(
      steps, smece.mean(0), marker=mark, ms=4, color=colour, label=label
    )
    axis.plot(steps, null.mean(0), ':', color=colour)
    axis.plot(steps, exact.mean(0), '--', lw=1, color=colour)
  for axis in axes:
    axis.set_xlabel('training step')
    axis.set_yscale('log')
    plots_lib.style(axis)
  for dash, label in (
    ('-', 'smECE (band: seeds)'),
    (':', 'null floor'),
    ('--', 'without noise of labels'),
  ):
    axes[1].plot([], [], dash, color=_BLACK, label=label)
  axes[0].set_ylabel('smECE')
  figure.legend(frameon=False, fontsize=8, loc='outside right center')
  return figure


def levels(conf: np.ndarray, acc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Mean confidence and accuracy of ten levels of equal mass."""
  order = np.argsort(conf)
  parts = np.array_split(order, _LEVELS)
  return (
    np.array([conf[p].mean() for p in parts]),
    np.array([acc[p].mean() for p in parts]),
  )


def reliability(runs: Runs):
  """Accuracy by confidence before and after tuning, and gaps on the way."""
  figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout='constrained')
  axes[0].plot([0, 1], [0, 1], color=_BLACK, lw=0.8, ls=':')
  for folders, (colour, mark, label) in _shown(runs, _TUNED):
    for number, folder in enumerate(folders):
      arrays = _arrays(folder)
      axes[0].plot(
        *levels(arrays['conf'], arrays['acc']),
        marker=mark,
        ms=4,
        lw=1,
        color=colour,
        alpha=0.7,
        label=None if number else label,
      )
  axes[0].set_xlabel('semantic confidence, levels of a tenth of the questions')
  axes[0].set_ylabel('accuracy')
  axes[0].set_xlim(0, 1.02)
  axes[0].set_ylim(0, 1)
  axes[0].legend(frameon=False, fontsize=8, loc='upper left')
  for folders, (colour, mark, _) in _shown(runs, _TUNED):
    for key, dash in (('confidence', '-'), ('accuracy_exact', '--')):
      curves = [plots_lib.history(f, f'eval/test/{key}') for f in folders]
      if len(curves[0][0]) > 1:  # a curve, not only an end
        values = np.mean([v for _, v in curves], 0)
        axes[1].plot(
          curves[0][0], values, dash, marker=mark, ms=4, color=colour
        )
  for dash, label in (('-', 'mean confidence'), ('--', 'accuracy')):
    axes[1].plot([], [], dash, color=_BLACK, label=label)
  axes[1].set_ylim(0, 1)
  axes[1].set_xlabel('step of what follows training')
  axes[1].legend(frameon=False, fontsize=8)
  for axis in axes:
    plots_lib.style(axis)
  return figure


def probes(runs: Runs):
  """KL gap of the LoRA probe against smECE, a point a checkpoint."""
  figure, axis = plt.subplots(figsize=(6.4, 4), layout='constrained')
  for folders, (colour, mark, label) in _shown(runs, _MEASURED, '_measured'):
    found = _summaries(folders)
    gap, smece = (
      np.array([claims.path(s, key) for s in found])
      for key in ('kl_lora', 'smece')
    )
    rho = ranks.spearman(gap.ravel(), smece.ravel())
    axis.plot(
      gap.ravel(),
      smece.ravel(),
      mark,
      ms=5,
      mew=0,
      alpha=0.6,
      color=colour,
      label=f'{label} (Spearman {rho:+.2f})',
    )
    axis.plot(  # the last ones
      gap[:, -1], smece[:, -1], mark, ms=8, mfc='none', mec=_BLACK
    )
  axis.set_xscale('symlog', linthresh=0.003)
  axis.set_xlim(left=0)
  axis.set_xlabel(r'KL($\pi_x$ || probe of the question), nats')
  axis.set_ylabel('smECE (ringed: after training)')
  axis.set_yscale('log')
  axis.legend(
    frameon=False, fontsize=8, loc='center left', bbox_to_anchor=(1.0, 0.5)
  )
  plots_lib.style(axis)
  return figure


def figures(workdir: pathlib.Path) -> Iterator[tuple[str, Any]]:
  """Names and figures of a sweep."""
  runs = finished.sweep_runs(workdir)
  for made in (training, reliability, probes):
    yield made.__name__, made(runs)


def draw(workdir: pathlib.Path) -> list[pathlib.Path]:
  """Writes all figures of a run or sweep into its folder `figures`."""
  return plots_lib.write(figures(workdir), workdir)


def show(workdir: pathlib.Path, *, colour: bool = False) -> str:
  """A table for the terminal: what each run ends with, means over seeds."""
  del colour
  found = {
    name: _summaries(folders)
    for name, folders in finished.sweep_runs(workdir).items()
  }
  return tables.of_runs(claims.COLUMNS, found, right=False)
