"""Figures of lacy/cascade/free_text.py from the files of a sweep; no JAX."""

import pathlib

import matplotlib.pyplot as plt
import numpy as np

from engine.report import figures as plots_lib
from engine.runs import finished
from lacy.cascade import paired

_TITLES = {
  'token': 'a call is a token',
  'word': 'a call is a word',
  'span': 'a call is a whole name',
}
LEGEND = 'The true article, then what was written; [[by the partner]]'


def _summaries(workdir: pathlib.Path) -> dict[str, list[dict]]:
  return {
    name: [finished.open_run(folder).summary for folder in folders]
    for name, folders in finished.sweep_runs(workdir).items()
  }


def _point(runs, way):
  """(share delegated, [precision, low, high]) over seeds and articles."""
  counts = np.stack([paired.loads(run[f'{way}/counts']) for run in runs])
  share = np.mean([run[f'{way}/delegated'] for run in runs])
  return share, paired.interval(paired.precision, counts)


def precision(workdir: pathlib.Path) -> pathlib.Path:
  """Precision by the share that the partner wrote, one panel a unit."""
  summaries = _summaries(workdir)
  ways = paired.ways(summaries)
  units = list(dict.fromkeys(w.split()[0] for w in ways if w[-1].isdigit()))
  figure, panels = plt.subplots(
    1, len(units), figsize=(4.4 * len(units), 3.8), sharey=True, squeeze=False
  )
  for axes, unit in zip(panels[0], units, strict=True):
    mine = ['alone', *(way for way in ways if way.split()[0] == unit)]
    for number, (name, runs) in enumerate(summaries.items()):
      made = [_point(runs, way) for way in mine]
      x = np.array([share for share, _ in made])
      y, low, high = np.array([three for _, three in made]).T
      axes.errorbar(
        x + 0.002 * number,
        y,
        yerr=(y - low, high - y),
        fmt='o-',
        color=plots_lib.COLOURS[number % len(plots_lib.COLOURS)],
        label=name,
        elinewidth=0.7,
        markersize=4,
      )
    axes.set_title(_TITLES[unit])
    axes.set_xlabel('share of the text that the partner wrote')
    axes.set_ylim(bottom=0)
    plots_lib.style(axes)
  panels[0][0].set_ylabel('share of names and numbers supported')
  panels[0][-1].legend(
    frameon=False, loc='center left', bbox_to_anchor=(1.0, 0.5)
  )
  return plots_lib.finish(figure, workdir / 'figures' / 'free_text.png')


def written(workdir: pathlib.Path, count: int | None = None) -> str:
  """The first `count` articles as each rule continued them, first seed."""
  blocks: dict[int, list[str]] = {}
  for name, folders in finished.sweep_runs(workdir).items():
    with np.load(folders[0] / 'evals' / 'writing-final.npz') as file:
      made = dict(file)
    for i, reference in enumerate(made['references'][:count]):
      block = blocks.setdefault(i, [f'== {made["titles"][i]}\n{reference}'])
      for way, texts in zip(made['ways'], made['texts'], strict=True):
        block.append(f'{name} {way}:\n{texts[i]}')
  return '\n\n'.join('\n\n'.join(block) for block in blocks.values())


def draw(workdir: pathlib.Path) -> list[pathlib.Path]:
  """All figures of a run or sweep; returns their paths."""
  path = workdir / 'figures' / 'texts.txt'
  paths = [precision(workdir), path]
  path.write_text(f'{LEGEND}\n\n{written(workdir)}\n')
  return paths


def show(workdir: pathlib.Path, *, colour: bool) -> str:
  """What to print in a terminal after the figures."""
  del colour
  return f'{LEGEND}\n\n{written(workdir, 1)}'
