"""Reliability diagrams of a semantic study, from its files; no JAX.

`<variant>-reliability` has sets down and styles across. `styles` has the smECE
of every cell beside the one that perfect calibration would show.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from calibration.metrics import diagram
from calibration.recording import prompts
from engine.report import figures as plots_lib
from engine.report import tables as tables_lib
from engine.runs import finished, writer

_BLACK, _ORANGE, _BLUE, _GREEN = plots_lib.COLOURS[:4]
_GREY = '#8C8C8C'
Cells = dict[tuple[str, str], diagram.Diagram]


def cells(folder: pathlib.Path) -> Cells:
  """Diagrams of a finished run by (set, style)."""
  out: dict[tuple[str, str], dict[str, Any]] = {}
  with np.load(folder / 'evals' / 'test-final.npz', allow_pickle=False) as file:
    for key in file.files:
      if key.startswith('array/'):
        _, name, style, field = key.split('/')
        out.setdefault((name, style), {})[field] = file[key]
  summary = writer.read_json(folder / 'summary.json')
  for key, value in summary.items():
    if key.startswith('array/'):
      _, name, style, field = key.split('/')
      out[name, style][field] = value
  return {key: diagram.Diagram(**fields) for key, fields in out.items()}


def reliability(found: Cells, title: str):
  """A diagram of each cell, sets down and styles across."""
  sets = list(dict.fromkeys(name for name, _ in found))
  styles = [s for s in prompts.STYLES if any(s == t for _, t in found)]
  figure, axes = plt.subplots(
    len(sets),
    len(styles),
    figsize=(3.3 * len(styles) + 0.3, 3.7 * len(sets)),
    squeeze=False,
    layout='constrained',
  )
  for i, name in enumerate(sets):
    for j, style in enumerate(styles):
      axis = axes[i, j]
      if (name, style) not in found:
        axis.set_axis_off()
        continue
      d = found[name, style]
      diagram.draw(axis, d)
      axis.set_title(f'{name}, {style}', fontsize=10)
      axis.set_xlabel(
        f'confidence (n = {d.answers}, M = {d.samples})\n'
        f'smECE {d.smece[0]:.3f}, floor {d.floor[0]:.3f}, '
        f'split gap {d.split_gap:+.3f}',
        fontsize=8,
      )
      if j:
        axis.set_ylabel('')
  figure.suptitle(title, fontsize=11)
  return figure


def styles(runs: dict[str, Cells]):
  """smECE of every cell with its interval and its floor."""
  keys = list(dict.fromkeys(key for found in runs.values() for key in found))
  figure, axes = plt.subplots(
    figsize=(1.6 + 0.62 * len(keys) * max(len(runs), 1), 3.6),
    layout='constrained',
  )
  colours = (_BLUE, _ORANGE, _GREEN, _BLACK)
  step = 0.8 / len(runs)
  for r, (name, found) in enumerate(runs.items()):
    for k, key in enumerate(keys):
      if key not in found:
        continue
      at = k + (r - (len(runs) - 1) / 2) * step
      value, low, high = found[key].smece
      floor, _, top = found[key].floor
      axes.bar(at, top, width=step * 0.9, color=_GREY, alpha=0.35, lw=0)
      axes.plot([at - step * 0.4, at + step * 0.4], [floor] * 2, color=_GREY)
      axes.errorbar(
        at,
        value,
        yerr=[[max(value - low, 0)], [max(high - value, 0)]],
        fmt='o',
        ms=4,
        color=colours[r % len(colours)],
        label=name if k == 0 else None,
      )
  axes.set_xticks(range(len(keys)), [f'{a}\n{b}' for a, b in keys], fontsize=8)
  axes.set_ylabel('smECE (grey: perfect calibration)')
  axes.set_ylim(bottom=0)
  axes.legend(frameon=False, fontsize=8)
  plots_lib.style(axes)
  return figure


def figures(workdir: pathlib.Path) -> Iterator[tuple[str, Any]]:
  """(name, figure) pairs of the first seed of a finished run or sweep."""
  runs = {}
  for name, folders in finished.sweep_runs(workdir).items():
    runs[name] = cells(folders[0])
    yield f'{name}-reliability', reliability(runs[name], name)
  yield 'styles', styles(runs)


def draw(workdir: pathlib.Path) -> list[pathlib.Path]:
  """Writes all figures of a run or sweep into its folder `figures`."""
  return plots_lib.write(figures(workdir), workdir)


def show(workdir: pathlib.Path, *, colour: bool = False) -> str:
  """A row for each cell of the first seed, and notes."""
  del colour
  keys = ('right', 'confidence', 'gap', 'split_gap', 'smece', 'floor', 'auroc')
  keys += ('alone',)
  rows, notes = [('', 'cell', 'n', 'M', *keys)], []
  for variant, folders in finished.sweep_runs(workdir).items():
    summary = writer.read_json(folders[0] / 'summary.json')
    for name, style in cells(folders[0]):
      start = f'{name}/{style}'
      values = [summary.get(f'{start}/{key}') for key in keys]
      if note := summary.get(f'{start}/note'):
        notes.append(f'{variant}, {start}: {note}')
      rows.append(
        (
          variant,
          start,
          *(f'{summary[f"{start}/{key}"]:.0f}' for key in ('n', 'samples')),
          *('-' if v is None else f'{v:.3f}' for v in values),
        )
      )
  return '\n\n'.join([tables_lib.text(rows), *notes])
