r"""What published figures of Humanity's Last Exam say about how they were made.

python -m launch.evaluate --config=configs/calibration/hle_forensics.py \
  --workdir=runs/hle_forensics --out=docs/results/hle_forensics.json
python -m launch.plot --workdir=runs/hle_forensics

A second or two: no model and no question is read.
"""

from ml_collections import ConfigDict

from configs import common as parts


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke',))
  c = ConfigDict()
  c.experiment = 'calibration.hle.forensics'
  c.run = parts.run(steps=1, eval_every=0)
  c.mesh = parts.mesh()
  return c
