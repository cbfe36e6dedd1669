r"""A masked-diffusion denoiser of pointer chains of unknown length.

python -m launch.train --config=configs/diffusion_sampler/denoiser_chain.py \
  --workdir=runs/denoiser_chain
A few minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = '') -> ConfigDict:
  common.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = common.diffusion(
    puzzle='chain(symbols=16, answer=16, short=8)',
    vocab_size=274,
    smoke=smoke,
  )
  c.experiment = 'diffusion_sampler.train_denoiser'
  c.sampling.blocks = '0;2'
  steps = 4 if smoke else 1200
  c.run = common.run(steps=steps, eval_every=max(steps // 4, 2))
  return c
