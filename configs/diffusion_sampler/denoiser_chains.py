r"""A masked-diffusion denoiser of four interleaved chains.

python -m launch.train --config=configs/diffusion_sampler/denoiser_chains.py \
  --workdir=runs/denoiser_chains
A few minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from configs.diffusion_sampler import common


def get_config(arg: str = '') -> ConfigDict:
  return common.denoiser(
    arg,
    puzzle='chains(symbols=12, chains=4, depth=6)',
    vocab_size=157,
    steps=1000,
    block=4,
  )
