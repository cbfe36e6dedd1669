r"""Figures of a finished run or sweep, and the tables of the README.

python -m launch.plot --workdir=runs/lacy_wiki
python -m launch.plot --readme

Reads files and writes files; starts no JAX.
"""

import importlib
import json
import pathlib
import sys

from absl import flags

from engine.report import tables
from launch import cli

_WORKDIR = flags.DEFINE_string('workdir', '', 'a finished run or sweep')
_README = flags.DEFINE_bool('readme', False, 'make the tables of README.md')


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


def main() -> None:
  if _README.value:
    path = pathlib.Path('README.md')
    path.write_text(tables.fill(path.read_text(), pathlib.Path()))
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
