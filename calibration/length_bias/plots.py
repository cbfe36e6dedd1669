"""Figures of a study of length bias, from its files; no JAX.

Analyses A to E of section 4 of docs/papers/uq_length_bias.md, from the flat
results of tables.py and the arrays that these were computed from:
`<variant>-<set>-heat`, `-ranking`, `-scatter`, `-agreement`, with human ratings
`-people`; `world-dial` is the controlled world.
"""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from calibration.correctness import thresholds
from calibration.estimators import names as names_lib
from calibration.length_bias import colours
from engine.report import figures as plots_lib
from engine.report import tables as tables_lib
from engine.runs import finished, writer

_BLACK, _ORANGE, _BLUE, _GREEN, _PINK, _SKY, _RED, _ = plots_lib.COLOURS
_LINES = (_BLUE, _ORANGE, _GREEN, _PINK, _SKY, _RED, _BLACK, colours.GREY)
_MARKERS = 'os^DvP*X'
_TITLES = {s.function: s.title for s in thresholds.ALL.values()}

Results = Mapping[str, Any]


def settings(results: Results) -> list[str]:
  """Settings with an AUROC in the results, ours in the order of the table."""
  found = {key.split('/')[0] for key in results if key.endswith('/auroc')}
  known = [name for name in thresholds.ALL if name in found]
  return [*known, *sorted(found - set(known))]


def estimators(results: Results) -> list[str]:
  """Estimators with an AUROC in the results, lengths first."""
  found = {key.split('/')[1] for key in results if key.endswith('/auroc')}
  known = [name for name in names_lib.NAMES if name in found]
  return [*known, *sorted(found - set(known))]


def matrix(results: Results, kind: str) -> np.ndarray:
  """Estimates of `kind`, [estimators, settings]; NaN where one is missing."""
  return np.array(
    [
      [
        results.get(f'{setting}/{name}/{kind}', [np.nan])[0]
        for setting in settings(results)
      ]
      for name in estimators(results)
    ]
  )


def _title(setting: str) -> str:
  if setting not in thresholds.ALL:
    return setting
  found = thresholds.ALL[setting]
  if found.function in ('judge', 'alias'):
    return found.title
  rule = '>' if found.rule == '>' else '≥'
  return f'{found.title} {rule} {found.threshold:g}'


def _named(estimator: str) -> str:
  return names_lib.NAMES.get(estimator, estimator.replace('_', ' '))


def heat(results: Results):
  """AUROC of every estimator and setting, as it is and within lengths."""
  rows, columns = estimators(results), settings(results)
  figure, axes = plt.subplots(
    1,
    2,
    figsize=(3 + 1.1 * len(columns), 1.9 + 0.34 * len(rows)),
    layout='constrained',
    sharey=True,
  )
  for axis, kind, title in (
    (axes[0], 'auroc', 'AUROC'),
    (axes[1], 'within', 'AUROC within lengths'),
  ):
    values = matrix(results, kind)
    image = axis.imshow(
      values, cmap='RdBu_r', vmin=0.1, vmax=0.9, aspect='auto'
    )
    axis.set_xticks(
      range(len(columns)), map(_title, columns), rotation=50, ha='right'
    )
    axis.set_yticks(range(len(rows)), map(_named, rows))
    axis.tick_params(length=0, labelsize=8)
    axis.spines[:].set_visible(False)
    axis.set_title(title, fontsize=10)
    below = sum(name in names_lib.BASELINES for name in rows)
    if 0 < below < len(rows):
      axis.axhline(below - 0.5, color='white', lw=3)
    for (i, j), value in np.ndenumerate(values):
      few = results.get(f'{columns[j]}/few')
      text = '–' if np.isnan(value) else f'{value:.2f}'.lstrip('0')
      axis.text(
        j,
        i,
        f'{text}*' if few and text != '–' else text,
        ha='center',
        va='center',
        fontsize=7,
        color='white' if abs(value - 0.5) > 0.28 else 'black',
      )
  bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.01, extend='both')
  bar.set_label('0.5 is chance')
  bar.ax.tick_params(labelsize=8)
  if any(results.get(f'{name}/few') for name in columns):
    figure.supxlabel('* few answers of a class', fontsize=8, x=0.02, ha='left')
  return figure


