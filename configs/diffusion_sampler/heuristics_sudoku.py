r"""Every unmasking rule on a denoiser of four by four Sudoku.

python -m launch.evaluate --workdir=runs/heuristics_sudoku \
  --config=configs/diffusion_sampler/heuristics_sudoku.py \
  --config.denoiser=runs/denoiser_sudoku
python -m launch.plot --workdir=runs/heuristics_sudoku
"""

from ml_collections import ConfigDict

from configs.diffusion_sampler import common


def get_config(arg: str = '') -> ConfigDict:
  return common.heuristics(
    arg,
    puzzle='sudoku(fewest=4, most=12)',
    vocab_size=6,
    blocks='4;0',
    hard=9,
  )
