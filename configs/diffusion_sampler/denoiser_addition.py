r"""A masked-diffusion denoiser of addition, digits from the left.

python -m launch.train --config=configs/diffusion_sampler/denoiser_addition.py \
  --workdir=runs/denoiser_addition
A few minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from configs.diffusion_sampler import common


def get_config(arg: str = '') -> ConfigDict:
  return common.denoiser(
    arg,
    puzzle='addition(digits=5)',
    vocab_size=11,
    steps=1500,
    block=2,
  )
