r"""A masked-diffusion denoiser of four by four Sudoku.

python -m launch.train --config=configs/diffusion_sampler/denoiser_sudoku.py \
  --workdir=runs/denoiser_sudoku
A few minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from configs.diffusion_sampler import common


def get_config(arg: str = '') -> ConfigDict:
  return common.denoiser(
    arg,
    puzzle='sudoku(fewest=4, most=12)',
    vocab_size=6,
    steps=1000,
    block=4,
  )
