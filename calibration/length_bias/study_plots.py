"""Figures of a length study, from its files; no JAX.

`<variant>-<set>-heat`, `-ranking`, `-scatter`, `-agreement`: see
length_plots.py. `world-dial`: the controlled world.
"""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from calibration.length_bias import plots as length_plots
from engine.report import figures as plots_lib
from engine.report import tables as tables_lib
from engine.runs import finished, writer


def tables(summary: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
  """Results by set, intervals as lists again, as length_plots.py reads them."""
  out: dict[str, dict[str, Any]] = {}
  for key, value in summary.items():
    name, _, rest = key.partition('/')
    if not rest or name in ('array', 'margin'):
      continue
    if rest.endswith(('_low', '_high')):
      continue
    if f'{key}_low' in summary:
      value = [value, summary[f'{key}_low'], summary[f'{key}_high']]
    out.setdefault(name, {})[rest] = value
  return out


def figures(workdir: pathlib.Path) -> Iterator[tuple[str, Any]]:
  """(name, figure) of a finished run or sweep; of its first seed."""
  world = None
  for variant, folders in finished.sweep_runs(workdir).items():
    summary = writer.read_json(folders[0] / 'summary.json')
    found = tables(summary)
    world = found.pop('controlled')
    found.pop('mean', None)
    path = folders[0] / 'evals' / 'test-final.npz'
    with np.load(path, allow_pickle=False) as file:
      arrays = dict(file)
    for name, results in found.items():
      if f'{name}/array/lengths' not in arrays:
        continue
      functions = summary[f'{name}/array/functions'].split(',')
      values = dict(zip(functions, arrays[f'{name}/array/values'], strict=True))
      start = f'{variant}-{name}'
      if length_plots.settings(results):
        yield f'{start}-heat', length_plots.heat(results)
        yield f'{start}-ranking', length_plots.ranking(results)
      yield (
        f'{start}-scatter',
        length_plots.scatter(
          {k: v for k, v in values.items() if k != 'alias'},
          arrays[f'{name}/array/lengths'],
          values['alias'],
          unit='words',
        ),
      )
      yield f'{start}-agreement', length_plots.agreement(results)
  if world is not None:
    names = list(dict.fromkeys(key.split('/')[0] for key in world))
    yield 'world-dial', length_plots.dial(world, names)


def draw(workdir: pathlib.Path) -> list[pathlib.Path]:
  """Writes all figures of a run or sweep into its folder `figures`."""
  return plots_lib.write(figures(workdir), workdir)


def show(workdir: pathlib.Path, *, colour: bool = False) -> str:
  """AUROC of every estimator, means over sets, of the first seed."""
  del colour
  blocks = []
  for variant, folders in finished.sweep_runs(workdir).items():
    summary = writer.read_json(folders[0] / 'summary.json')
    mean = {
      key.removeprefix('mean/'): [value]
      for key, value in summary.items()
      if key.startswith('mean/') and key.endswith('/auroc')
    }
    settings = length_plots.settings(mean)
    rows = [(variant, *settings)]
    for name in length_plots.estimators(mean):
      values = [mean.get(f'{s}/{name}/auroc') for s in settings]
      rows.append((name, *(f'{v[0]:.3f}' if v else '-' for v in values)))
    blocks.append(tables_lib.text(rows))
  return '\n\n'.join(blocks)
