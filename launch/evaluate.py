r"""Evaluates: the checkpoint of a run, or an experiment that has no training.

python -m launch.evaluate --workdir=runs/x
python -m launch.evaluate --workdir=runs/x \
  --config=configs/lacy/wiki.py --config.lacy.beta=0.3
python -m launch.evaluate --config=configs/lacy/cascade.py \
  --workdir=runs/cascade --out=docs/results/lacy_cascade.json

Without --config the run's own is taken. A config whose model differs from the
checkpoint's is refused. An experiment without training also shows its figures.
"""

import json
import pathlib
import shlex
import sys

import jax
from absl import flags

from engine import evaluation
from engine.report import tables
from engine.runs import results, writer
from launch import cli, setup, show, variants

_CONFIG = cli.define_config()
_WORKDIR = flags.DEFINE_string(
  'workdir', '', 'the run to evaluate; runs/<area>_<config> if empty'
)
_OUT = flags.DEFINE_string(
  'out', '', 'results file of an experiment without training; none if empty'
)


def main() -> None:
  config = _CONFIG.value
  if config is None and not _WORKDIR.value:
    raise ValueError('--workdir must name a folder')
  if _WORKDIR.value:
    workdir = pathlib.Path(_WORKDIR.value)
  else:
    source = flags.FLAGS['config'].config_filename
    workdir = variants.default_workdir(source)
  if config is not None:
    cfg = config.to_dict()
  elif (workdir / 'config.json').exists():
    cfg = writer.read_json(workdir / 'config.json')
  else:
    raise ValueError(
      f'{workdir} holds no config.json; give --config, or the folder of a run'
    )
  setup.compile_cache()
  asked = setup.ask(cfg)
  exp = asked.experiment
  program = exp.open()
  if program.step is not None:
    if _OUT.value:
      raise ValueError(
        '--out is of experiments without training; launch.sweep writes the '
        'results of a run that trains'
      )
    summary = evaluation.evaluate(
      program, workdir, seed=asked.run.seed, mesh_config=asked.mesh
    )
  else:
    summary = setup.train(asked, workdir, program=program)
  if jax.process_index():
    return
  if program.step is None:
    if _OUT.value:
      results.write(
        _OUT.value,
        exp.results(summary) if exp.results else summary,
        command=f'python -m launch.evaluate {shlex.join(sys.argv[1:])}',
        seconds=summary['seconds_total'],
        seeds=[asked.run.seed],
      )
    show.figures(exp.figures, workdir)
    if exp.rows:
      print(tables.of_runs(exp.columns, exp.rows(summary)))
  print(json.dumps(summary, indent=2))


if __name__ == '__main__':
  cli.main(main, keep_memory=False)
