r"""A policy that learns to unmask, on four interleaved chains.

python -m launch.train --config=configs/diffusion_sampler/policy_chains.py \
  --workdir=runs/policy_chains --config.denoiser=runs/denoiser_chains

Denoiser, every rule and policies, three seeds:
python -m launch.sweep --config=configs/diffusion_sampler/policy_chains.py \
  --workdir=runs/diffusion_chains --out=docs/results/diffusion_chains.json
"""

from ml_collections import ConfigDict

from configs.diffusion_sampler import common


def get_config(arg: str = '') -> ConfigDict:
  return common.policy(
    arg,
    puzzle='chains(symbols=12, chains=4, depth=6)',
    vocab_size=157,
    blocks='4;8;0',
  )
