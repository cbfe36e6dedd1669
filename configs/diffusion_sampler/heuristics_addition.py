r"""Every unmasking rule on a denoiser of addition, digits from the left.

python -m launch.evaluate --workdir=runs/heuristics_addition \
  --config=configs/diffusion_sampler/heuristics_addition.py \
  --config.denoiser=runs/denoiser_addition
python -m launch.plot --workdir=runs/heuristics_addition
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = '') -> ConfigDict:
  common.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = common.diffusion(
    puzzle='addition(digits=5)',
    vocab_size=11,
    smoke=smoke,
  )
  c.experiment = 'diffusion_sampler.heuristics'
  c.denoiser = ''
  c.policy_run = ''
  c.sampling.samplers = common.unmasking_rules(smoke)
  c.sampling.blocks = '2;0'
  c.sampling.hard = 3
  c.run = common.run(steps=1, eval_every=0)
  return c
