r"""Runs the variants of a config over seeds, and writes what came out.

python -m launch.sweep --config=configs/lacy/wiki.py \
  --out=docs/results/lacy_wiki.json

See launch/variants.py for how a config names them, and launch/elsewhere.py for
seeds that ran on other machines.
"""

import importlib
import json
import pathlib
import shlex
import sys

from absl import flags

from engine.runs import results
from launch import cli, elsewhere, setup, variants

_CONFIG = cli.define_config()
_WORKDIR = flags.DEFINE_string(
  'workdir', '', 'where the runs are written; runs/<area>_<config> if empty'
)
_OUT = flags.DEFINE_string('out', '', 'results file; none if empty')
_JOIN = flags.DEFINE_list('join', [], 'results files of seeds run elsewhere')


def main() -> None:
  config = _CONFIG.value
  if config is None or 'sweep' not in config:
    raise ValueError('--config must name a config that has a section `sweep`')
  source = flags.FLAGS['config'].config_filename
  workdir = pathlib.Path(_WORKDIR.value or variants.default_workdir(source))
  setup.compile_cache()
  others = elsewhere.read(_JOIN.value, config)
  if not (others or config.sweep.seeds):
    raise ValueError(
      'there must be a seed; give --config.sweep.seeds or --join'
    )
  here = variants.sweep(config, workdir) if config.sweep.seeds else {}
  summaries, seeds = elsewhere.join(here, config.sweep.seeds, others)
  module = importlib.import_module(config.experiment)
  claims = module.claims(summaries)
  print(variants.table(module.COLUMNS, summaries))
  for name, (mean, low, high) in claims.items():
    print(f'{name:<48} {mean:+.4f}  [{low:+.4f}, {high:+.4f}]')
  if _OUT.value:
    every = [run for runs in summaries.values() for run in runs]
    results.write(
      _OUT.value,
      variants.flatten(summaries)
      | {f'{elsewhere.CLAIMS}{k}': v for k, v in claims.items()},
      command=f'python -m launch.sweep {shlex.join(sys.argv[1:])}',
      seconds=sum(run['seconds_total'] for run in every),
      seeds=seeds,
      config=elsewhere.digest(config),
    )
  print(json.dumps({'workdir': str(workdir)}))


if __name__ == '__main__':
  cli.main(main)
