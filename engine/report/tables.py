"""Tables: as text on a terminal, and in Markdown from docs/results; no JAX."""

import pathlib
import re
import statistics
from collections.abc import Mapping, Sequence

from engine.runs import writer

_TABLE = re.compile(
  r'(<!-- table (\S+) (\S+)(?: (\S+))? -->\n).*?(<!-- end table -->)', re.DOTALL
)


def _cell(value) -> str:
  if isinstance(value, list):
    mean, low, high = value
    return f'{mean:.3f} ({low:.3f} to {high:.3f})'
  return f'{value:.3f}' if isinstance(value, float) else str(value)


def markdown(path: pathlib.Path, keys: list[str], rows: str = '.*') -> str:
  """A table with a row a variant and a column a key, from a results file.

  Args:
    path: of the results.
    keys: what follows a row's name and a slash; they may have slashes too.
    rows: a pattern of the names of rows that are shown.
  """
  results = writer.read_json(path)['results']
  names = list(
    dict.fromkeys(
      name.removesuffix(f'/{keys[0]}')
      for name in results
      if name.endswith(f'/{keys[0]}')
      and re.fullmatch(rows, name.removesuffix(f'/{keys[0]}'))
    )
  )
  lines = [
    '| | ' + ' | '.join(key.replace('_', ' ') for key in keys) + ' |',
    '|---|' + '---|' * len(keys),
  ]
  for name in names:
    cells = [_cell(results[f'{name}/{key}']) for key in keys]
    lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
  return '\n'.join(lines) + '\n'


def text(rows: Sequence[Sequence[str]], *, right: bool = False) -> str:
  """Rows in columns that line up; with `right`, all but the first to the right.

  Args:
    rows: of equal length, the heading first.
    right: for numbers.
  """
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = []
  for first, *others in rows:
    cells = [
      cell.rjust(width) if right else cell.ljust(width)
      for cell, width in zip(others, widths[1:], strict=True)
    ]
    lines.append('  '.join([first.ljust(widths[0]), *cells]).rstrip())
  return '\n'.join(lines)


def of_runs(
  columns, summaries: Mapping[str, Sequence[Mapping]], *, right: bool = True
) -> str:
  """Means over seeds as a text table, a row a variant.

  Args:
    columns: (key, heading, format) of what to show; a dash where a variant
      has no such figure.
    summaries: of each variant, one a seed.
    right: see `text`.
  """
  rows = [['', *(heading for _, heading, _ in columns)]]
  for name, runs in summaries.items():
    row = [name]
    for key, _, form in columns:
      values = [run[key] for run in runs if key in run]
      row.append(format(statistics.fmean(values), form) if values else '-')
    rows.append(row)
  return text(rows, right=right)


def fill(text: str, root: pathlib.Path) -> str:
  """`text` with every `<!-- table file key,key [rows] -->` made anew."""

  def one(match):
    head, file, keys, rows, tail = match.groups()
    return head + markdown(root / file, keys.split(','), rows or '.*') + tail

  return _TABLE.sub(one, text)