def ranking(results: Results, *, best: int = 3):
  """The best estimators of every setting, as it is and within lengths."""
  columns, rows = settings(results), estimators(results)
  figure, axes = plt.subplots(
    1,
    2,
    figsize=(10.5, 1.6 + 0.3 * len(columns)),
    sharey=True,
    layout='constrained',
  )
  shown: dict[str, str] = {}
  for axis, kind, title in (
    (axes[0], 'auroc', 'by AUROC'),
    (axes[1], 'within', 'by AUROC within lengths'),
  ):
    values = matrix(results, kind)
    for j in range(len(columns)):
      found = [i for i in range(len(rows)) if not np.isnan(values[i, j])]
      order = sorted(found, key=lambda i: -values[i, j])[:best]
      for place, i in enumerate(order):
        spare = _LINES[i % len(_LINES)]
        shown[rows[i]] = colours.OF.get(rows[i], spare)
        axis.barh(j, 0.96, left=place + 0.52, height=0.86, color=shown[rows[i]])
        axis.text(
          place + 1,
          j,
          f'{values[i, j]:.2f}'.lstrip('0'),
          ha='center',
          va='center',
          fontsize=7,
        )
    axis.set_xticks(range(1, best + 1), [f'{i + 1}.' for i in range(best)])
    axis.set_yticks(range(len(columns)), map(_title, columns))
    axis.set_ylim(len(columns) - 0.5, -0.5)
    axis.tick_params(length=0, labelsize=8)
    axis.spines[:].set_visible(False)
    axis.set_title(title, fontsize=10)
  figure.legend(
    [plt.Rectangle((0, 0), 1, 1, color=shown[n]) for n in rows if n in shown],
    [_named(name) for name in rows if name in shown],
    loc='outside right center',
    frameon=False,
    fontsize=8,
  )
  return figure


