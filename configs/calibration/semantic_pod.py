r"""Semantic calibration of 7B models at the paper's size, a process a device.

python -m launch.train --config=configs/calibration/semantic_pod.py --dry_run
python -m launch.train --config=configs/calibration/semantic_pod.py \
  --workdir=/shared/semantic_7b --distributed \
  --config.record.model=/shared/qwen2.5-7b \
  --config.record.folder=/shared/semantic_7b_generations

Each process asks its own cells on its own accelerator (40 GB or more) and
writes to the shared folder. The paper's pairs of base and instruction-tuned
models (Qwen2.5, Llama 3.1, Mistral, Gemma 3, phi-4) are a run each, with
--config.record.form=chat for the tuned ones. Its sets are GSM8K, TriviaQA and
SimpleQA, through TFDS or from $SOCRATIC_ASSETS. There a strong model decides
what an answer means; here the text does (calibration/correctness/collapse.py).
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.calibration import common


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = common.semantic(
    common.record(
      model='Qwen/Qwen2.5-7B',
      form='text',
      sets=('gsm8k', 'trivia_qa', 'simple_qa'),
      questions=20 if smoke else 1000,
      sentence_tokens=40,
      cot_tokens=400,
      compute='bfloat16',
      batch=4,
      fewest_rows=4096,
      file=32,
    )
  )
  c.model = common.seven_b(smoke)
  return c
