"""The order in which answers were written: as strips, as a film, as text.

What is drawn is a `written.Strip`; texts in words are drawn by passages.py.

Shapes: F records, L answer positions.
"""

import itertools
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import animation as animation_lib
from matplotlib import cm, colors, patches, patheffects

from diffusion_sampler.report import written

# Light enough for what is written on it.
PASSES = colors.LinearSegmentedColormap.from_list(
  'passes', plt.get_cmap('YlGnBu')(np.linspace(0.05, 0.6, 64))
)
_WRONG = '#C00000'
_HALO = patheffects.withStroke(linewidth=2, foreground='white')
# The same in 256 colours of a terminal.
_ANSI = (230, 229, 193, 157, 121, 85, 79, 80, 74, 68)
_RED, _PLAIN = '\033[1;31m', '\033[0m'


def _draw(
  axes, strip: written.Strip, record: int, y: int, *, norm, width, after=None
):
  """Cells of one answer from row `y` downwards, `width` of them a row.

  Args:
    axes: with y pointing down.
    strip: what was written.
    record: of the strip.
    y: the first row.
    norm: of the passes that the colours mean.
    width: cells a row.
    after: draws what is written after so many passes; None: after all.
  """
  after = strip.passes[record] if after is None else after
  done = after >= strip.passes[record]
  for i, order in enumerate(strip.order[record]):
    x, row = i % width, y + i // width
    look: dict[str, Any] = dict(facecolor='white', edgecolor='0.75')
    text = ''
    if order >= -1 and order < after:
      text = strip.answer[record, i]
      shade = PASSES(norm(order + 1)) if order >= 0 else '0.9'
      look = dict(facecolor=shade, edgecolor='0.75')
    elif order == written.BEHIND and done:
      look = dict(facecolor='0.93', edgecolor='0.7', hatch='////')
    cell = patches.Rectangle((x - 0.5, row - 0.4), 1, 0.8, lw=0.5, **look)
    axes.add_patch(cell)
    if order == written.UNWRITTEN and done:
      axes.plot(x, row, 'x', color='0.4', ms=5)
    wrong = strip.wrong[record, i]
    axes.text(
      x,
      row,
      text,
      ha='center',
      va='center_baseline',
      size=7,
      color=_WRONG if wrong else 'black',
      weight='bold' if wrong else 'normal',
      path_effects=[_HALO] if wrong else None,
    )


def _bare(axes, width: int, rows: int) -> None:
  axes.set_xlim(-0.6, width - 0.4)
  axes.set_ylim(rows - 0.4, -0.6)
  axes.spines[:].set_visible(False)
  axes.tick_params(length=0, labelsize=7)


def colour_bar(figure, axes, norm, **place) -> None:
  """Which colour is which pass."""
  most = int(norm.vmax)
  ticks = range(1, most + 1)
  if most > 8:
    ticks = [1, 2, 3, *range(5, most - 2, 5), most]
  colours = cm.ScalarMappable(norm, PASSES)
  bar = figure.colorbar(colours, ax=axes, ticks=ticks, **place)
  bar.set_label('pass that wrote it', size=8)
  bar.ax.tick_params(labelsize=7)


def _legend(figure, axes, norm, strips: Sequence[written.Strip]) -> None:
  """The colours of passes, and what else a cell may be."""
  colour_bar(figure, axes, norm, shrink=0.7, aspect=30, pad=0.01)
  orders = np.concatenate([strip.order.ravel() for strip in strips])
  handles = []
  if any((strip.answer == written.END).any() for strip in strips):
    handles.append(
      plt.Line2D(
        [], [], ls='', marker=f'$\\mathrm{{{written.END}}}$', color='black'
      )
    )
    handles[-1].set_label('end of the answer')
  if any(strip.wrong.any() for strip in strips):
    handles.append(plt.Line2D([], [], ls='', marker='$8$', color=_WRONG))
    handles[-1].set_label('wrong token')
  if (orders == written.BEHIND).any():
    handles.append(
      patches.Patch(fc='0.93', ec='0.7', hatch='////', label='behind the end')
    )
  if (orders == written.UNWRITTEN).any():
    handles.append(plt.Line2D([], [], ls='', marker='x', color='0.4'))
    handles[-1].set_label('never written')
  if handles:
    figure.legend(
      handles=handles,
      loc='outside lower center',
      ncols=4,
      frameon=False,
      fontsize=8,
    )


def most_passes(strips: Sequence[written.Strip]) -> int:
  return max(int(strip.passes.max()) for strip in strips)


def norm_of(most: int) -> colors.Normalize:
  """Tells the first passes apart, however many there are."""
  return colors.PowerNorm(0.5, vmin=1, vmax=max(most, 2))


