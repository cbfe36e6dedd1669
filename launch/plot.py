r"""Figures of a finished run or sweep, and the tables of the README.

python -m launch.plot --workdir=runs/lacy_wiki
python -m launch.plot --readme

Reads files and writes files; computes nothing. --readme is run in the folder
that holds README.md and docs/results.
"""

import pathlib

from absl import flags

from engine.report import tables
from engine.runs import finished, writer
from launch import cli, setup, show

_WORKDIR = flags.DEFINE_string('workdir', '', 'a finished run or sweep')
_README = flags.DEFINE_bool('readme', False, 'make the tables of README.md')


def main() -> None:
  if _README.value:
    path = pathlib.Path('README.md')
    if not path.exists():
      raise FileNotFoundError(
        '--readme makes the tables of README.md from docs/results, and there '
        'is no README.md here; run it in the root of a checkout'
      )
    text = tables.fill(path.read_text(), pathlib.Path())
    with writer.replace(path) as temporary:
      temporary.write_text(text)
    return
  if not _WORKDIR.value:
    raise ValueError('--workdir must name a finished run, or give --readme')
  workdir = pathlib.Path(_WORKDIR.value)
  first = next(iter(finished.sweep_runs(workdir).values()))[0]
  config = finished.open_run(first).config
  show.figures(setup.ask(config).experiment.figures, workdir)


if __name__ == '__main__':
  cli.main(main, keep_memory=False)
