r"""Trains an experiment, or resumes it.

python -m launch.train --config=configs/lacy/wiki.py:smoke --workdir=runs/x \
  --config.optim.peak_lr=1e-3

`--dry_run` prints what it would cost and allocates nothing.
"""

import json

import jax
from absl import flags

from launch import cli, dry_run, setup

_CONFIG = cli.define_config()
_WORKDIR = flags.DEFINE_string('workdir', None, 'where the run is written')
_DRY_RUN = flags.DEFINE_bool('dry_run', False, 'print the cost, then stop')
_DEVICES = flags.DEFINE_integer(
  'devices', 0, 'devices to assume in a dry run; 0: those of the mesh'
)
_CHIP = flags.DEFINE_enum(
  'chip', 'v5e', sorted(dry_run.CHIPS), 'whose hours a dry run tells'
)
_MFU = flags.DEFINE_float(
  'utilisation', 0.4, 'share of its peak that the chip is assumed to reach'
)
_DISTRIBUTED = flags.DEFINE_bool(
  'distributed', False, 'one process of many; found out from the cluster'
)


def main() -> None:
  if _CONFIG.value is None:
    raise ValueError('--config must name a file such as configs/lacy/wiki.py')
  cfg = _CONFIG.value.to_dict()
  if _DRY_RUN.value:
    dry_run.report(
      cfg, devices=_DEVICES.value, chip=_CHIP.value, utilisation=_MFU.value
    )
    return
  if _WORKDIR.value is None:
    raise ValueError('--workdir must name a folder; a run there is resumed')
  if _DISTRIBUTED.value:
    jax.distributed.initialize()
  setup.compile_cache()
  summary = setup.train(setup.ask(cfg), _WORKDIR.value)
  if jax.process_index() == 0:
    print(json.dumps(summary, indent=2))


if __name__ == '__main__':
  cli.main(main)
