r"""Every unmasking rule on a denoiser of pointer chains of unknown length.

python -m launch.evaluate --workdir=runs/heuristics_chain \
  --config=configs/diffusion_sampler/heuristics_chain.py \
  --config.denoiser=runs/denoiser_chain
python -m launch.plot --workdir=runs/heuristics_chain
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = '') -> ConfigDict:
  common.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = common.diffusion(
    puzzle='chain(symbols=16, answer=16, short=8)',
    vocab_size=274,
    smoke=smoke,
  )
  c.experiment = 'diffusion_sampler.heuristics'
  c.denoiser = ''
  c.policy_run = ''
  c.sampling.samplers = common.unmasking_rules(smoke)
  c.sampling.blocks = '2;4;0'
  c.sampling.hard = 9
  c.run = common.run(steps=1, eval_every=0)
  return c
