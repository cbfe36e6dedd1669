r"""Is there one geometry of truth in SmolLM2-135M-Instruct?

python -m launch.sweep --config=configs/probes/smollm2_tasks.py \
  --workdir=runs/probes_smollm2 --out=docs/results/probes_smollm2.json
python -m launch.plot --workdir=runs/probes_smollm2

The model answers some thousand questions (a quarter of an hour on two cores,
once for all seeds), then probes are fitted at every layer, at the last token
of the prompt and of the answer. `:smoke` is two tasks and three layers.
Gemma 3 270M, whose terms must be accepted first:
--config.record.model=gemma3_270m --config.record.accept_licence=gemma
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.probes import common


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = common.recorded(
    model='smollm2_135m_instruct',
    tasks=common.TASKS[-2:] if smoke else common.TASKS,
    questions=60 if smoke else 420,
    layers=(5, 15, 25) if smoke else (),
  )
  if smoke:
    c.probes.supports = (10,)
    c.probes.draws = 20
    c.probes.folds = 2
  c.sweep = parts.sweep({'smollm2': {}}, seeds=(0,) if smoke else (0, 1, 2))
  return c
