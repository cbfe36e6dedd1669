r"""LaCy on synthetic biographies: every rule, exact facts, exact acceptability.

python -m launch.sweep --config=configs/lacy/bios.py \
  --out=docs/results/lacy_bios.json

Section 11.1 of the spec: what a delegating model should show, at a size where
all rules and three seeds take under an hour on two CPU cores.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = '') -> ConfigDict:
  common.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = ConfigDict()
  c.experiment = 'lacy.experiment'
  c.data = ConfigDict(
    dict(
      corpus='bios',
      context=90,
      batch_size=32,
      eval_records=64,
      bios=dict(documents=256 if smoke else 40_000, test_documents=2000),
    )
  )
  c.model = ConfigDict(
    dict(vocab_size=512, layers=2, width=64, heads=2, mlp_width=256)
  )
  c.lacy = ConfigDict(
    dict(
      rule='lacy',
      scope='budget',
      percent=60,
      rho=0.15,
      rho_variant='low_excess',
      warmup_steps=0,
      noncall_norm='vocab',
      reference='',
      # Just below the fact share: at or above it every rule that calls on
      # facts reaches zero error and nothing can be told apart.
      beta=0.15,
      oracle_error=0.0,
    )
  )
  c.optim = common.optim(peak_lr=3e-3, warmup_steps=2 if smoke else 50)
  steps = 4 if smoke else 450
  c.run = common.run(steps=steps, eval_every=max(steps // 4, 2))
  c.mesh = common.mesh()
  rho = {'lacy.rule': 'rho', 'lacy.reference': '{standard}'}
  c.sweep = common.sweep(
    {
      'standard': {'lacy.rule': 'standard'},
      'random': {'lacy.rule': 'random'},
      'loss': {'lacy.rule': 'loss'},
      'rho:low_excess': {**rho, 'lacy.rho_variant': 'low_excess'},
      'rho:high_ref': {**rho, 'lacy.rho_variant': 'high_ref'},
      'fact_random': {'lacy.rule': 'fact_random'},
      'fact_all': {'lacy.rule': 'fact_all'},
      'ignore': {'lacy.rule': 'ignore'},
      'ignore_facts': {'lacy.rule': 'ignore_facts'},
      'lacy': {'lacy.rule': 'lacy'},
      'lacy:full': {'lacy.rule': 'lacy', 'lacy.noncall_norm': 'full'},
    },
    seeds=(0,) if smoke else (0, 1, 2),
  )
  return c
