r"""Writes articles in a cascade with a real partner; says what is supported.

make demo-cascade, or, after `make demo`:
python -m launch.cascade --config=configs/lacy/cascade.py --workdir=runs/cascade

A table, a figure and the texts; with --out also a results file.
"""

import importlib
import pathlib
import sys

from absl import flags

from engine.runs import results
from launch import cli, setup, variants

_CONFIG = cli.define_config()
_WORKDIR = flags.DEFINE_string('workdir', '', 'where it is written')
_OUT = flags.DEFINE_string('out', '', 'results file; none if empty')


def main() -> None:
  config = _CONFIG.value
  if config is None or 'cascade' not in config:
    raise ValueError(
      '--config must name a config that has a section `cascade`, such as '
      'configs/lacy/cascade.py'
    )
  source = flags.FLAGS['config'].config_filename
  workdir = pathlib.Path(_WORKDIR.value or variants.default_workdir(source))
  setup.compile_cache()
  summary = setup.train(config.to_dict(), workdir)
  module = importlib.import_module(config.experiment)
  plots = importlib.import_module(f'{config.experiment.split(".")[0]}.plots')
  paths = plots.draw(workdir)
  print(plots.show(workdir, colour=sys.stdout.isatty()))
  print()
  print(variants.table(module.COLUMNS, module.rows(summary)))
  print()
  for path in paths:
    print(f'  {path}')
  if _OUT.value:
    results.write(
      _OUT.value,
      module.figures(summary),
      command=' '.join(['python -m launch.cascade', *sys.argv[1:]]),
      seconds=summary['seconds_total'],
      seeds=[config.run.seed],
    )


if __name__ == '__main__':
  cli.main(main)
