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

PUZZLE = 'chain(symbols=16, answer=16, short=8)'
LONG = {'data.puzzle': 'chain(symbols=16,answer=32,short=8)'}
RELEASED = {
  'policy.width': 128,
  'policy.mlp_width': 512,
  'policy.time_features': 128,
  'optim.peak_lr': 3e-5,
  'run.steps': 936,
}
BRIEF = (
  'denoiser',
  'heuristics',
  'cached',
  'policy_a=1',
  'policy_a=3',
  'steered_a=1',
  'semi_a=1',
  'additive_a=1',
)


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke', 'brief', 'released'))
  smoke = arg == 'smoke'
  own = common.sampler
  c = common.policy(
    puzzle=PUZZLE,
    samplers=(
      own('policy'),
      own('policy', fallback=False),
      own('policy', temperature=0.5),
      own('policy', scale=0.5),
      own('policy', scale=2),
    ),
    hard=9,
    expert_block=2,
    smoke=smoke,
  )
  if arg == 'brief':
    c.run.steps = 150
  variants = _variants(smoke)
  if arg == 'brief':
    variants = {name: variants[name] for name in BRIEF}
  if arg == 'released':
    released = {'denoiser': '{denoiser}', **RELEASED}
    variants = {'denoiser': variants['denoiser'], 'policy_a=1': released}
  c.sweep = parts.sweep(variants, (0,) if arg else (0, 1, 2))
  return c


def _variants(smoke: bool) -> dict[str, dict]:
  rules, thresholds = common.rules(smoke), common.thresholds(smoke)
  # In 1,200 steps not every seed of other sizes begins to follow the chain.
  sizes = dict(vocab_size=274, smoke=smoke)
  longer = sizes | dict(steps=2400)
  here = {'denoiser': '{denoiser}'}
  apart = (common.sampler('policy'),)
  blind = tuple(common.sampler('policy', blind=x) for x in ('mask', 'time'))
  trained = dict(policy_run='{policy_a=1}')
  return {
    'denoiser': common.denoiser_variant(**sizes),
    'denoiser_wide': common.denoiser_variant(**longer, width=96),
    'denoiser_long': common.denoiser_variant(**longer) | LONG,
    'heuristics': {
      **common.measurement(rules),
      'sampling.blocks': (2, 4, 0),
    },
    'cached': {
      **common.measurement(
        {**rule, 'cache': cache}
        for cache in ('prefix', 'dual')
        for rule in thresholds
      ),
      'sampling.blocks': (2, 4),
    },
    **{
      f'policy_a={a:g}': {**here, 'grpo.alpha': a} for a in (0.0, 0.3, 1.0, 3.0)
    },
    **{
      f'semi_a={a:g}': {
        **here,
        'grpo.alpha': a,
        'block': 4,
        'sampling.blocks': (4,),
      }
      for a in (1.0, 3.0)
    },
    **{
      f'steered_a={a:g}': {**here, 'grpo.alpha': a, 'grpo.experts': (0.9,)}
      for a in (1.0, 3.0)
    },
    'additive_a=1': {
      **here,
      'grpo.reward': 'additive',
      'sampling.samplers': apart,
    },
    'dpls_a=1': {**here, 'action.kind': 'dpls', 'sampling.samplers': apart},
    'top5_a=1': {
      **here,
      'policy.confidences': 5,
      'sampling.samplers': apart,
    },
    'blind': common.measurement((*apart, *blind), **trained),
    'transfer_wide': common.measurement(
      (*apart, *thresholds), denoiser='{denoiser_wide}', **trained
    ),
    'transfer_long': {
      **common.measurement(
        (*apart, *thresholds), denoiser='{denoiser_long}', **trained
      ),
      **LONG,
    },
  }
