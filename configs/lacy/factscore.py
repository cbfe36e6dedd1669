r"""FactScore of texts written by cascade_smollm2.py, with a local judge.

After the sweep of cascade_smollm2.py:
python -m launch.evaluate --config=configs/lacy/factscore.py \
  --workdir=runs/lacy_facts --out=docs/results/lacy_facts.json

Qwen2.5-Coder-1.5B-Instruct (3.1 GB) lists the facts of 40 biographies a method
and checks each against the true article, and against the opening, whose facts
are nobody's achievement. `:smoke` is two biographies.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = '') -> ConfigDict:
  common.check_arg(arg, ('smoke',))
  c = ConfigDict()
  c.experiment = 'lacy.cascade.facts'
  c.facts = ConfigDict(
    dict(
      runs='runs/lacy_free_text',
      # The first is compared with the others.
      methods=('lacy', 'loss', 'standard'),
      ways=('span 0.22',),
      articles=2 if arg else 40,
      judge='qwen2_5_coder_1_5b_instruct',
      judge_dtype='bfloat16',
      max_new_tokens=96,
      accept_licence='',
    )
  )
  c.run = common.run(steps=1, eval_every=0)
  c.mesh = common.mesh()
  return c
