r"""Does SmolLM2-135M-Instruct know what it means? Gemma 3 270M beside it.

python -m launch.sweep --config=configs/calibration/semantic.py \
  --workdir=runs/calibration_semantic
python -m launch.plot --workdir=runs/calibration_semantic

`:gemma` adds the base model, whose terms you accept by asking for it. Answers
are recorded once, 50 to each of 300 questions of three sets in three styles;
stopped at any point it goes on with the next batch, and all figures are made
from the recording. `:smoke` is six questions.

`:qwen` asks Qwen2.5-Coder-1.5B-Instruct instead, which knows more: 30 answers
to each of 200 questions, briefly and in a sentence, in 3.1 GB of weights:

python -m launch.sweep --config=configs/calibration/semantic.py:qwen \
  --workdir=runs/semantic_qwen \
  --out=docs/results/calibration_semantic_qwen.json
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.calibration import common


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke', 'gemma', 'qwen'))
  recorded = common.record()
  if arg == 'smoke':
    recorded.update(
      sets=('arithmetic',),
      styles=('concise',),
      questions=6,
      samples=4,
      file=6,
      candidates=False,
    )
  if arg == 'qwen':
    recorded.update(common.QWEN, styles=('concise', 'sentence'))
  c = common.semantic(recorded)
  if arg == 'smoke':
    c.draws = 20
  variants = {'qwen' if arg == 'qwen' else 'smollm2': {}}
  if arg == 'gemma':
    variants |= common.GEMMA
  c.sweep = parts.sweep(variants, seeds=(0,))
  return c
