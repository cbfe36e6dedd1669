r"""Does a model's summary say what its answers are? SmolLM2 and Qwen 1.5B.

python -m launch.sweep --config=configs/calibration/selfreflect.py \
  --workdir=runs/selfreflect --out=docs/results/selfreflect.json
python -m launch.plot --workdir=runs/selfreflect

Each of the two is subject (it answers and sums up) and judge (it fills gaps) of
both: four runs, never one column of two judges. Answers are read from the
recordings, 30 of each question: ten for gaps, ten that the judge is told, ten
that summaries are made from; what is missing is asked first. Your own texts:
launch.evaluate with --config.summaries=jsonl:/path and lines
{"question": ..., "answers": [...], "summary": ...}. Stopped at any
point it goes on with the next questions. `:smollm2` is SmolLM2 alone, in some
ten minutes on two cores, `:smoke` six questions.
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.calibration import common


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke', 'smollm2'))
  recorded = common.record(
    styles=('concise',), questions=200, samples=30, file=20, candidates=False
  )
  c = common.selfreflect(recorded)
  if arg == 'smoke':
    recorded.update(sets=('arithmetic',), questions=6, samples=6, file=6)
    c.reflect.update(
      questions=6,
      answers=2,
      fresh=2,
      strategies=('greedy',),
      summary_tokens=8,
      baselines=('rouge',),
    )
  small = {}
  large = {
    'record.model': common.QWEN['model'],
    'record.compute': common.QWEN['compute'],
  }
  judged = {
    'reflect.judge': common.QWEN['model'],
    'reflect.judge_compute': common.QWEN['compute'],
  }
  variants = {'smollm2_by_smollm2': small}
  if not arg:
    variants |= {
      'qwen_by_smollm2': large,
      'smollm2_by_qwen': judged,
      'qwen_by_qwen': large | judged,
    }
  c.sweep = parts.sweep(variants, seeds=(0,))
  return c
