r"""Evaluates: the checkpoint of a run, or an experiment that has no training.

python -m launch.evaluate --workdir=runs/x
python -m launch.evaluate --workdir=runs/x \
  --config=configs/lacy/wiki.py --config.lacy.beta=0.3

Without --config the run's own is taken. A config whose model is another than
the checkpoint's is refused.
"""

import importlib
import json
import pathlib

import jax
from absl import flags

from engine import loop
from launch import cli, setup

_CONFIG = cli.define_config()
_WORKDIR = flags.DEFINE_string('workdir', None, 'the run to evaluate')


def main() -> None:
  if _WORKDIR.value is None:
    raise ValueError('--workdir must name a folder')
  workdir = pathlib.Path(_WORKDIR.value)
  if _CONFIG.value is not None:
    cfg = _CONFIG.value.to_dict()
  elif (workdir / 'config.json').exists():
    cfg = json.loads((workdir / 'config.json').read_text())
  else:
    raise ValueError(
      f'{workdir} holds no config.json; give --config, or the folder of a run'
    )
  setup.compile_cache()
  run, mesh = setup.run_and_mesh(cfg)
  exp = importlib.import_module(cfg['experiment']).build(cfg)
  if exp.step is None:
    summary = setup.train(cfg, workdir)
  else:
    summary = loop.evaluate(exp, workdir, seed=run.seed, mesh_config=mesh)
  if jax.process_index() == 0:
    print(json.dumps(summary, indent=2))


if __name__ == '__main__':
  cli.main(main)
