r"""Does length bias how the uncertainty of small models is judged?

python -m launch.sweep --config=configs/calibration/length_bias.py \
  --workdir=runs/calibration_length
python -m launch.plot --workdir=runs/calibration_length

Full sentences of the same recording as semantic.py: what is there is not asked
again. Only ten samples of each question are read, so that without semantic.py
--config.record.samples=10 --config.record.batch=10 is a fifth of the work.
`:gemma` adds the base model, whose terms you accept by asking for it. `:smoke`
is a few questions.

Without a strong judge the trusted label is alias containment. `:judge` has
Qwen2.5-Coder 1.5B judge beside it, in 3.1 GB; another local model is asked by
--config.study.judge=<model>, and both work with `:gemma`:

python -m launch.sweep --config=configs/calibration/length_bias.py:gemma \
  --workdir=runs/calibration_length_judged \
  --config.study.judge=qwen2_5_coder_1_5b_instruct \
  --config.study.judge_compute=bfloat16
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.calibration import common


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke', 'gemma', 'judge'))
  recorded = common.record(styles=('sentence',))
  if arg == 'smoke':
    recorded.update(
      sets=('arithmetic',), questions=12, samples=4, file=12, candidates=False
    )
  c = common.length_bias(recorded)
  if arg == 'smoke':
    c.study.update(samples=4, encoder='', reports=False)
    c.tables.update(draws=20, bins=2, rate_bins=2, fewest=1)
    c.probe.folds = 2
  if arg == 'judge':
    c.study.update(
      judge='qwen2_5_coder_1_5b_instruct', judge_compute='bfloat16'
    )
  variants = {'smollm2': {}}
  if arg == 'gemma':
    variants |= common.GEMMA
  c.sweep = parts.sweep(variants, seeds=(0,))
  return c
