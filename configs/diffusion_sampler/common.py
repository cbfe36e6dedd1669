"""What the configs of diffusion_sampler share."""

from ml_collections import ConfigDict

from configs import common


def base(*, puzzle: str, vocab_size: int, smoke: bool) -> ConfigDict:
  """What the configs of diffusion_sampler share: puzzle, denoiser, samplers.

  The denoiser is deliberately small: with three layers it follows about one
  step of a puzzle a pass, so that passes matter.
  """
  c = ConfigDict()
  c.data = ConfigDict(
    dict(
      puzzle=puzzle,
      batch_size=256,
      eval_records=256,
      test_records=50 if smoke else 1000,
    )
  )
  c.model = ConfigDict(
    dict(vocab_size=vocab_size, layers=3, width=64, heads=2, mlp_width=128)
  )
  c.noise = ConfigDict(dict(form='rate', floor=1e-3))
  c.sampling = ConfigDict(
    dict(
      samplers='threshold(threshold=0.9)',
      blocks='0',
      hard=0,
      batch=64 if smoke else 512,
      temperature=0.0,
      frames=4,
    )
  )
  c.optim = common.optim(peak_lr=2e-3, warmup_steps=2 if smoke else 50)
  c.mesh = common.mesh()
  return c


def unmasking(c: ConfigDict, *, block: int = 0, prompts: int = 16) -> None:
  """Adds to a config of `base` the policy, its actions and GRPO.

  The paper's policy is 128 wide and learns at 3e-5 for about 900 rounds; on a
  puzzle 32 wide and 1e-3 are enough for minutes. At 3e-3 and above some fall
  silent for good: what writes nothing earns nothing to learn from.
  """
  c.denoiser = ''
  c.block = block
  c.data.batch_size = prompts
  c.policy = ConfigDict(
    dict(
      width=32,
      mlp_width=128,
      heads=2,
      time_features=32,
      period=1.0,
      confidences=1,
      bias=-2.0,
    )
  )
  c.action = ConfigDict(dict(kind='bernoulli', stop=0.0))
  c.grpo = ConfigDict(
    dict(
      alpha=1.0,
      reward='multiplicative',
      group=8,
      experts='',
      expert_block=4,
      clip=0.5,
      iterations=2,
      temperature=0.0,
      fallback=False,
    )
  )
  c.optim = common.optim(peak_lr=1e-3, warmup_steps=10)
  c.optim.b2 = 0.99
  c.optim.clip_norm = 0.2


def rules(smoke: bool) -> str:
  """The rules of a comparison, each at several speeds."""
  if smoke:
    return 'threshold(threshold=0.9);random(count=2)'
  found = [
    f'threshold(threshold={x})'
    for x in (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 2.0)
  ]
  found += [f'factor(factor={x})' for x in (0.3, 0.6, 1.0, 2.0)]
  found += [f'entropy_bounded(bound={x})' for x in (0.01, 0.1, 0.5, 1.0)]
  for by in ('confidence', 'margin', 'entropy'):
    found += [f'top_k(count={k},by={by})' for k in (1, 2, 4)]
  found += ['klass(steps=16)', 'klass(confidence=0.9,divergence=0.001,steps=8)']
  found += [f'random(count={k})' for k in (1, 2, 3, 4)]
  found += ['llada(steps=4)', 'dream(steps=4)', 'ancestral(steps=4)']
  found += [f'left_to_right(count={k})' for k in (1, 2, 3)]
  return ';'.join(found)


def denoiser_variant(smoke: bool, steps: int = 1200) -> str:
  """Changes that turn a config with `unmasking` into one of its denoiser."""
  return (
    'experiment=diffusion_sampler.train_denoiser data.batch_size=256 '
    'optim.peak_lr=2e-3 optim.warmup_steps=50 optim.b2=0.95 '
    'optim.clip_norm=1.0 sampling.samplers=threshold(threshold=0.9) '
    f'run.steps={2 if smoke else steps}'
  )


def denoiser(
  arg: str, *, puzzle: str, vocab_size: int, steps: int, block: int
) -> ConfigDict:
  """Trains a denoiser; the test has one rule, with and without blocks."""
  common.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = base(puzzle=puzzle, vocab_size=vocab_size, smoke=smoke)
  c.experiment = 'diffusion_sampler.training.puzzle_denoiser'
  c.sampling.blocks = f'0;{block}'
  steps = 4 if smoke else steps
  c.run = common.run(steps=steps, eval_every=max(steps // 4, 2))
  return c


def heuristics(
  arg: str, *, puzzle: str, vocab_size: int, blocks: str, hard: int
) -> ConfigDict:
  """Measures every rule on a denoiser that is there."""
  common.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = base(puzzle=puzzle, vocab_size=vocab_size, smoke=smoke)
  c.experiment = 'diffusion_sampler.evaluation.heuristics'
  c.denoiser = ''
  c.policy_run = ''
  c.sampling.samplers = rules(smoke)
  c.sampling.blocks = blocks
  c.sampling.hard = hard
  c.run = common.run(steps=1, eval_every=0)
  return c


def policy(
  arg: str, *, puzzle: str, vocab_size: int, blocks: str
) -> ConfigDict:
  """Trains a policy; a sweep also its denoiser, and measures every rule."""
  common.check_arg(arg, ('smoke',))
  smoke = arg == 'smoke'
  c = base(puzzle=puzzle, vocab_size=vocab_size, smoke=smoke)
  c.experiment = 'diffusion_sampler.training.puzzle_policy'
  c.policy_run = ''
  unmasking(c, prompts=2 if smoke else 16)
  c.sampling.samplers = (
    'policy;policy(fallback=0);policy(scale=0.5);policy(scale=2)'
  )
  c.run = common.run(steps=2 if smoke else 200, eval_every=0)
  here = 'denoiser={denoiser}'
  variants = (
    ('denoiser', denoiser_variant(smoke)),
    (
      'heuristics',
      f'experiment=diffusion_sampler.heuristics run.steps=1 {here} '
      f'sampling.samplers={rules(smoke)} sampling.blocks={blocks}',
    ),
    *((f'policy_a={a}', f'{here} grpo.alpha={a}') for a in (0.3, 3)),
  )
  seeds = (0,) if smoke else (0, 1, 2)
  c.sweep = ConfigDict(dict(variants=variants, seeds=seeds))
  return c
