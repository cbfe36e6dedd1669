r"""Every unmasking rule on a denoiser of four by four Sudoku.

python -m launch.evaluate --workdir=runs/heuristics_sudoku \
  --config=configs/diffusion_sampler/heuristics_sudoku.py \
  --config.denoiser=runs/denoiser_sudoku
python -m launch.plot --workdir=runs/heuristics_sudoku
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = '') -> ConfigDict:
  common.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = common.diffusion(
    puzzle='sudoku(fewest=4, most=12)',
    vocab_size=6,
    smoke=smoke,
  )
  c.experiment = 'diffusion_sampler.heuristics'
  c.denoiser = ''
  c.policy_run = ''
  c.sampling.samplers = common.unmasking_rules(smoke)
  c.sampling.blocks = '4;0'
  c.sampling.hard = 9
  c.run = common.run(steps=1, eval_every=0)
  return c
