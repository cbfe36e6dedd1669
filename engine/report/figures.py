"""What the figures of all areas share: curves, colours, files; no JAX."""

import pathlib

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt

from engine.runs import writer

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = (
  '#000000',
  '#E69F00',
  '#0072B2',
  '#009E73',
  '#CC79A7',
  '#56B4E9',
  '#D55E00',
  '#F0E442',
)


def history(folder: pathlib.Path, key: str) -> tuple[list, list]:
  """Steps at which a metric was logged, and its values."""
  steps, values = [], []
  for _, entry in writer.entries(folder / 'metrics.jsonl'):
    if entry.get(key) is not None:
      steps.append(entry['step'])
      values.append(entry[key])
  return steps, values


def finish(figure, path: pathlib.Path) -> pathlib.Path:
  """Writes and closes a figure."""
  path.parent.mkdir(parents=True, exist_ok=True)
  figure.savefig(path, dpi=150, bbox_inches='tight')
  plt.close(figure)
  return path


def write(named, workdir: pathlib.Path) -> list[pathlib.Path]:
  """Writes (name, figure) pairs to `workdir`/figures/<name>.png."""
  return [
    finish(figure, workdir / 'figures' / f'{name}.png')
    for name, figure in named
  ]


def style(axes) -> None:
  """No frame but the two axes, and a faint grid."""
  axes.spines[['top', 'right']].set_visible(False)
  axes.grid(alpha=0.25)
