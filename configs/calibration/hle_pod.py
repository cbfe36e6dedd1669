r"""Humanity's Last Exam on a 7B model, on one accelerator of 40 GB or more.

python -m launch.train --config=configs/calibration/hle_pod.py --dry_run
python -m launch.train --config=configs/calibration/hle_pod.py \
  --workdir=/shared/hle_7b --config.data=/shared/hle \
  --config.model=/shared/qwen2.5-7b-instruct \
  --config.judge=/shared/qwen2.5-7b-instruct \
  --config.hle.folder=/shared/hle_7b_responses

The 2,158 questions without a picture, responses of 8,192 tokens at most, and a
judge. The files are your own, under the terms of the exam.
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.calibration import common


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = common.hle()
  c.data = '/shared/hle'
  c.model = c.judge = 'Qwen/Qwen2.5-7B-Instruct'
  c.exam.questions = 20 if smoke else 2158
  c.hle.update(
    max_new_tokens=8192,
    judge_tokens=4096,
    file=32,
    batch=32,
  )
  c.shape = common.seven_b(smoke)
  return c
