r"""A masked-diffusion denoiser of four interleaved chains.

python -m launch.train --config=configs/diffusion_sampler/denoiser_chains.py \
  --workdir=runs/denoiser_chains
A few minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = '') -> ConfigDict:
  common.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = common.diffusion(
    puzzle='chains(symbols=12, chains=4, depth=6)',
    vocab_size=157,
    smoke=smoke,
  )
  c.experiment = 'diffusion_sampler.train_denoiser'
  c.sampling.blocks = '0;4'
  steps = 4 if smoke else 1000
  c.run = common.run(steps=steps, eval_every=max(steps // 4, 2))
  return c
