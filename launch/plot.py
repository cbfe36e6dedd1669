r"""Figures of a finished run or sweep, and the tables of the README.

python -m launch.plot --workdir=runs/lacy_wiki
python -m launch.plot --readme

Reads files and writes files; computes nothing. --readme is run in the folder
that holds README.md and docs/results.
"""

import json
import pathlib

from absl import flags

from engine.report import tables
from launch import cli, setup, show

_WORKDIR = flags.DEFINE_string('workdir', '', 'a finished run or sweep')
_README = flags.DEFINE_bool('readme', False, 'make the tables of README.md')


def config_of(workdir: pathlib.Path) -> dict:
  """The config of a run, or of the first run of a sweep.

  Raises:
    FileNotFoundError: neither a run nor a sweep.
  """
  folder = workdir
  sweep = workdir / 'sweep.json'
  if sweep.exists():
    made = json.loads(sweep.read_text())
    name, seed = made['variants'][0], made['seeds'][0]
    folder = workdir / f'{name.replace(":", "-")}-{seed}'
  path = folder / 'config.json'
  if not path.exists():
    raise FileNotFoundError(
      f'{workdir} must hold a run or a sweep, but has neither config.json nor '
      'sweep.json; give the folder that launch.train or launch.sweep wrote'
    )
  return json.loads(path.read_text())


def main() -> None:
  if _README.value:
    path = pathlib.Path('README.md')
    if not path.exists():
      raise FileNotFoundError(
        '--readme makes the tables of README.md from docs/results, and there '
        'is no README.md here; run it in the root of a checkout'
      )
    text = tables.fill(path.read_text(), pathlib.Path())
    path.write_text(text)
    return
  if not _WORKDIR.value:
    raise ValueError('--workdir must name a finished run, or give --readme')
  workdir = pathlib.Path(_WORKDIR.value)
  show.figures(setup.ask(config_of(workdir)).experiment.figures, workdir)


if __name__ == '__main__':
  cli.main(main)
