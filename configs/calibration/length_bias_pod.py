r"""Length bias with 7B models, four sets and a judge, a process a device.

python -m launch.train --config=configs/calibration/length_bias_pod.py --dry_run
python -m launch.train --config=configs/calibration/length_bias_pod.py \
  --workdir=/shared/length_7b --distributed \
  --config.record.model=/shared/qwen2.5-7b-instruct \
  --config.record.folder=/shared/length_7b_generations \
  --config.study.judge=/shared/judge

The paper's models are falcon-7b-instruct, Qwen2.5-7B-Instruct and
Mistral-7B-Instruct v0.1 and v0.3, a run each; its judge is
Qwen2.5-72B-Instruct, and any model that lm.hub resolves will do. Its sets are
TriviaQA, SQuAD, NQ-open and SimpleQA. How many questions it asked is not
stated; 1,000 of each here.
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.calibration import common


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = common.length_bias(
    common.record(
      model='Qwen/Qwen2.5-7B-Instruct',
      sets=('trivia_qa', 'squad', 'nq_open', 'simple_qa'),
      styles=('sentence',),
      questions=20 if smoke else 1000,
      samples=10,
      sentence_tokens=50,
      compute='bfloat16',
      candidates=False,
      batch=16,
      fewest_rows=4096,
      file=64,
    )
  )
  c.tables.bins = 10
  c.study.update(rouge_label=0.5, judge_compute='bfloat16')
  c.model = common.seven_b(smoke)
  return c
