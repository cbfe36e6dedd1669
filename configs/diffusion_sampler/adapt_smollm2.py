r"""SmolLM2-135M-Instruct turned into a masked-diffusion model, on a GPU.

C=configs/diffusion_sampler/adapt_smollm2.py
python -m launch.train --config=$C --workdir=runs/adapted
python -m launch.plot --workdir=runs/adapted

16k tokens a step, 51 epochs of the one million tokens of `wiki_summaries`. A
larger corpus is --config.data.corpus=tfds:wikipedia/... or jsonl:/path.
`:brief` is 200 steps of 1k tokens, 40 minutes on two cores with 17 GB of
memory, and `:smoke` a few on short records: minutes, most of them the loading
of the model.

python -m launch.sweep --config=$C:brief --workdir=runs/adapt_brief \
  --out=docs/results/diffusion_adapt_brief.json
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.diffusion_sampler import common


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke', 'brief'))
  c = ConfigDict()
  c.experiment = 'diffusion_sampler.training.text_denoiser'
  c.init = 'smollm2_135m_instruct'
  c.data = ConfigDict(
    dict(
      corpus='wiki_summaries',
      context=255,
      batch_size=64,
      eval_records=128,
      test_records=512,
      prompt=32,
      gap=16,
      after=16,
    )
  )
  c.model = parts.smollm2(scan_layers=True, dtype='bfloat16')
  c.noise = ConfigDict(dict(form='rate', floor=1e-3))
  # Steps until attention is open both ways.
  c.anneal = 750
  c.accumulate = 4
  rules = [common.sampler('threshold', threshold=x) for x in (0.9, 0.3, 0.6)]
  rules += [common.sampler('top_k', count=k) for k in (1, 2, 4)]
  rules += [common.sampler('random', count=k) for k in (1, 2, 4)]
  c.sampling = ConfigDict(
    dict(
      samplers=tuple(rules),
      blocks=(0, 4),
      hard=0,
      batch=128,
      temperature=0.0,
      frames=4,
    )
  )
  c.optim = parts.optim(peak_lr=1e-4, warmup_steps=100)
  c.run = parts.run(steps=3000, eval_every=500, save_every=500)
  c.mesh = parts.mesh()
  if arg:
    _small(c)
  if arg == 'smoke':
    _smoke(c)
  seeds = (0,) if arg else (0, 1, 2)
  c.sweep = parts.sweep({'adapted': {}}, seeds)
  return c


def _small(c: ConfigDict) -> None:
  c.data.update(context=127, batch_size=8, eval_records=32, test_records=128)
  c.model.update(dtype='float32', scan_layers=False)
  c.accumulate = 1
  c.anneal = 50
  c.sampling.update(blocks=(0,), batch=32)
  c.optim.warmup_steps = 10
  c.run.update(steps=200, eval_every=50, log_every=5, save_every=50)


def _smoke(c: ConfigDict) -> None:
  c.data.update(context=31, batch_size=4, eval_records=4, test_records=4)
  c.data.update(prompt=16, gap=4, after=4)
  c.anneal = 1
  c.sampling.update(samplers=(common.SURE,), batch=4)
  c.optim.warmup_steps = 1
  c.run.update(steps=3, eval_every=0, log_every=1, save_every=0)
