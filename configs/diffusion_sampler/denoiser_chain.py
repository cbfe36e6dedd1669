r"""A masked-diffusion denoiser of pointer chains of unknown length.

python -m launch.train --config=configs/diffusion_sampler/denoiser_chain.py \
  --workdir=runs/denoiser_chain
A few minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from configs.diffusion_sampler import common


def get_config(arg: str = '') -> ConfigDict:
  return common.denoiser(
    arg,
    puzzle='chain(symbols=16, answer=16, short=8)',
    vocab_size=274,
    steps=1200,
    block=2,
  )
