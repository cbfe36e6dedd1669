"""Figures of a comparison of probes from its files; no JAX.

For every variant, of the first seed, at the best site of each group:
`geometry`: cosines beside transfer; `overlap`: supports against chance;
`scatter`: do alike probes transfer; `path`: how many features a task needs;
`embedding`: samples by task and by label; `mixtures`: what stands in for a
task's own probe. `layers`: all layers, over seeds.
"""

import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from engine.report import figures as plots_lib
from engine.report import tables
from engine.runs import finished, writer

_BLACK, _ORANGE, _BLUE, _GREEN, _PINK, _SKY, _RED, _ = plots_lib.COLOURS
_COLOURS = (_BLUE, _ORANGE, _GREEN, _PINK, _SKY, _RED, '#8C8C8C', _BLACK)
_MARKERS = 'osD^vPX*<>'
_BESIDE = (1.0, 0.5)
_ARRAY = re.compile(r'(.+?)/array/(.+)')
_LAYER = re.compile(r'L(\d+)\.(.+)')

Arrays = Mapping[str, np.ndarray]


def groups(folder: pathlib.Path) -> dict[str, dict[str, np.ndarray]]:
  """{group: {name: array}} of a run; each also has the tasks' `names`."""
  out: dict[str, dict[str, np.ndarray]] = {}
  with np.load(folder / 'evals' / 'test-final.npz', allow_pickle=False) as file:
    for key in file.files:
      if match := _ARRAY.match(key):
        out.setdefault(match[1], {})[match[2]] = file[key]
    for arrays in out.values():
      arrays['names'] = file['names']
  return out


def _heat(axes, matrix, names, title, low, high, *, sources=True):
  cmap = 'RdBu_r' if low < 0 else 'viridis'
  axes.imshow(matrix, cmap=cmap, vmin=low, vmax=high)
  axes.set_xticks(range(len(names)), names, rotation=60, ha='right')
  axes.set_yticks(range(len(names)), names if sources else [])
  axes.set_title(title, fontsize=10)
  axes.tick_params(length=0, labelsize=8)
  axes.spines[:].set_visible(False)
  for (i, j), value in np.ndenumerate(matrix):
    # Dark cells are at both ends of one map, and at the low end of the other.
    share = (value - low) / (high - low)
    dark = abs(share - 0.5) > 0.35 if low < 0 else share < 0.55
    text = '' if np.isnan(value) else f'{value:.2f}'.replace('0.', '.')
    axes.text(
      j,
      i,
      text,
      ha='center',
      va='center',
      fontsize=7,
      color='white' if dark else 'black',
    )


def geometry(arrays: Arrays):
  """Cosine, Mahalanobis cosine and transfer of ridge probes, side by side."""
  names = list(arrays['names'])
  figure, axes = plt.subplots(1, 3, figsize=(13.5, 4.9), layout='constrained')
  _heat(axes[0], arrays['ridge/cosine'], names, 'cosine', -1, 1)
  _heat(
    axes[1],
    arrays['ridge/mahalanobis'],
    names,
    'correlation of scores (Mahalanobis cosine)',
    -1,
    1,
    sources=False,
  )
  _heat(
    axes[2],
    arrays['ridge/transfer'][..., 0],
    names,
    'AUROC of the probe of a row on the task of a column',
    0.3,
    1.0,
    sources=False,
  )
  return figure


def overlap(arrays: Arrays):
  """Jaccard of supports of 50 features, and of every size against chance."""
  names = list(arrays['names'])
  sizes = sorted(
    int(key.partition('@')[2])
    for key in arrays
    if key.startswith('sparse/jaccard@') and key[-1].isdigit()
  )
  if not sizes:
    return None
  size = min(sizes, key=lambda s: abs(s - 50))
  off = ~np.eye(len(names), dtype=bool)
  figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout='constrained')
  matrix = arrays[f'sparse/jaccard@{size}'].copy()
  matrix[~off] = np.nan
  _heat(axes[0], matrix, names, f'Jaccard of {size} features', 0, 0.5)
  found = [arrays[f'sparse/jaccard@{s}'][off] for s in sizes]
  chance = [np.nanmean(arrays[f'sparse/chance@{s}'][off]) for s in sizes]
  # A path that ends early has fewer features than were asked for.
  sizes = [np.mean(arrays[f'sparse/size@{s}']) for s in sizes]
  mean = np.array([np.nanmean(f) for f in found])
  low, high = (np.array([np.nanquantile(f, q) for f in found]) for q in (0, 1))
  axes[1].fill_between(sizes, low, high, color=_BLUE, alpha=0.15, lw=0)
  axes[1].plot(sizes, mean, 'o-', color=_BLUE, label='pairs of tasks')
  axes[1].plot(sizes, chance, 's--', color=_BLACK, label='chance')
  axes[1].set_xlabel('features of each probe')
  axes[1].set_ylabel('Jaccard (mean, range over pairs)')
  axes[1].set_ylim(bottom=0)
  axes[1].legend(frameon=False)
  plots_lib.style(axes[1])
  return figure


