r"""The comparison on an 8B model, one process an accelerator of 40 GB or more.

python -m launch.train --config=configs/probes/eight_b_pod.py --dry_run
python -m launch.train --config=configs/probes/eight_b_pod.py \
  --workdir=/shared/probes_8b --distributed \
  --config.record.model=/shared/llama-3.1-8b \
  --config.record.folder=/shared/probes_8b_activations

Each process answers its own tasks on its own accelerator and writes to the
shared folder; then probes are fitted. The model of the paper is not known; the
shape here is that of Llama 3.1 8B, and any checkpoint that lm.hub resolves
will do. The paper's seven question sets are not in the package registry;
these are the tasks of smollm2_tasks.py, of which a large model may find too
many easy: what it gets right too often is left out and said so.
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.probes import common


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = common.recorded(
    model='meta-llama/Llama-3.1-8B-Instruct',
    tasks=common.TASKS,
    questions=20 if smoke else 420,
    compute='bfloat16',
    max_new_tokens=32,
    batch=64,
  )
  c.model = ConfigDict(
    dict(
      vocab_size=128_256,
      layers=2 if smoke else 32,
      width=4096,
      heads=32,
      kv_heads=8,
      mlp_width=14_336,
      rope_base=500_000.0,
      tied=False,
      dtype='bfloat16',
    )
  )
  return c
