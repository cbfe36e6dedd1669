"""Tables in Markdown files, made from docs/results; no JAX."""

import json
import pathlib
import re

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
  results = json.loads(path.read_text())['results']
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


def fill(text: str, root: pathlib.Path) -> str:
  """`text` with every `<!-- table file key,key [rows] -->` made anew."""

  def one(match):
    head, file, keys, rows, tail = match.groups()
    return head + markdown(root / file, keys.split(','), rows or '.*') + tail

  return _TABLE.sub(one, text)
