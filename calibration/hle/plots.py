"""Figures of hle/experiment.py and hle/forensics.py from files; no JAX.

`confidence`: how sure a model is and how often it is right, its answers in
tenths by confidence. `leaderboard`: published rows against the least that an
error over all bins can be. `replay`: what three ways to bin make of the same
answers.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from engine.report import figures as plots_lib
from engine.runs import finished

Summary = Mapping[str, Any]
_BLUE, _RED, _GREY = plots_lib.COLOURS[2], plots_lib.COLOURS[6], '#8C8C8C'


def confidence(arrays: Mapping[str, np.ndarray], models: list[str]):
  """Accuracy by stated confidence, a panel a model."""
  figure, panels = plt.subplots(
    1,
    len(models),
    figsize=(3.4 * len(models), 3.4),
    squeeze=False,
    sharey=True,
    layout='constrained',
  )
  for axes, model in zip(panels[0], models, strict=True):
    c = arrays[f'array/confidence/{model}']
    a = arrays[f'array/correct/{model}']
    tenth = np.minimum((c * 10).astype(int), 9)
    for number in np.unique(tenth):
      mine = tenth == number
      axes.scatter(
        c[mine].mean(),
        a[mine].mean(),
        s=12 + 300 * mine.mean(),
        color=_BLUE,
        alpha=0.7,
        clip_on=False,
      )
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle='--')
    axes.set_title(f'{model} ({len(c)} judged)', fontsize=9)
    axes.set_xlabel('stated confidence')
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    plots_lib.style(axes)
  panels[0][0].set_ylabel('share right')
  return figure


def leaderboard(summary: Summary):
  """Reported errors and their bounds."""
  names = [k.partition('/')[2] for k in summary if k.startswith('bound/')]
  figure, axes = plt.subplots(figsize=(6.0, 0.9 + 0.5 * len(names)))
  for y, name in enumerate(names):
    least, reported = summary[f'least/{name}'], summary[f'reported/{name}']
    axes.plot([least, 100], [y, y], color=_GREY, linewidth=5, alpha=0.4)
    colour = _RED if summary[f'below/{name}'] else _BLUE
    axes.plot(reported, y, 'o', color=colour)
  axes.set_yticks(range(len(names)), names)
  axes.invert_yaxis()
  axes.set_xlabel(
    'calibration error in percent: reported (dot), and what an error over all\n'
    'bins may be (bar); a red dot lies below it by more than rounding'
  )
  plots_lib.style(axes)
  return figure


def replay(summary: Summary):
  """Three errors of the same answers, with their spread over ties."""
  names = sorted({k.partition('/')[0] for k in summary if k[:7] == 'replay_'})
  figure, axes = plt.subplots(figsize=(5.4, 3.2), layout='constrained')
  for number, (kind, colour) in enumerate(
    (('official', _RED), ('all_bins', _BLUE))
  ):
    value = np.array([summary[f'{n}/{kind}'] for n in names])
    low = np.array([summary[f'{n}/{kind}_low'] for n in names])
    high = np.array([summary[f'{n}/{kind}_high'] for n in names])
    axes.errorbar(
      np.arange(len(names)) + 0.1 * (number - 0.5),
      value,
      yerr=np.maximum([value - low, high - value], 0),
      fmt='o',
      color=colour,
      label=kind.replace('_', ' '),
    )
  axes.plot(
    range(len(names)),
    [summary[f'{n}/percent_bug'] / 100 for n in names],
    's',
    color=_GREY,
    label='percents beside 0 and 1, over 100',
  )
  axes.set_xticks(
    range(len(names)),
    [f'accuracy {100 * summary[f"{n}/accuracy"]:.1f}%' for n in names],
  )
  axes.set_ylabel('calibration error')
  axes.legend(frameon=False, fontsize=8)
  plots_lib.style(axes)
  return figure


def draw(workdir: pathlib.Path) -> list[pathlib.Path]:
  """All figures of a run; returns their paths."""
  summary = finished.open_run(workdir).summary
  if (
    any(key.startswith('bound/') for key in summary) and 'judge' not in summary
  ):
    named = (('leaderboard', leaderboard(summary)), ('replay', replay(summary)))
    return plots_lib.write(named, workdir)
  with np.load(workdir / 'evals' / 'test-final.npz') as file:
    arrays = dict(file)
  models = [
    key.rpartition('/')[2] for key in arrays if key[:17] == 'array/confidence/'
  ]
  named = (('confidence', confidence(arrays, models)),)
  return plots_lib.write(named, workdir)


def show(workdir: pathlib.Path, *, colour: bool) -> str:
  """What to print in a terminal after the figures."""
  del colour
  summary = finished.open_run(workdir).summary
  return '\n'.join(
    f'{key}: {value}' for key, value in summary.items() if key[:6] == 'below/'
  )
