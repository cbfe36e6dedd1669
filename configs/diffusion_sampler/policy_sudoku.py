r"""A policy that learns to unmask, on four by four Sudoku.

python -m launch.train --config=configs/diffusion_sampler/policy_sudoku.py \
  --workdir=runs/policy_sudoku --config.denoiser=runs/denoiser_sudoku

Denoiser, every rule and policies, three seeds:
python -m launch.sweep --config=configs/diffusion_sampler/policy_sudoku.py \
  --workdir=runs/diffusion_sudoku --out=docs/results/diffusion_sudoku.json
"""

from ml_collections import ConfigDict

from configs.diffusion_sampler import common


def get_config(arg: str = '') -> ConfigDict:
  return common.policy(
    arg,
    puzzle='sudoku(fewest=4, most=12)',
    vocab_size=6,
    blocks='4;0',
  )
