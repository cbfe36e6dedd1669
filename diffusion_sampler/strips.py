"""The order in which answers were written: as strips, as a film, as text.

Passes are counted from 1 here, so that the last one is the number of passes.

Shapes: F records, L answer positions.
"""

import itertools
import math
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import animation as animation_lib
from matplotlib import cm, colors, patches, patheffects

from diffusion_sampler import claims

# As canvas.py has them.
UNWRITTEN, BEHIND = -2, -3
END = 'E'
# One column of each, the first that was measured.
COLUMNS = (
  ('threshold', 'factor', 'klass', 'entropy_bounded'),
  ('random', 'ancestral'),
  ('left_to_right', 'top_k'),
  ('policy',),
)
# Light enough for what is written on it.
_PASSES = colors.LinearSegmentedColormap.from_list(
  'passes', plt.get_cmap('YlGnBu')(np.linspace(0.05, 0.6, 64))
)
_WRONG = '#C00000'
_HALO = patheffects.withStroke(linewidth=2, foreground='white')
# The same in 256 colours of a terminal.
_ANSI = (230, 229, 193, 157, 121, 85, 79, 80, 74, 68)
_RED, _PLAIN = '\033[1;31m', '\033[0m'


class Strip(NamedTuple):
  """What one sampler did.

  Attributes:
    label: the sampler, or the variant of a policy.
    order: pass of writing from 0, -1 given, -2 never, -3 behind the end.
    answer: tokens as text, END where they end an answer.
    wrong: not the target's token, up to the target's end; nowhere in an answer
      that is right in another way.
    passes: spent.
    right: whole answers.
    target: tokens wanted, as text.
    level: of the records.
  """

  label: str
  order: np.ndarray  # [F, L], as are answer, wrong and target
  answer: np.ndarray
  wrong: np.ndarray
  passes: np.ndarray  # [F], as are right and level
  right: np.ndarray
  target: np.ndarray
  level: np.ndarray


def _strips(run) -> list[tuple[int, str, Strip]]:
  """Block length, family and strip of every sampler of a run."""
  path = run.folders[0] / 'evals' / 'test-final.npz'
  if not path.exists():
    return []
  with np.load(path) as file:
    made = dict(file)
  # Questions in words have no one answer to compare with.
  count = len(made.get('targets', ()))
  if not count:
    return []

  def spelled(tokens):
    return np.where(tokens == run.eos_id, END, tokens.astype(str))

  # Nothing behind the first end of the target counts.
  target = spelled(made['targets'])
  end = target == END
  counts = np.cumsum(end, -1) - end == 0
  out = []
  for i, name in enumerate(map(str, made['names'])):
    sampler, _, block = name.rpartition('@')
    family = claims.family(sampler)
    order, right = made['order'][i], made['correct'][i, :count]
    differs = (made['answers'][i] != made['targets']) & (order >= -1)
    strip = Strip(
      label=run.variant if family == 'policy' else sampler,
      order=order,
      answer=spelled(made['answers'][i]),
      wrong=differs & counts & ~right[:, None],
      passes=made['passes'][i, :count],
      right=right,
      target=target,
      level=made['level'][:count],
    )
    out.append((int(block), family.partition(' ')[0], strip))
  return out


def gather(runs: Sequence[Any]) -> list[Strip]:
  """Up to four samplers that differ in kind; empty where no order was kept.

  Args:
    runs: as `curves.gather` returns: of the first world, and in it of the
      longest blocks, where an order is freest.
  """
  found = [
    strip
    for run in runs
    if run.world == runs[0].world
    for strip in _strips(run)
  ]
  longest = max((block for block, _, _ in found), default=0)
  found = [(kind, strip) for block, kind, strip in found if block == longest]
  picked = [
    next((strip for kind, strip in found if kind in kinds), None)
    for kinds in COLUMNS
  ]
  picked = [strip for strip in picked if strip is not None]
  picked = picked or [strip for _, strip in found[:4]]
  # Runs may have kept more records or fewer, all of them the first ones.
  least = min((len(strip.order) for strip in picked), default=0)
  return [Strip(s.label, *(field[:least] for field in s[1:])) for s in picked]


def pair(strips: Sequence[Strip]) -> list[Strip]:
  """The two to compare closely: the first and the last, a policy if any."""
  return [strips[0], strips[-1]] if len(strips) > 1 else list(strips)


