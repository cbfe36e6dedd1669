r"""The cascade at work: small models write articles with SmolLM2-135M-Instruct.

After `make demo`:
python -m launch.evaluate --config=configs/lacy/cascade.py \
  --workdir=runs/cascade --out=docs/results/lacy_cascade.json

Biographies of the test split, continued from their openings; which of the
names and numbers written stand in the true article. `:demo` is
what `make demo-cascade` runs (a token a call only), `:smoke` a few words.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = '') -> ConfigDict:
  common.check_arg(arg, ('demo', 'smoke'))
  smoke = arg == 'smoke'
  c = ConfigDict()
  c.experiment = 'lacy.cascade.experiment'
  c.cascade = ConfigDict(
    dict(
      # A sweep, or one run; the first seed of each method is taken.
      runs='runs/demo',
      methods=('standard', 'lacy'),
      partner='smollm2_135m_instruct',
      partner_dtype='float32',
      # `token` is the paper's; with `word` a call is worth a word.
      units=('token',) if arg == 'demo' else ('token', 'word'),
      # The paper's, and one on either side.
      budgets=(0.22,) if smoke else (0.1, 0.22, 0.4),
      articles=2 if smoke else 40,
      calibration=2 if smoke else 16,
      topic='People',
      max_decisions=8 if smoke else 48,
      characters=200,
      entities='caps_digits' if smoke else 'ner',
      # A judge for FactScore, such as http://127.0.0.1:8321; see
      # docs/judging.md.
      judge_url='',
      judge_model='',
      judge_key_env='',
      accept_licence='',
    )
  )
  c.run = common.run(steps=1, eval_every=0)
  c.mesh = common.mesh()
  return c
