r"""LaCy, small, on real Wikipedia lead sections: minutes on two CPU cores.

python -m launch.train --config=configs/lacy/wiki.py --workdir=runs/wiki
python -m launch.sweep --config=configs/lacy/wiki.py \
  --out=docs/results/lacy_wiki.json

`:demo` is what `make demo` runs (fewer steps, one seed), `:smoke` a few steps.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = '') -> ConfigDict:
  common.check_arg(arg, ('demo', 'smoke'))
  smoke = arg == 'smoke'
  c = ConfigDict()
  c.experiment = 'lacy.experiment'
  c.data = ConfigDict(
    dict(
      corpus='wiki_summaries',
      vocab_size=8192,
      tokenizer='',
      context=256,
      batch_size=8,
      fact_rule='caps_digits' if smoke else 'ner_first',
      judge_mask='',
      eval_records=16 if smoke else 64,
    )
  )
  c.model = ConfigDict(
    dict(
      vocab_size=8192,
      layers=4,
      width=192,
      heads=2,
      mlp_width=512,
      dtype='float32',
    )
  )
  c.lacy = ConfigDict(
    dict(
      rule='lacy',
      # Facts are a fifth of this corpus, less than the paper's quarter: the
      # budget scope holds the calls at rho for every rule.
      scope='budget',
      percent=60,
      rho=0.15,
      rho_variant='low_excess',
      warmup_steps=0,
      noncall_norm='vocab',
      reference='',
      beta=0.22,
      oracle_error=0.0,
    )
  )
  c.optim = common.optim(peak_lr=4e-3, warmup_steps=2 if smoke else 100)
  steps = {'smoke': 4, 'demo': 400}.get(arg, 600)
  c.run = common.run(steps=steps, eval_every=max(steps // 8, 2))
  c.mesh = common.mesh()
  rules = ('standard', 'loss', 'lacy')
  c.sweep = common.sweep(
    {rule: {'lacy.rule': rule} for rule in rules},
    seeds=(0,) if arg else (0, 1, 2),
  )
  return c
