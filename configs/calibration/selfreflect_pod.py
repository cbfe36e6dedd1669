r"""SelfReflect at the paper's size: a 7B subject and judge, a process a device.

python -m launch.train --config=configs/calibration/selfreflect_pod.py --dry_run
python -m launch.train --config=configs/calibration/selfreflect_pod.py \
  --workdir=/shared/selfreflect_7b --distributed \
  --config.record.model=/shared/qwen2.5-7b-instruct \
  --config.record.folder=/shared/selfreflect_7b_answers \
  --config.reflect.judge=/shared/qwen2.5-7b-instruct

1,000 questions of each set, 50 answers for gaps, 50 that the judge is told and
50 that summaries are made from. Each process has cells of its own on its own
accelerator (40 GB or more) and writes to the shared folder.
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.calibration import common


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  count = 20 if smoke else 1000
  c = common.selfreflect(
    common.record(
      model='Qwen/Qwen2.5-7B-Instruct',
      sets=('nq_open', 'trivia_qa', 'simple_qa', 'mmlu'),
      styles=('concise',),
      questions=count,
      samples=150,
      concise_tokens=256,
      compute='bfloat16',
      candidates=False,
      batch=4,
      fewest_rows=4096,
      file=20,
    )
  )
  c.reflect.update(
    judge_compute='bfloat16',
    questions=count,
    answers=50,
    fresh=50,
    chain_tokens=4096,
    summary_tokens=4096,
    temperatures=(5.0,),
    others=(),
  )
  c.model = common.seven_b(smoke)
  return c
