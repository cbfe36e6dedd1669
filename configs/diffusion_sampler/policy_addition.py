r"""A policy that learns to unmask, on addition, digits from the left.

python -m launch.train --config=configs/diffusion_sampler/policy_addition.py \
  --workdir=runs/policy_addition --config.denoiser=runs/denoiser_addition

Denoiser, every rule and policies, three seeds:
python -m launch.sweep --config=configs/diffusion_sampler/policy_addition.py \
  --workdir=runs/diffusion_addition --out=docs/results/diffusion_addition.json
"""

from ml_collections import ConfigDict

from configs.diffusion_sampler import common


def get_config(arg: str = '') -> ConfigDict:
  return common.policy(
    arg,
    puzzle='addition(digits=5)',
    vocab_size=11,
    blocks='2;0',
  )
