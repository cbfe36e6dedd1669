r"""Every unmasking rule on a denoiser of four interleaved chains.

python -m launch.evaluate --workdir=runs/heuristics_chains \
  --config=configs/diffusion_sampler/heuristics_chains.py \
  --config.denoiser=runs/denoiser_chains
python -m launch.plot --workdir=runs/heuristics_chains
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = '') -> ConfigDict:
  common.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = common.diffusion(
    puzzle='chains(symbols=12, chains=4, depth=6)',
    vocab_size=157,
    smoke=smoke,
  )
  c.experiment = 'diffusion_sampler.heuristics'
  c.denoiser = ''
  c.policy_run = ''
  c.sampling.samplers = common.unmasking_rules(smoke)
  c.sampling.blocks = '4;8;0'
  c.sampling.hard = 0
  c.run = common.run(steps=1, eval_every=0)
  return c
