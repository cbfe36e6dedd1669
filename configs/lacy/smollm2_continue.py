r"""LaCy continued from SmolLM2-135M-Instruct, with LoRA: ours, not the paper's.

python -m launch.sweep --config=configs/lacy/smollm2_continue.py \
  --out=docs/results/lacy_continue.json

`--config.lora.rank=0` trains all 135M weights (with --config.optim.peak_lr
about 3e-5). `:smoke` takes a few steps on short records: minutes on two cores,
most of them CommonsenseQA and the loading of the model.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = '') -> ConfigDict:
  common.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = ConfigDict()
  c.experiment = 'lacy.continued'
  c.init = 'smollm2_135m_instruct'
  c.data = ConfigDict(
    dict(
      corpus='wiki_summaries',
      tokenizer=c.init,
      context=32 if smoke else 128,
      batch_size=4,
      fact_rule='caps_digits' if smoke else 'ner_first',
      judge_mask='',
      eval_records=4 if smoke else 16,
      # The first records, which hold the longest documents.
      test_records=8 if smoke else 64,
    )
  )
  c.model = common.smollm2(scan_layers=False, dtype='float32')
  c.lora = ConfigDict(
    dict(
      rank=16,
      kernels=('query', 'key', 'value', 'out', 'gate', 'up', 'down'),
    )
  )
  # The first of 1,221; 0 asks them all.
  c.questions = ConfigDict(dict(count=20 if smoke else 300, batch=16))
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
      beta=0.22,
      oracle_error=0.0,
    )
  )
  c.optim = common.optim(peak_lr=1e-3, warmup_steps=2 if smoke else 10)
  c.optim.weight_decay = 0.0
  steps = 3 if smoke else 60
  c.run = common.run(
    steps=steps, eval_every=0, log_every=1 if smoke else 5, save_every=0
  )
  c.mesh = common.mesh()
  c.sweep = common.sweep({'lacy': {'lacy.rule': 'lacy'}}, seeds=(0,))
  return c
