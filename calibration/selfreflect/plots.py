"""Figures of calibration/selfreflect/experiment.py from files; no JAX.

`scores`: the mean score of each summary, a panel a judge, since scores of two
judges are not comparable. `wins`: how often the better of two summaries has the
lower score.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker

from engine.report import figures as plots_lib
from engine.runs import finished

_ORDER = (
  'concatenated',
  'good',
  'detailed',
  'percentages',
  'verbose',
  'addition',
  'truncated',
  'almost',
  'bad',
  'sample_and_summarize',
  'basic',
  'twostep_cot',
  'cot',
  'greedy',
)
_PAIRS = (
  'good_bad',
  'verbose_bad',
  'good_almost',
  'detailed_almost',
  'good_truncated',
  'good_addition',
)
Summary = Mapping[str, Any]


def runs(workdir: pathlib.Path) -> list[Summary]:
  """Summaries of a run or sweep, the first seed of each variant."""
  return [
    finished.open_run(folders[0]).summary
    for folders in finished.sweep_runs(workdir).values()
  ]


def _name(model: str) -> str:
  return pathlib.PurePath(model).name


def _three(run: Summary, key: str) -> np.ndarray:
  return np.array(
    [run.get(f'{key}{end}', np.nan) for end in ('', '_low', '_high')], float
  )


def _dots(axes, names, key, found: list[Summary]) -> None:
  """A row a name, a colour a run: value and 95%."""
  for number, run in enumerate(found):
    value, low, high = np.array([_three(run, key.format(n)) for n in names]).T
    y = np.arange(len(names)) + 0.14 * (number - (len(found) - 1) / 2)
    axes.errorbar(
      value,
      y,
      xerr=np.maximum([value - low, high - value], 0.0),
      fmt='o',
      markersize=4,
      elinewidth=0.8,
      color=plots_lib.COLOURS[(2, 6, 3, 4)[number % 4]],
      label=f'answers of {_name(run["subject"])}',
    )
  axes.set_yticks(range(len(names)), [n.replace('_', ' ') for n in names])
  axes.invert_yaxis()
  plots_lib.style(axes)


def _panels(found: list[Summary], names, key, label):
  judges: dict[str, list[Summary]] = {}
  for run in found:
    judges.setdefault(run['judge'], []).append(run)
  figure, panels = plt.subplots(
    1,
    len(judges),
    figsize=(1.9 + 3.4 * len(judges), 1.7 + 0.32 * len(names)),
    sharey=True,
    squeeze=False,
    layout='constrained',
  )
  for axes, (judge, mine) in zip(panels[0], judges.items(), strict=True):
    _dots(axes, names, key, mine)
    axes.set_title(f'judge {_name(judge)}', fontsize=10)
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
  figure.legend(
    *panels[0][0].get_legend_handles_labels(),
    frameon=False,
    loc='outside lower center',
    ncols=2,
    fontsize=8,
  )
  return figure, panels[0]


def scores(found: list[Summary]):
  """Mean score of each summary that some run has."""
  names = [n for n in _ORDER if any(f'score/{n}' in run for run in found)]
  return _panels(found, names, 'score/{}', 'SelfReflect score (0 is best)')[0]


def wins(found: list[Summary]):
  """Shares of questions on which the better summary wins."""
  names = [n for n in _PAIRS if any(f'win/{n}' in run for run in found)]
  figure, panels = _panels(
    found, names, 'win/{}', 'better one has the lower score'
  )
  for axes in panels:
    axes.axvline(0.5, color='#8C8C8C', linewidth=0.8, linestyle='--')
    axes.set_xlim(0, 1)
  return figure


def draw(workdir: pathlib.Path) -> list[pathlib.Path]:
  """All figures of a run or sweep; returns their paths."""
  found = [run for run in runs(workdir) if 'subject' in run]
  if not found:  # a user's own summaries have a table
    return []
  return plots_lib.write(
    (('scores', scores(found)), ('wins', wins(found))), workdir
  )


def show(workdir: pathlib.Path, *, colour: bool) -> str:
  """What to print in a terminal after the figures."""
  del colour
  return '\n'.join(
    f'{_name(run["subject"])} by {_name(run["judge"])}: good below bad '
    f'{run["win/good_bad"]:.2f}, below almost {run["win/good_almost"]:.2f}'
    for run in runs(workdir)
    if 'win/good_bad' in run
  )
