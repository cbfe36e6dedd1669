"""Figures of calibration's studies, each by its own module; no JAX."""

import importlib
import json
import pathlib
from types import ModuleType

from engine.report import figures as plots_lib

# Each has figures(workdir), pairs of a name and a figure, and show(workdir).
_MECHANISM = 'calibration.semantic.mechanism'
_MODULES = {
  f'{_MECHANISM}.experiment': f'{_MECHANISM}.plots',
  'calibration.semantic.experiment': 'calibration.semantic.plots',
  'calibration.length_bias.experiment': 'calibration.length_bias.study_plots',
}


def _module(workdir: pathlib.Path) -> ModuleType:
  for name in ('sweep.json', 'config.json'):
    path = workdir / name
    if path.exists():
      experiment = json.loads(path.read_text())['experiment']
      return importlib.import_module(_MODULES[experiment])
  raise FileNotFoundError(
    f'{workdir} must hold a run or a sweep, but has neither config.json nor '
    'sweep.json'
  )


def draw(workdir: pathlib.Path) -> list[pathlib.Path]:
  """Writes all figures of a run or sweep into its folder `figures`."""
  return [
    plots_lib.finish(figure, workdir / 'figures' / f'{name}.png')
    for name, figure in _module(workdir).figures(workdir)
  ]


def show(workdir: pathlib.Path, *, colour: bool) -> str:
  """A table for the terminal, of the first seed."""
  del colour
  return _module(workdir).show(workdir)


def table(rows: list[tuple[str, ...]]) -> str:
  """Rows in columns that line up."""
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return '\n'.join(
    '  '.join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
    for row in rows
  )
