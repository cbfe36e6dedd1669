r"""A policy that learns to unmask, on addition, digits from the left.

python -m launch.train --config=configs/diffusion_sampler/policy_addition.py \
  --workdir=runs/policy_addition --config.denoiser=runs/denoiser_addition

Denoiser, every rule and policies, three seeds:
python -m launch.sweep --config=configs/diffusion_sampler/policy_addition.py \
  --workdir=runs/diffusion_addition --out=docs/results/diffusion_addition.json
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
  c.experiment = 'diffusion_sampler.train_policy'
  c.policy_run = ''
  common.unmasking(c, prompts=2 if smoke else 16)
  c.sampling.samplers = 'policy;policy(scale=0.5);policy(scale=2)'
  c.run = common.run(steps=2 if smoke else 200, eval_every=0)
  c.sweep = ConfigDict(
    dict(
      variants=common.unmasking_variants(smoke, blocks='2;0'),
      seeds=(0,) if smoke else (0, 1, 2),
    )
  )
  return c
