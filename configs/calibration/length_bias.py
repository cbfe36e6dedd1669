r"""Does length bias how the uncertainty of small models is judged?

python -m launch.sweep --config=configs/calibration/length_bias.py \
  --workdir=runs/calibration_length
python -m launch.plot --workdir=runs/calibration_length

Full sentences of the same recording as semantic.py: what is there is not asked
again. `:gemma` adds the base model, whose terms you accept by asking for it.
Without a strong judge the trusted label is alias containment; a local model is
asked by --config.study.judge=<model>. `:smoke` is a few questions.
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.calibration import common


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke', 'gemma'))
  recorded = common.record(styles=('sentence',))
  if arg == 'smoke':
    recorded.update(
      sets=('arithmetic',), questions=12, samples=4, file=12, candidates=False
    )
  c = common.length_bias(recorded)
  if arg == 'smoke':
    c.study.update(samples=4, encoder='')
    c.tables.update(draws=20, bins=2, rate_bins=2, fewest=1)
    c.probe.folds = 2
  variants = {'smollm2': {}}
  if arg == 'gemma':
    variants |= common.GEMMA
  c.sweep = parts.sweep(variants, seeds=(0,))
  return c
