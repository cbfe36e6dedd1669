r"""Figures of a finished run or sweep, and the tables of the README.

python -m launch.plot --workdir=runs/lacy_wiki
python -m launch.plot --readme

Reads files and writes files; starts no JAX.
"""

import importlib
import json
import pathlib
import re
import sys

from absl import flags

from launch import cli

_WORKDIR = flags.DEFINE_string('workdir', '', 'a finished run or sweep')
_README = flags.DEFINE_bool('readme', False, 'make the tables of README.md')

_TABLE = re.compile(
  r'(<!-- table (\S+) (\S+) -->\n).*?(<!-- end table -->)', re.DOTALL
)


def area_of(workdir: pathlib.Path) -> str:
  """The package whose experiment was run there.

  Raises:
    FileNotFoundError: neither a run nor a sweep.
  """
  for name in ('sweep.json', 'config.json'):
    path = workdir / name
    if path.exists():
      return json.loads(path.read_text())['experiment'].partition('.')[0]
  raise FileNotFoundError(
    f'{workdir} must hold a run or a sweep, but has neither config.json nor '
    'sweep.json; give the folder that launch.train or launch.sweep wrote'
  )


def _cell(value) -> str:
  if isinstance(value, list):
    mean, low, high = value
    return f'{mean:.3f} ({low:.3f} to {high:.3f})'
  return f'{value:.3f}' if isinstance(value, float) else str(value)


def markdown(path: pathlib.Path, keys: list[str]) -> str:
  """A table with a row a variant and a column a key, from a results file."""
  results = json.loads(path.read_text())['results']
  names = list(
    dict.fromkeys(
      name.rpartition('/')[0]
      for name in results
      if name.rpartition('/')[2] == keys[0]
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


def fill_tables(text: str, root: pathlib.Path) -> str:
  """`text` with every `<!-- table file key,key -->` block made anew."""

  def fill(match):
    head, file, keys, tail = match.groups()
    return head + markdown(root / file, keys.split(',')) + tail

  return _TABLE.sub(fill, text)


def main() -> None:
  if _README.value:
    path = pathlib.Path('README.md')
    path.write_text(fill_tables(path.read_text(), pathlib.Path()))
    return
  if not _WORKDIR.value:
    raise ValueError('--workdir must name a finished run, or give --readme')
  workdir = pathlib.Path(_WORKDIR.value)
  plots = importlib.import_module(f'{area_of(workdir)}.plots')
  for path in plots.draw(workdir):
    print(path)
  print(plots.show(workdir, colour=sys.stdout.isatty()))


if __name__ == '__main__':
  cli.main(main)
