r"""Policies that learn to unmask, on pointer chains of unknown length.

One policy, on a denoiser that is there:
python -m launch.train --config=configs/diffusion_sampler/policy_chain.py \
  --workdir=runs/policy_chain --config.denoiser=runs/denoiser_chain

The comparison of the paper, denoisers first, three seeds:
python -m launch.sweep --config=configs/diffusion_sampler/policy_chain.py \
  --workdir=runs/diffusion_chain --out=docs/results/diffusion_chain.json
`policy_chain.py:brief` is its main rows with one seed, a quarter of an hour,
`:released` one policy of the paper's size with the rate and rounds of its code.
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.diffusion_sampler import common

LONG = 'data.puzzle=chain(symbols=16,answer=32,short=8)'

RELEASED = (
  'policy.width=128 policy.mlp_width=512 policy.time_features=128 '
  'optim.peak_lr=3e-5 run.steps=936'
)

BRIEF = (
  'denoiser',
  'heuristics',
  'policy_a=1',
  'policy_a=3',
  'steered_a=1',
  'semi_a=1',
  'additive_a=1',
)


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke', 'brief', 'released'))
  smoke = arg == 'smoke'
  c = common.base(
    puzzle='chain(symbols=16, answer=16, short=8)',
    vocab_size=274,
    smoke=smoke,
  )
  c.experiment = 'diffusion_sampler.training.puzzle_policy'
  c.policy_run = ''
  common.unmasking(c, prompts=2 if smoke else 16)
  c.grpo.expert_block = 2
  c.sampling.samplers = (
    'policy;policy(fallback=0);policy(temperature=0.5);'
    'policy(scale=0.5);policy(scale=2)'
  )
  c.sampling.hard = 9
  rounds = {'smoke': 2, 'brief': 150}.get(arg, 200)
  c.run = parts.run(steps=rounds, eval_every=0)
  variants = _variants(smoke)
  if arg == 'brief':
    variants = tuple(v for v in variants if v[0] in BRIEF)
  if arg == 'released':
    own = ('policy_a=1', f'denoiser={{denoiser}} {RELEASED}')
    variants = (variants[0], own)
  c.sweep = ConfigDict(
    dict(variants=variants, seeds=(0,) if arg else (0, 1, 2))
  )
  return c


def _variants(smoke: bool) -> tuple[tuple[str, str], ...]:
  rules = common.rules(smoke)
  denoise = common.denoiser_variant(smoke)
  # In 1,200 steps not every seed of other sizes begins to follow the chain.
  longer = common.denoiser_variant(smoke, steps=2400)
  measure = 'experiment=diffusion_sampler.heuristics run.steps=1'
  here = 'denoiser={denoiser}'
  thresholds = ';'.join(r for r in rules.split(';') if r.startswith('thre'))
  apart = 'sampling.samplers=policy'
  other = f'{apart};{thresholds} policy_run={{policy_a=1}}'
  return (
    ('denoiser', denoise),
    ('denoiser_wide', f'{longer} model.width=96'),
    ('denoiser_long', f'{longer} {LONG}'),
    (
      'heuristics',
      f'{measure} {here} sampling.samplers={rules} sampling.blocks=2;4;0',
    ),
    *((f'policy_a={a}', f'{here} grpo.alpha={a}') for a in (0, 0.3, 1, 3)),
    *(
      (f'semi_a={a}', f'{here} grpo.alpha={a} block=4 sampling.blocks=4')
      for a in (1, 3)
    ),
    *(
      (f'steered_a={a}', f'{here} grpo.alpha={a} grpo.experts=0.9')
      for a in (1, 3)
    ),
    ('additive_a=1', f'{here} grpo.reward=additive {apart}'),
    ('dpls_a=1', f'{here} action.kind=dpls {apart}'),
    ('top5_a=1', f'{here} policy.confidences=5 {apart}'),
    (
      'blind',
      f'{measure} {here} policy_run={{policy_a=1}} '
      f'{apart};policy(blind=mask);policy(blind=time)',
    ),
    (
      'transfer_wide',
      f'{measure} denoiser={{denoiser_wide}} {other}',
    ),
    ('transfer_long', f'{measure} denoiser={{denoiser_long}} {LONG} {other}'),
  )