def scatter(
  values: Mapping[str, np.ndarray],
  lengths: np.ndarray,
  strong: np.ndarray,
  *,
  unit: str = 'tokens',
  most: int = 400,
):
  """Values of functions against length, coloured by a trusted label.

  Args:
    values: [N] by function.
    lengths: [N].
    strong: [N], 1 or 0; answers with NaN are not shown.
    unit: unit of the lengths.
    most: number of answers to show, evenly chosen.
  """
  shown = np.flatnonzero(~np.isnan(strong))
  shown = shown[
    np.linspace(0, len(shown) - 1, min(most, len(shown))).astype(int)
  ]
  columns = min(3, len(values))
  lines = -(-len(values) // columns)
  figure, axes = plt.subplots(
    lines,
    columns,
    figsize=(3.3 * columns + 0.4, 2.5 * lines + 0.6),
    sharex=True,
    squeeze=False,
    layout='constrained',
  )
  # Many answers have the same value and length, so points move a little.
  rng = np.random.default_rng(0)
  for axis, (name, value) in zip(axes.flat, values.items(), strict=False):
    marks = (0, _ORANGE, 'x', 'wrong'), (1, _BLUE, 'o', 'correct')
    for label, colour, marker, what in marks:
      here = shown[strong[shown] == label]
      axis.plot(
        lengths[here] + rng.uniform(-0.3, 0.3, len(here)),
        value[here] + rng.uniform(-0.012, 0.012, len(here)),
        marker,
        color=colour,
        ms=3.5,
        alpha=0.55,
        mew=0.9 if marker == 'x' else 0,
        label=what,
      )
    axis.set_title(_TITLES.get(name, name), fontsize=10)
    plots_lib.style(axis)
  for axis in axes.flat[len(values) :]:
    axis.set_visible(False)
  handles, labels = axes[0, 0].get_legend_handles_labels()
  figure.legend(
    handles,
    labels,
    loc='outside upper right',
    ncols=2,
    frameon=False,
    fontsize=8,
  )
  figure.supxlabel(f'length of the answer, {unit}', fontsize=9)
  return figure


def agreement(results: Results, *, prefix: str = 'sweep/'):
  """Kappa of every function with a trusted label, by threshold.

  Args:
    results: a table.
    prefix: 'sweep/', or 'people/sweep/' for agreement with raters.
  """
  curves: dict[str, list[tuple[float, float]]] = {}
  for key, value in results.items():
    if key.startswith(prefix):
      name, _, step = key.removeprefix(prefix).rpartition('@')
      curves.setdefault(name, []).append((float(step), value))
  figure, axis = plt.subplots(figsize=(7.2, 3.8), layout='constrained')
  order = [*_TITLES, *sorted(set(curves) - set(_TITLES))]
  order = [name for name in order if name in curves]
  for i, name in enumerate(order):
    x, y = np.transpose(sorted(curves[name]))
    axis.plot(
      x,
      y,
      marker=_MARKERS[i % len(_MARKERS)],
      ms=3 + 0.8 * (len(order) - i),
      # Curves may coincide, so the later ones are thinner.
      lw=1 + 0.5 * (len(order) - i),
      color=_LINES[i % len(_LINES)],
      label=_TITLES.get(name, name),
    )
  axis.axhline(0, color=_BLACK, lw=0.8, ls=':')
  axis.set_xlabel('threshold')
  axis.set_ylabel("Cohen's kappa")
  axis.legend(
    frameon=False, fontsize=8, loc='center left', bbox_to_anchor=(1.0, 0.5)
  )
  plots_lib.style(axis)
  return figure


def dial(results: Results, estimators: Sequence[str]):
  """AUROCs of `world.sweep` by how far length drives the errors."""
  figure, axes = plt.subplots(
    1, 2, figsize=(9.2, 3.6), sharey=True, layout='constrained'
  )
  for axis, kind, title in (
    (axes[0], 'observed', 'AUROC against the function'),
    (axes[1], 'within', 'the same within lengths'),
  ):
    for i, name in enumerate(estimators):
      start = f'{name}/{kind}@dial='
      points = sorted(
        (float(key.removeprefix(start)), value)
        for key, value in results.items()
        if key.startswith(start)
      )
      axis.plot(
        *np.transpose(points),
        # Curves may coincide, so the later ones are thinner.
        lw=1.2 + 1.3 * (len(estimators) - 1 - i),
        marker=_MARKERS[i],
        ms=9 - 1.5 * i,
        color=_LINES[i],
        label=name.replace('_', ' '),
      )
      if kind == 'observed':
        true = results[f'{name}/true@dial={points[0][0]:g}']
        axis.axhline(true, color=_LINES[i], lw=0.8, ls=':')
    axis.set_title(title, fontsize=10)
    axis.set_xlabel('how far length drives the errors')
    plots_lib.style(axis)
  axes[0].set_ylabel('AUROC (dotted: against the truth)')
  axes[1].legend(
    frameon=False, fontsize=8, loc='center left', bbox_to_anchor=(1.0, 0.5)
  )
  return figure


def tables(summary: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
  """Results by set, with the three keys of an interval as one list."""
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
  """(name, figure) pairs of the first seed of a finished run or sweep."""
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
      if settings(results):
        yield f'{start}-heat', heat(results)
        yield f'{start}-ranking', ranking(results)
      yield (
        f'{start}-scatter',
        scatter(
          {k: v for k, v in values.items() if k != 'alias'},
          arrays[f'{name}/array/lengths'],
          values['alias'],
          unit='words',
        ),
      )
      yield f'{start}-agreement', agreement(results)
      if any(key.startswith('people/sweep/') for key in results):
        yield f'{start}-people', agreement(results, prefix='people/sweep/')
  if world is not None:
    names = list(dict.fromkeys(key.split('/')[0] for key in world))
    yield 'world-dial', dial(world, names)


def draw(workdir: pathlib.Path) -> list[pathlib.Path]:
  """Writes all figures of a run or sweep into its folder `figures`."""
  return plots_lib.write(figures(workdir), workdir)


def show(workdir: pathlib.Path, *, colour: bool = False) -> str:
  """Mean AUROC of every estimator over sets, and notes, of the first seed."""
  del colour
  blocks = []
  for variant, folders in finished.sweep_runs(workdir).items():
    summary = writer.read_json(folders[0] / 'summary.json')
    mean = {
      key.removeprefix('mean/'): [value]
      for key, value in summary.items()
      if key.startswith('mean/') and key.endswith('/auroc')
    }
    columns = settings(mean)
    rows = [(variant, *columns)]
    for name in estimators(mean):
      values = [mean.get(f'{s}/{name}/auroc') for s in columns]
      rows.append((name, *(f'{v[0]:.3f}' if v else '-' for v in values)))
    blocks.append(tables_lib.text(rows))
    blocks += [
      f'{variant}, {key.removesuffix("/note")}: {value}'
      for key, value in summary.items()
      if key.endswith('/note')
    ]
  return '\n\n'.join(blocks)
