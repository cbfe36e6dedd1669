"""Figures of a run or a sweep of samplers from its files; no JAX.

`pareto`: accuracy against passes, a panel a block length, a curve a family;
`hard`, the same of the hard records; `front`, where there are several panels,
the main curves of full diffusion. `frames`: the order in which answers were
written; `animation`, the same a pass at a time. `training`: reward, accuracy
and passes by round.

What families and worlds are, `curves` says.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import lines, patheffects, ticker

from diffusion_sampler.report import curves, orders, passages, written
from engine.report import figures as plots_lib

_BLACK, _ORANGE, _BLUE, _GREEN, _PINK, _SKY, _RED, _ = plots_lib.COLOURS
# What the eye must find first, then the others in turn.
LEADS = {
  'threshold': _BLUE,
  'random': _BLACK,
  'policy': _RED,
  'steered': _GREEN,
}
_OTHERS = (_ORANGE, _PINK, _SKY, '#8C8C8C')
_MARKERS = 'osD^vPX'
_DASHES = ('-', '--', ':', '-.')
_OPTIONS = '<>hd*p8'


def _word(family: str) -> str:
  return family.partition(' ')[0]


def styles(families: Sequence[str]) -> dict[str, dict[str, Any]]:
  """How each is drawn, those that lead first; one colour a first word."""
  words = list(dict.fromkeys(map(_word, families)))
  others = [word for word in words if word not in LEADS]
  out = {}
  for word in [*(word for word in LEADS if word in words), *others]:
    members = [f for f in dict.fromkeys(families) if _word(f) == word]
    members.sort(key=lambda family: family != word)  # the plain one first
    for i, family in enumerate(members):
      if word in LEADS:
        look = dict(color=LEADS[word], lw=2.2, ms=6, zorder=3)
        mark = i
      else:
        at = others.index(word)
        look = dict(color=_OTHERS[at % len(_OTHERS)], lw=1.0, ms=4, zorder=2)
        mark = 1 + at
      look |= dict(marker=_MARKERS[mark % len(_MARKERS)])
      out[family] = look | dict(ls=_DASHES[i % len(_DASHES)])
  return out


def _draw_curve(axes, curve: curves.Curve, style: Mapping[str, Any]) -> None:
  x, y = (
    np.array([getattr(point, which) for point in curve.points]).T
    for which in ('passes', 'value')
  )
  axes.errorbar(
    x[0],
    y[0],
    xerr=(x[0] - x[1], x[2] - x[0]),
    yerr=(y[0] - y[1], y[2] - y[0]),
    elinewidth=0.8,
    label=', '.join(filter(None, (curve.family, curve.options))),
    **style,
  )
  if curve.options:
    return
  offset, side = (0, 6), 'center'
  if curve.family == 'policy':  # others lie above it
    offset = (0, -13)
  if len(curve.points) == 1:
    offset, side = (6, -2), 'left'
  for point in curve.points:
    axes.annotate(
      point.note,
      (point.passes[0], point.value[0]),
      xytext=offset,
      textcoords='offset points',
      ha=side,
      size=7,
      color=style['color'],
      zorder=4,
      path_effects=[patheffects.withStroke(linewidth=2, foreground='white')],
    )


def pareto(made: Sequence[curves.Panel], what: str = 'share right'):
  """Figure of `panels`."""
  drawn = [curve for panel in made for curve in panel.curves]
  looks = styles([curve.family for curve in drawn])
  options = dict.fromkeys(curve.options for curve in drawn if curve.options)
  opens = {
    name: dict(marker=_OPTIONS[i % len(_OPTIONS)], mfc='white', lw=0.8, ms=5)
    for i, name in enumerate(options)
  }
  named = list(looks.items())
  named += [(name, look | dict(color='0.3')) for name, look in opens.items()]
  handles = [lines.Line2D([], [], label=name, **look) for name, look in named]
  columns = min(3, len(made))
  rows = -(-len(made) // columns)
  figure, grid = plt.subplots(
    rows,
    columns,
    figsize=(4.4 * columns + 2, max(3.8 * rows, 0.18 * len(handles) + 0.4)),
    squeeze=False,
    sharex=True,
    sharey=True,
    layout='constrained',
  )
  for axes in grid.flat[len(made) :]:
    axes.remove()
  for axes, panel in zip(grid.flat, made, strict=False):
    for curve in panel.curves:
      look = looks[curve.family] | opens.get(curve.options, {})
      if len(curve.points) == 1:
        look = look | dict(ms=7)  # no line to see it by
      _draw_curve(axes, curve, look)
    axes.set_xscale('log', base=2)
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter('%g'))
    axes.tick_params(labelbottom=True)
    axes.set_title(panel.title, size=10)
    axes.set_xlabel('mean passes of the denoiser (NFE)')
    axes.set_ylim(-0.03, 1.08)
    plots_lib.style(axes)
  for axes in grid[:, 0]:
    axes.set_ylabel(what)
  noted = any(point.note for curve in drawn for point in curve.points)
  figure.legend(
    handles=handles,
    fontsize=8,
    loc='outside right upper',
    frameon=False,
    title='number at a point: alpha' if noted else None,
    title_fontsize=8,
  )
  return figure


# What the front of full diffusion shows, where all that was measured is a
# crowd: rules of a kind each, and the policies that are no ablations.
FRONT = (*LEADS, 'entropy_bounded', 'top_k confidence', 'left_to_right')


def front(made: Sequence[curves.Panel]):
  """Figure: the longest blocks of the first world alone, its main curves."""
  world = made[0].world
  panel = [panel for panel in made if panel.world == world][-1]
  kept = [c for c in panel.curves if c.family in FRONT and not c.options]
  looks = styles([curve.family for curve in kept])
  learnt = [
    point
    for curve in kept
    if _word(curve.family) in ('policy', 'steered')
    for point in curve.points
  ]
  views = 1 + bool(learnt)
  figure, row = plt.subplots(
    1, views, figsize=(5 * views, 4), squeeze=False, layout='constrained'
  )
  for axes in row[0]:
    for curve in kept:
      _draw_curve(axes, curve, looks[curve.family])
    axes.set_xscale('log', base=2)
    axes.set_xlabel('mean passes of the denoiser (NFE)')
    plots_lib.style(axes)
  row[0, 0].xaxis.set_major_formatter(ticker.FormatStrFormatter('%g'))
  row[0, 0].set_ylabel('share right')
  row[0, 0].legend(frameon=False, fontsize=8)
  if learnt:
    near = row[0, 1]
    near.set_xscale('linear')
    ends = [x for point in learnt for x in point.passes]
    near.set_xlim(min(ends) - 0.3, max(ends) + 0.3)
    near.set_ylim(min(min(point.value) for point in learnt) - 0.02, 1.01)
    near.set_title('near the policies; numbers are alpha', size=9)
    for far, text in zip(row[0, 0].texts, near.texts, strict=True):
      far.set_visible(False)
      text.set_clip_on(True)
  return figure


def _rows(variants: Sequence[str]) -> dict[str, list[str]]:
  """Variants by family; those alone in theirs share the last row."""
  families: dict[str, list[str]] = {}
  for variant in variants:
    families.setdefault(curves.alpha_of(variant)[0], []).append(variant)
  rows = {
    family: sorted(members, key=lambda v: float(curves.alpha_of(v)[1] or 0))
    for family, members in families.items()
    if len(members) > 1
  }
  alone = [m[0] for m in families.values() if len(m) == 1]
  return rows | ({'': alone} if alone else {})


def training(made: Mapping[str, Mapping[str, curves.Learning]]):
  """Figure of `learning`: a row a family, a shade an alpha."""
  rows = _rows(list(made))
  figure, grid = plt.subplots(
    len(rows),
    len(curves.TRAINED),
    figsize=(10, 2.3 * len(rows) + 0.6),
    squeeze=False,
    sharex=True,
    layout='constrained',
  )
  for line, (family, variants) in zip(grid, rows.items(), strict=True):
    looks = styles([curves.alpha_of(variant)[0] for variant in variants])
    shades = plt.get_cmap('viridis')(np.linspace(0, 0.85, len(variants)))
    for axes, name in zip(line, curves.TRAINED, strict=True):
      for variant, shade in zip(variants, shades, strict=True):
        if name not in made[variant]:
          continue
        rounds, values = made[variant][name]
        own, alpha = curves.alpha_of(variant)
        colour = shade if family else looks[own]['color']
        dashes = '-' if family else looks[own]['ls']
        label = f'alpha {alpha}' if family and alpha else variant
        axes.plot(rounds, values.mean(0), dashes, color=colour, label=label)
        axes.fill_between(
          rounds, values.min(0), values.max(0), color=colour, alpha=0.18, lw=0
        )
      if name == 'accuracy':
        axes.set_ylim(-0.03, 1.03)
      if name == 'nfe':
        axes.set_ylim(bottom=0)
      plots_lib.style(axes)
    line[0].set_ylabel(family, weight='bold')
    line[-1].legend(
      frameon=False, loc='center left', bbox_to_anchor=(1.0, 0.5), fontsize=8
    )
  for axes, title in zip(grid[0], curves.TRAINED.values(), strict=True):
    axes.set_title(title, size=10)
  for axes in grid[-1]:
    axes.set_xlabel('round')
  return figure


def draw(workdir: pathlib.Path) -> list[pathlib.Path]:
  """All figures of a run or sweep; returns their paths."""
  runs = curves.gather(workdir)
  folder = workdir / 'figures'
  panels = curves.panels(runs)
  made = {'pareto': pareto(panels)}
  if len(panels) > 1:
    made['front'] = front(panels)
  hard = curves.panels(runs, 'hard')
  if hard:
    made['hard'] = pareto(hard, 'share right of the hard records')
  learnt = curves.learning(runs)
  if learnt:
    made['training'] = training(learnt)
  seen = written.gather(runs)
  in_words = bool(seen) and seen[0].words
  if seen:
    made['frames'] = (passages.figure if in_words else orders.frames)(seen)
  paths = [
    plots_lib.finish(figure, folder / f'{name}.png')
    for name, figure in made.items()
  ]
  if seen and not in_words:
    paths.append(orders.animation(seen, folder / 'animation.gif'))
  return paths


def show(workdir: pathlib.Path, *, colour: bool) -> str:
  """What to print in a terminal after the figures."""
  seen = written.gather(curves.gather(workdir))
  if not seen:
    return 'No order was kept; set --config.sampling.frames above 0.'
  told = passages.text if seen[0].words else orders.text
  return told(seen, colour=colour)