def scatter(arrays: Arrays):
  """Transfer against both cosines, a point a pair of tasks."""
  off = ~np.eye(len(arrays['names']), dtype=bool)
  area = arrays['ridge/transfer'][..., 0][off]
  figure, axes = plt.subplots(
    1, 2, figsize=(9, 3.8), sharey=True, layout='constrained'
  )
  for axis, key, title in (
    (axes[0], 'ridge/cosine', 'cosine of two probes'),
    (axes[1], 'ridge/mahalanobis', 'correlation of their scores'),
  ):
    x = arrays[key][off]
    known = ~np.isnan(x)
    r = np.corrcoef(x[known], area[known])[0, 1] if known.sum() > 2 else np.nan
    axis.plot(x, area, 'o', color=_BLUE, ms=4, alpha=0.7, mew=0)
    axis.axhline(0.5, color=_BLACK, lw=0.8, ls=':')
    axis.set_xlabel(title)
    axis.set_title(f'r = {r:.2f}', fontsize=10)
    plots_lib.style(axis)
  axes[0].set_ylabel('AUROC of one on the other task')
  return figure


def path(arrays: Arrays):
  """AUROC of left-out training samples by the features that a probe uses."""
  if np.isnan(arrays['sparse/path'][:, 2]).all():  # lambda was given
    return None
  figure, axis = plt.subplots(figsize=(6, 4), layout='constrained')
  for t, name in enumerate(arrays['names']):
    _, nnz, score = arrays['sparse/path'][t]
    axis.plot(
      nnz,
      score,
      marker=_MARKERS[t % len(_MARKERS)],
      ms=3,
      lw=1.2,
      color=_COLOURS[t % len(_COLOURS)],
      label=name,
    )
  axis.set_xscale('symlog', linthresh=10)
  axis.set_xlabel('features that the sparse probe uses')
  axis.set_ylabel('AUROC on left-out folds')
  axis.legend(
    frameon=False, fontsize=7, loc='center left', bbox_to_anchor=_BESIDE
  )
  plots_lib.style(axis)
  return figure


def embedding(arrays: Arrays):
  """t-SNE of samples of all tasks, coloured by task and by label."""
  at, task = arrays['embedding'], arrays['embedding_task']
  right = arrays['embedding_label'] > 0
  figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout='constrained')
  for t, name in enumerate(arrays['names']):
    here = at[task == t]
    axes[0].scatter(
      *here.T,
      s=7,
      lw=0,
      marker=_MARKERS[t % len(_MARKERS)],
      color=_COLOURS[t % len(_COLOURS)],
    )
    if len(here):
      axes[0].annotate(
        name,
        np.median(here, 0),
        fontsize=7,
        ha='center',
        bbox=dict(fc='white', ec='none', alpha=0.7, pad=0.5),
      )
  for value, colour, name in (
    (True, _BLUE, 'right'),
    (False, _ORANGE, 'wrong'),
  ):
    axes[1].scatter(*at[right == value].T, s=7, lw=0, color=colour, label=name)
  axes[1].legend(frameon=False, markerscale=2)
  for axis, title in zip(axes, ('by task', 'by answer'), strict=True):
    axis.set_title(title, fontsize=10)
    axis.set_xticks([])
    axis.set_yticks([])
  return figure


_WORDS = {
  'own': "the task's own probe",
  'tasks_pooled': 'other tasks, pooled',
  'tasks_by_sample': 'other tasks, by sample',
  'tasks_centred': 'other tasks, centred',
  'tasks_scaled': 'other tasks, scaled',
  'probes_stacked': 'other probes, stacked',
  'probes_gated': 'other probes, gated',
  'probes_routed': 'other probes, routed',
}


def mixtures(arrays: Arrays):
  """Mean AUROC of what stands in for a task's own probe, a point a task."""
  found = {
    key.removeprefix('mixture/'): value
    for key, value in arrays.items()
    if key.startswith('mixture/')
  }
  own = [name for name in found if name.startswith('own_support')]
  order = ['own', *sorted(own, key=_natural), *_WORDS]
  order = [
    *dict.fromkeys(order),
    *sorted(set(found) - set(order), key=_natural),
  ]
  order = [name for name in order if name in found][::-1]
  figure, axis = plt.subplots(
    figsize=(7, 0.8 + 0.24 * len(order)), layout='constrained'
  )
  for i, name in enumerate(order):
    colour = _ORANGE if name.startswith('bound/') else _BLUE
    colour = _BLACK if name == 'own' else colour
    axis.plot(found[name], [i] * len(found[name]), '|', color=colour, ms=7)
    axis.plot(found[name].mean(), i, 'o', color=colour, ms=6)
  words = [
    _WORDS.get(name) or name.replace('_', ' ').replace('bound/', '* ')
    for name in order
  ]
  axis.set_yticks(range(len(order)), words, fontsize=8)
  axis.axvline(0.5, color=_BLACK, lw=0.8, ls=':')
  axis.axvline(found['own'].mean(), color=_BLACK, lw=0.8)
  axis.set_xlabel(
    'AUROC (a bar a task, mean)   * has seen labels of the target'
  )
  plots_lib.style(axis)
  return figure