def _draw(axes, strip: Strip, record: int, y: int, *, norm, width, after=None):
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
      shade = _PASSES(norm(order + 1)) if order >= 0 else '0.9'
      look = dict(facecolor=shade, edgecolor='0.75')
    elif order == BEHIND and done:
      look = dict(facecolor='0.93', edgecolor='0.7', hatch='////')
    cell = patches.Rectangle((x - 0.5, row - 0.4), 1, 0.8, lw=0.5, **look)
    axes.add_patch(cell)
    if order == UNWRITTEN and done:
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


def _legend(figure, axes, norm, strips: Sequence[Strip]) -> None:
  """The colours of passes, and what else a cell may be."""
  most = int(norm.vmax)
  ticks = range(1, most + 1)
  if most > 8:
    ticks = [1, 2, 3, *range(5, most - 2, 5), most]
  bar = figure.colorbar(
    cm.ScalarMappable(norm, _PASSES),
    ax=axes,
    shrink=0.7,
    aspect=30,
    pad=0.01,
    ticks=ticks,
  )
  bar.set_label('pass that wrote it', size=8)
  bar.ax.tick_params(labelsize=7)
  orders = np.concatenate([strip.order.ravel() for strip in strips])
  handles = []
  if any((strip.answer == END).any() for strip in strips):
    handles.append(
      plt.Line2D([], [], ls='', marker=f'$\\mathrm{{{END}}}$', color='black')
    )
    handles[-1].set_label('end of the answer')
  if any(strip.wrong.any() for strip in strips):
    handles.append(plt.Line2D([], [], ls='', marker='$8$', color=_WRONG))
    handles[-1].set_label('wrong token')
  if (orders == BEHIND).any():
    handles.append(
      patches.Patch(fc='0.93', ec='0.7', hatch='////', label='behind the end')
    )
  if (orders == UNWRITTEN).any():
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


def _verdict(strip: Strip, record: int) -> str:
  count = int(strip.passes[record])
  right = 'right' if strip.right[record] else 'wrong'
  return f'{count} pass{"es" * (count != 1)}, {right}'


def _most(strips: Sequence[Strip]) -> int:
  return max(int(strip.passes.max()) for strip in strips)


def _norm(most: int) -> colors.Normalize:
  """Tells the first passes apart, however many there are."""
  return colors.PowerNorm(0.5, vmin=1, vmax=max(most, 2))


def frames(strips: Sequence[Strip]):
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
  norm = _norm(_most(strips))
  for axes, strip in zip(used, strips, strict=True):
    for record in range(records):
      _draw(axes, strip, record, record, norm=norm, width=length)
      verdict = _verdict(strip, record)
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


def animation(strips: Sequence[Strip], path: pathlib.Path) -> pathlib.Path:
  """Writes a GIF of two samplers on the hardest record, a frame a pass.

  The first frame is the blank answer.
  """
  both = pair(strips)
  record = int(np.argmax(both[0].level))
  length = both[0].order.shape[1]
  width = _width(length)
  rows = -(-length // width)
  passes = [int(strip.passes[record]) for strip in both]
  norm = _norm(max(passes))
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


def _cells(strip: Strip, record: int) -> tuple[list[str], list[str]]:
  """Passes and tokens of an answer, as text."""
  passes, tokens = [], []
  for order, token, wrong in zip(
    strip.order[record], strip.answer[record], strip.wrong[record], strict=True
  ):
    passes.append(str(order + 1) if order >= 0 else '')
    if order in (UNWRITTEN, BEHIND):
      tokens.append('_' if order == UNWRITTEN else '.')
    else:
      tokens.append(f'{token}{"!" * bool(wrong)}')
  return passes, tokens


def _coloured(strip: Strip, record: int, most: int, cells: list[str]):
  out = []
  for order, wrong, cell in zip(
    strip.order[record], strip.wrong[record], cells, strict=True
  ):
    style = ''
    if order >= 0:
      at = int(order) * (len(_ANSI) - 1) // max(most - 1, 1)
      style = f'\033[30;48;5;{_ANSI[at]}m'
    style += _RED if wrong else ''
    out.append(f'{style}{cell}{_PLAIN}' if style else cell)
  return out


def text(strips: Sequence[Strip], *, colour: bool, records: int = 2) -> str:
  """Some answers of two samplers, the pass above each token."""
  if not strips:
    return 'No order was kept; set --config.sampling.frames above 0.'
  both = pair(strips)
  most = _most(both)
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
        f'\n{strip.label}: {_verdict(strip, record)}\n'
        f'{line("pass", passes)}\n{line("token", padded)}'
      )
  return '\n\n'.join(blocks)