def frames(strips: Sequence[written.Strip]):
  """Figure: a panel a sampler, in it a row a record, positions along x."""
  records, length = strips[0].order.shape
  columns = max(1, min(len(strips), 45 // length))
  rows = -(-len(strips) // columns)
  figure, grid = plt.subplots(
    rows,
    columns,
    figsize=(
      columns * (0.24 * length + 1.6) + 0.8,
      rows * (0.3 * records + 0.5) + 0.4,
    ),
    squeeze=False,
    layout='constrained',
  )
  for axes in grid.flat[len(strips) :]:
    axes.remove()
  used = list(grid.flat[: len(strips)])
  norm = norm_of(most_passes(strips))
  for axes, strip in zip(used, strips, strict=True):
    for record in range(records):
      _draw(axes, strip, record, record, norm=norm, width=length)
      verdict = strip.verdict(record)
      axes.text(length - 0.3, record, verdict, va='center', size=7)
    _bare(axes, length, records)
    axes.set_title(strip.label, size=9, loc='left')
    labels = [f'level {level}' for level in strip.level]
    axes.set_yticks(range(records), labels)
    axes.set_xticks(range(0, length, 4), range(1, length + 1, 4))
  for axes in used[-columns:]:
    axes.set_xlabel('position', size=8)
  _legend(figure, used, norm, strips)
  return figure


def _width(length: int) -> int:
  """Cells a row of the film: a square where it is one, else eight."""
  root = math.isqrt(length)
  return root if root * root == length else min(length, 8)


def animation(
  strips: Sequence[written.Strip], path: pathlib.Path
) -> pathlib.Path:
  """Writes a GIF of two samplers on the hardest record, a frame a pass.

  The first frame is the blank answer.
  """
  both = written.pair(strips)
  record = int(np.argmax(both[0].level))
  length = both[0].order.shape[1]
  width = _width(length)
  rows = -(-length // width)
  passes = [int(strip.passes[record]) for strip in both]
  norm = norm_of(max(passes))
  figure, grid = plt.subplots(
    1,
    len(both),
    figsize=(len(both) * max(0.36 * width, 2.8) + 0.3, 0.36 * rows + 0.7),
    squeeze=False,
    layout='constrained',
  )

  def update(after):
    for axes, strip, count in zip(grid[0], both, passes, strict=True):
      axes.clear()
      _draw(axes, strip, record, 0, norm=norm, width=width, after=after)
      _bare(axes, width, rows)
      axes.set_aspect('equal')
      axes.set_xticks([])
      axes.set_yticks([])
      done = ''
      if after >= count:
        done = ', right' if strip.right[record] else ', wrong'
      at = f'after {min(after, count)} of {count} passes{done}'
      axes.set_title(f'{strip.label}\n{at}', size=8)

  # Laid out once, with the longest titles: a film must not tremble.
  last = max(passes)
  update(last)
  figure.draw_without_rendering()
  figure.set_layout_engine('none')
  film = animation_lib.FuncAnimation(
    figure,
    update,
    frames=[*range(last), *[last] * 5],  # time to look at it
    init_func=lambda: None,
  )
  path.parent.mkdir(parents=True, exist_ok=True)
  film.save(path, writer=animation_lib.PillowWriter(fps=2), dpi=110)
  plt.close(figure)
  return path


LEGEND = (
  'Above each token the pass that wrote it; ! is wrong, E ends the answer, '
  '. lies behind the end, _ was never written'
)


def _cells(strip: written.Strip, record: int) -> tuple[list[str], list[str]]:
  """Passes and tokens of an answer, as text."""
  passes, tokens = [], []
  for order, token, wrong in zip(
    strip.order[record], strip.answer[record], strip.wrong[record], strict=True
  ):
    passes.append(str(order + 1) if order >= 0 else '')
    if order in (written.UNWRITTEN, written.BEHIND):
      tokens.append('_' if order == written.UNWRITTEN else '.')
    else:
      tokens.append(f'{token}{"!" * bool(wrong)}')
  return passes, tokens


def ansi(text: str, order: int, most: int, more: str = '') -> str:
  """In the terminal's colour of a pass, if written; `more` codes with it."""
  style = more
  if order >= 0:
    at = order * (len(_ANSI) - 1) // max(most - 1, 1)
    style = f'\033[30;48;5;{_ANSI[at]}m{more}'
  return f'{style}{text}{_PLAIN}' if style else text


def _coloured(strip: written.Strip, record: int, most: int, cells: list[str]):
  columns = strip.order[record], strip.wrong[record], cells
  return [
    ansi(cell, int(order), most, _RED if wrong else '')
    for order, wrong, cell in zip(*columns, strict=True)
  ]


def text(
  strips: Sequence[written.Strip], *, colour: bool, records: int = 2
) -> str:
  """Some answers of two samplers, the pass above each token."""
  both = written.pair(strips)
  most = most_passes(both)
  blocks = [LEGEND]
  for record in range(min(records, len(both[0].order))):
    made = [_cells(strip, record) for strip in both]
    target = list(both[0].target[record])
    rows = [target, *itertools.chain.from_iterable(made)]
    width = max(len(cell) for row in rows for cell in row) + 1

    def line(head, cells, width=width):
      return f'{head:7}' + ''.join(cell.rjust(width) for cell in cells)

    blocks.append(
      f'record {record + 1}, level {both[0].level[record]}\n'
      + line('wanted', target)
    )
    for strip, (passes, tokens) in zip(both, made, strict=True):
      padded = [cell.rjust(width) for cell in tokens]
      if colour:
        padded = _coloured(strip, record, most, padded)
      blocks[-1] += (
        f'\n{strip.label}: {strip.verdict(record)}\n'
        f'{line("pass", passes)}\n{line("token", padded)}'
      )
  return '\n\n'.join(blocks)
