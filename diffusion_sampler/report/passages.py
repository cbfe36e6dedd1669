"""The order in which a text was written: words in the colour of their pass.

Lines are broken between tokens; what was given is grey. Each record shows what
stands before, the text as it is where that is known, and what samplers wrote.

Shapes: F records, L answer positions, P prompt positions.
"""

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib import patches

from diffusion_sampler.report import orders as strips_lib
from diffusion_sampler.report import written

# Characters a line, and of the labels beside them.
LINE, MARGIN = 84, 28
_POINTS = 8
# Of a monospaced letter, in points; lines and their distance.
_WIDE, _HIGH = 0.602 * _POINTS, 1.75 * _POINTS
_DIGITS = str.maketrans('0123456789', '₀₁₂₃₄₅₆₇₈₉')


class Token(NamedTuple):
  """A token in its place: `row` and `column` of its first letter."""

  row: int
  column: int
  text: str
  order: int


class Row(NamedTuple):
  """What one label stands beside; `verdict` is '' where none is passed."""

  label: str
  verdict: str
  tokens: list[Token]

  @property
  def labels(self) -> list[str]:
    """Label and verdict in lines of the margin."""
    wrapped = textwrap.wrap(self.label, MARGIN)[:2]
    return [*wrapped, self.verdict] if self.verdict else wrapped

  @property
  def lines(self) -> int:
    """How high it is."""
    last = max((token.row for token in self.tokens), default=0)
    return max(last + 1, len(self.labels))


def _shown(piece: str) -> str:
  return piece.replace('\n', '↵').replace('\t', ' ')


def flow(pieces: Sequence[str], orders: Sequence[int]) -> list[Token]:
  """Lays tokens out; a space that would begin a line is left out."""
  out, row, column = [], 0, 0
  for piece, order in zip(pieces, orders, strict=True):
    text = _shown(piece)
    if order == written.BEHIND:
      continue
    if order == written.UNWRITTEN:
      text = ' _'
    if column and column + len(text) > LINE:
      row, column = row + 1, 0
    text = text[: LINE - column] if column else text.lstrip(' ')[:LINE]
    out.append(Token(row, column, text, int(order)))
    column += len(text)
  return out


def rows(strips: Sequence[written.Strip], record: int) -> Iterator[Row]:
  """What is before, the text as it is, and each sampler's."""
  first = strips[0]
  given = [written.GIVEN] * max(first.prompt.shape[1], first.target.shape[1])
  before = [str(piece) for piece in first.prompt[record] if piece]
  yield Row('before it', '', flow(before, given[: len(before)]))
  if first.target.shape[1]:
    target = first.target[record]
    yield Row('the text', '', flow(target, given[: len(target)]))
  for strip in strips:
    tokens = flow(strip.answer[record], strip.order[record])
    yield Row(strip.label, strip.verdict(record), tokens)


def figure(strips: Sequence[written.Strip]):
  """Figure: records from top to bottom, a block of lines a sampler."""
  records = len(strips[0].order)
  blocks = [list(rows(strips, record)) for record in range(records)]
  # Half a line between rows, one more between records.
  high = sum(r.lines + 0.5 for block in blocks for r in block) + records
  inner = (MARGIN + LINE) * _WIDE / 72
  width = inner + 1.0
  fig, axes = plt.subplots(figsize=(width, high * _HIGH / 72 + 0.2))
  fig.subplots_adjust(0, 0, 1, 1)
  axes.set_xlim(-MARGIN, LINE + 1.0 * 72 / _WIDE)
  axes.set_ylim(high + 0.1, -0.1)
  axes.axis('off')
  norm = strips_lib.norm_of(strips_lib.most_passes(strips))
  font = dict(family='DejaVu Sans Mono', size=_POINTS, va='center')
  y = 0.5
  for block in blocks:
    for row in block:
      for i, line in enumerate(row.labels):
        axes.text(-MARGIN + 1, y + i, line, **font | dict(size=7, color='0.3'))
      for token in row.tokens:
        at = y + token.row
        if token.order >= 0:
          shade = strips_lib.PASSES(norm(token.order + 1))
          box = (token.column, at - 0.45), len(token.text), 0.9
          axes.add_patch(patches.Rectangle(*box, fc=shade, ec='white', lw=0.5))
        colour = '0.5' if token.order < 0 else 'black'
        axes.text(token.column, at, token.text, color=colour, **font)
      y += row.lines + 0.5
    axes.axhline(y - 0.25, 0.01, inner / width, color='0.8', lw=0.5)
    y += 1
  inset = axes.inset_axes((1 - 0.75 / width, 0.1, 0.02, 0.8))
  inset.axis('off')
  strips_lib.colour_bar(fig, inset, norm, fraction=1.0, aspect=30)
  return fig


def text(
  strips: Sequence[written.Strip], *, colour: bool, records: int = 2
) -> str:
  """Some passages of two samplers, the pass behind each token."""
  both = written.pair(strips)
  most = strips_lib.most_passes(both)
  out = ['Behind each token the pass that wrote it; _ was never written']
  for record in range(min(records, len(both[0].order))):
    block = [f'record {record + 1}']
    for row in rows(both, record):
      block.append(': '.join(filter(None, (row.label, row.verdict))))
      for _, line in itertools.groupby(row.tokens, lambda token: token.row):
        block.append('  ' + ''.join(_coloured(t, colour, most) for t in line))
    out.append('\n'.join(block))
  return '\n\n'.join(out)


def _coloured(token: Token, colour: bool, most: int) -> str:
  if token.order < 0:
    return token.text
  plain = token.text + str(token.order + 1).translate(_DIGITS)
  return strips_lib.ansi(plain, token.order, most) if colour else plain
