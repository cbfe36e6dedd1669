r"""A policy that learns to unmask, on four interleaved chains.

python -m launch.train --config=configs/diffusion_sampler/policy_chains.py \
  --workdir=runs/policy_chains --config.denoiser=runs/denoiser_chains

Denoiser, every rule and policies, three seeds:
python -m launch.sweep --config=configs/diffusion_sampler/policy_chains.py \
  --workdir=runs/diffusion_chains --out=docs/results/diffusion_chains.json
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
  c.experiment = 'diffusion_sampler.train_policy'
  c.policy_run = ''
  common.unmasking(c, prompts=2 if smoke else 16)
  c.sampling.samplers = 'policy;policy(scale=0.5);policy(scale=2)'
  c.run = common.run(steps=2 if smoke else 200, eval_every=0)
  c.sweep = ConfigDict(
    dict(
      variants=common.unmasking_variants(smoke, blocks='4;0'),
      seeds=(0,) if smoke else (0, 1, 2),
    )
  )
  return c
