r"""A masked-diffusion denoiser of addition, digits from the left.

python -m launch.train --config=configs/diffusion_sampler/denoiser_addition.py \
  --workdir=runs/denoiser_addition
A few minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = '') -> ConfigDict:
  common.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = common.diffusion(
    puzzle='addition(digits=5)',
    vocab_size=11,
    smoke=smoke,
  )
  c.experiment = 'diffusion_sampler.train_denoiser'
  c.sampling.blocks = '0;2'
  steps = 4 if smoke else 1500
  c.run = common.run(steps=steps, eval_every=max(steps // 4, 2))
  return c