def _natural(name):
  """Numbers in names by their size."""
  return [
    int(part) if part.isdigit() else part for part in re.split(r'(\d+)', name)
  ]


def by_layer(
  summary: Mapping[str, Any], key: str
) -> dict[str, dict[int, float]]:
  """{group: {layer: figure}} of '<site>/<key>'."""
  out: dict[str, dict[int, float]] = {}
  for name, value in summary.items():
    site, _, rest = name.partition('/')
    match = _LAYER.match(site)
    if rest == key and match and not isinstance(value, str):
      out.setdefault(match[2], {})[int(match[1])] = value
  return out


def layers(summaries: list[Mapping[str, Any]]):
  """Own, transferred and pooled AUROC, and cosine, by layer, over seeds."""
  found = list(by_layer(summaries[0], 'ridge/own'))
  if not found:
    return None
  lines = (
    ('ridge/own', 'own probe', _BLACK, 'o'),
    ('mixture/tasks_pooled', 'other tasks pooled', _GREEN, '^'),
    ('ridge/transfer', 'probe of another task', _BLUE, 's'),
    ('ridge/mahalanobis', 'correlation of scores', _ORANGE, 'D'),
    ('ridge/cosine', 'cosine', _RED, 'v'),
  )
  figure, axes = plt.subplots(
    1,
    len(found),
    figsize=(4.6 * len(found) + 1, 4),
    sharey=True,
    squeeze=False,
    layout='constrained',
  )
  for axis, group in zip(axes[0], found, strict=True):
    for key, label, colour, marker in lines:
      rows = [by_layer(summary, key).get(group, {}) for summary in summaries]
      at = sorted(set.intersection(*map(set, rows)))
      values = np.array([[row[layer] for layer in at] for row in rows])
      axis.fill_between(
        at, values.min(0), values.max(0), color=colour, alpha=0.15, lw=0
      )
      axis.plot(
        at, values.mean(0), marker=marker, ms=3, color=colour, label=label
      )
    axis.axhline(0.5, color=_BLACK, lw=0.8, ls=':')
    axis.set_title(group, fontsize=10)
    axis.set_xlabel('layer')
    plots_lib.style(axis)
  axes[0, 0].set_ylabel('mean over tasks or pairs (band: seeds)')
  axes[0, -1].legend(
    frameon=False, fontsize=8, loc='center left', bbox_to_anchor=_BESIDE
  )
  return figure


FIGURES = {
  'geometry': geometry,
  'overlap': overlap,
  'scatter': scatter,
  'path': path,
  'embedding': embedding,
  'mixtures': mixtures,
}


def _made(workdir: pathlib.Path) -> Iterator[tuple[str, Any]]:
  for variant, folders in finished.sweep_runs(workdir).items():
    summaries = [writer.read_json(f / 'summary.json') for f in folders]
    yield f'{variant}-layers', layers(summaries)
    for group, arrays in groups(folders[0]).items():
      for name, draw_it in FIGURES.items():
        yield f'{variant}-{group}-{name}', draw_it(arrays)


def draw(workdir: pathlib.Path) -> list[pathlib.Path]:
  """Writes all figures of a run or sweep into its folder `figures`."""
  return [
    plots_lib.finish(figure, workdir / 'figures' / f'{name}.png')
    for name, figure in _made(workdir)
    if figure is not None
  ]


def show(workdir: pathlib.Path, *, colour: bool) -> str:
  """A table for the terminal: each group's best site, the first seed."""
  del colour
  keys = (
    'ridge/own',
    'ridge/transfer',
    'mixture/tasks_pooled',
    'ridge/cosine',
    'ridge/mahalanobis',
    'sparse/jaccard@50',
    'sparse/chance@50',
  )
  rows = [('', 'site', *keys)]
  for variant, folders in finished.sweep_runs(workdir).items():
    summary = writer.read_json(folders[0] / 'summary.json')
    for group in groups(folders[0]):
      values = [summary.get(f'{group}/{key}') for key in keys]
      rows.append(
        (
          variant,
          summary[f'{group}/site'],
          *(f'{v:.3f}' if isinstance(v, float) else '-' for v in values),
        )
      )
  return tables.text(rows)
