r"""Every unmasking rule on a denoiser of addition, digits from the left.

python -m launch.evaluate --workdir=runs/heuristics_addition \
  --config=configs/diffusion_sampler/heuristics_addition.py \
  --config.denoiser=runs/denoiser_addition
python -m launch.plot --workdir=runs/heuristics_addition
"""

from ml_collections import ConfigDict

from configs.diffusion_sampler import common


def get_config(arg: str = '') -> ConfigDict:
  return common.heuristics(
    arg,
    puzzle='addition(digits=5)',
    vocab_size=11,
    blocks='2;0',
    hard=3,
  )
