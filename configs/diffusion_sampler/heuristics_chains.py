r"""Every unmasking rule on a denoiser of four interleaved chains.

python -m launch.evaluate --workdir=runs/heuristics_chains \
  --config=configs/diffusion_sampler/heuristics_chains.py \
  --config.denoiser=runs/denoiser_chains
python -m launch.plot --workdir=runs/heuristics_chains
"""

from ml_collections import ConfigDict

from configs.diffusion_sampler import common


def get_config(arg: str = '') -> ConfigDict:
  return common.heuristics(
    arg,
    puzzle='chains(symbols=12, chains=4, depth=6)',
    vocab_size=157,
    blocks='4;8;0',
    hard=0,
  )
