r"""Is there one geometry of truth in a model that knows more?

python -m launch.sweep --config=configs/probes/qwen_tasks.py \
  --workdir=runs/probes_qwen --out=docs/results/probes_qwen.json
python -m launch.plot --workdir=runs/probes_qwen

The comparison of smollm2_tasks.py for Qwen2.5-Coder-1.5B-Instruct in bfloat16
(3.1 GB of weights): tasks of which it knows a part, every second layer. The
model answers for about an hour on two cores, once for all seeds. `:smoke` is
two tasks and three layers.
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.probes import common

_TASKS = (
  'capital',
  'currency',
  'neighbour',
  'opposites',
  'commonsense_qa',
  'open_book_qa',
)


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = common.recorded(
    model='qwen2_5_coder_1_5b_instruct',
    tasks=_TASKS[-2:] if smoke else _TASKS,
    questions=20 if smoke else 420,
    layers=(9, 17, 27) if smoke else tuple(range(1, 28, 2)),
    compute='bfloat16',
    file=105,
  )
  c.sweep = parts.sweep({'qwen': {}}, seeds=(0,) if smoke else (0, 1, 2))
  return c
