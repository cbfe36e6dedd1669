r"""Runs the variants of a config over seeds, and shows what came out.

python -m launch.sweep --config=configs/lacy/wiki.py \
  --out=docs/results/lacy_wiki.json

Prints a table, the claims, where the time went, and draws the figures. See
launch/variants.py for how a config names its variants, and launch/elsewhere.py
for seeds that ran on other machines.
"""

import json
import pathlib
import shlex
import sys

from absl import flags

from engine.report import claims as claims_lib
from engine.report import tables
from engine.runs import results
from launch import cli, elsewhere, setup, show, variants

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
  exp = setup.ask(config.to_dict()).experiment
  clock, here = show.Clock(), {}
  if config.sweep.seeds:
    for stage, prepare in exp.prepare.items():
      prepare()
      clock.lap(stage)
    here = variants.sweep(config, workdir)
    clock.runs(here)
  summaries, seeds = elsewhere.join(here, config.sweep.seeds, others)
  claims = exp.claims(summaries) if exp.claims else {}
  if _OUT.value:
    every = [run for runs in summaries.values() for run in runs]
    results.write(
      _OUT.value,
      claims_lib.flatten(summaries)
      | {f'{elsewhere.CLAIMS}{k}': v for k, v in claims.items()},
      command=f'python -m launch.sweep {shlex.join(sys.argv[1:])}',
      seconds=sum(run['seconds_total'] for run in every),
      seeds=seeds,
      config=elsewhere.digest(config),
    )
  if here:
    show.figures(exp.figures, workdir)
    clock.lap('figures')
  print(tables.of_runs(exp.columns, summaries))
  for name, (mean, low, high) in claims.items():
    print(f'{name:<48} {mean:+.4f}  [{low:+.4f}, {high:+.4f}]')
  if exp.note:
    print(f'\n{exp.note}')
  if here:
    print(f'\n{clock}')
  print(json.dumps({'workdir': str(workdir)}))


if __name__ == '__main__':
  cli.main(main)
