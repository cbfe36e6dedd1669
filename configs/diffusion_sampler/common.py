"""What the configs of diffusion_sampler share."""

from ml_collections import ConfigDict

from configs import common

POLICY = 'diffusion_sampler.training.puzzle_policy'
# Sections of a policy's config that neither a denoiser nor a measurement reads.
OF_POLICY = ('policy', 'action', 'grpo', 'block')


def sampler(rule: str, **options) -> dict:
  """A rule of diffusion_sampler/sampling/rules.py, or 'policy'."""
  return {'rule': rule, **options}


SURE = sampler('threshold', threshold=0.9)


def _puzzle(puzzle: str, *, smoke: bool, batch: int = 256) -> ConfigDict:
  return ConfigDict(
    dict(
      puzzle=puzzle,
      batch_size=batch,
      eval_records=256,
      test_records=50 if smoke else 1000,
    )
  )


def _model(vocab_size: int, **changed: int) -> dict[str, int]:
  """Deliberately small: with three layers a denoiser follows about one step of
  a puzzle a pass, so that passes matter."""
  sizes = dict(layers=3, width=64, heads=2, mlp_width=128)
  return dict(vocab_size=vocab_size) | sizes | changed


def _noise() -> dict:
  return dict(form='rate', floor=1e-3)


def _sampling(samplers, *, blocks=(0,), hard: int = 0, smoke: bool):
  return ConfigDict(
    dict(
      samplers=tuple(samplers),
      blocks=tuple(blocks),
      hard=hard,
      batch=64 if smoke else 512,
      temperature=0.0,
      frames=4,
    )
  )


def rules(smoke: bool) -> tuple[dict, ...]:
  """The rules of a comparison, each at several speeds."""
  if smoke:
    return SURE, sampler('random', count=2)
  return (
    *thresholds(smoke),
    *(sampler('factor', factor=x) for x in (0.3, 0.6, 1.0, 2.0)),
    *(sampler('entropy_bounded', bound=x) for x in (0.01, 0.1, 0.5, 1.0)),
    *(
      sampler('top_k', count=k, by=by)
      for by in ('confidence', 'margin', 'entropy')
      for k in (1, 2, 4)
    ),
    sampler('klass', steps=16),
    sampler('klass', confidence=0.9, divergence=0.001, steps=8),
    *(sampler('random', count=k) for k in (1, 2, 3, 4)),
    *(sampler(name, steps=4) for name in ('llada', 'dream', 'ancestral')),
    *(sampler('left_to_right', count=k) for k in (1, 2, 3)),
  )


def thresholds(smoke: bool) -> tuple[dict, ...]:
  """The same by confidence alone."""
  few = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 2.0)
  return tuple(
    sampler('threshold', threshold=x) for x in ((0.9,) if smoke else few)
  )


def unmasking(*, experts=(), expert_block: int = 4) -> dict[str, ConfigDict]:
  """The policy, its actions, GRPO and the optimiser.

  The paper's policy is 128 wide and learns at 3e-5 for about 900 rounds; on a
  puzzle 32 wide and 1e-3 are enough for minutes. At 3e-3 and above some fall
  silent for good: what writes nothing earns nothing to learn from.
  """
  optim = common.optim(peak_lr=1e-3, warmup_steps=10)
  optim.b2 = 0.99
  optim.clip_norm = 0.2
  return dict(
    policy=ConfigDict(
      dict(
        width=32,
        mlp_width=128,
        heads=2,
        time_features=32,
        period=1.0,
        confidences=1,
        bias=-2.0,
      )
    ),
    action=ConfigDict(dict(kind='bernoulli', stop=0.0)),
    grpo=ConfigDict(
      dict(
        alpha=1.0,
        reward='multiplicative',
        group=8,
        experts=tuple(experts),
        expert_block=expert_block,
        clip=0.5,
        iterations=2,
        temperature=0.0,
        fallback=False,
      )
    ),
    optim=optim,
  )


def denoiser(
  *, puzzle: str, vocab_size: int, steps: int, block: int, smoke: bool
) -> ConfigDict:
  """Trains a denoiser; the test has one rule, with and without blocks."""
  c = ConfigDict()
  c.experiment = 'diffusion_sampler.training.puzzle_denoiser'
  c.data = _puzzle(puzzle, smoke=smoke)
  c.model = ConfigDict(_model(vocab_size))
  c.noise = ConfigDict(_noise())
  c.sampling = _sampling((SURE,), blocks=(0, block), smoke=smoke)
  c.optim = common.optim(peak_lr=2e-3, warmup_steps=2 if smoke else 50)
  steps = 4 if smoke else steps
  c.run = common.run(steps=steps, eval_every=max(steps // 4, 2))
  c.mesh = common.mesh()
  return c


def heuristics(
  *, puzzle: str, blocks: tuple[int, ...], hard: int, smoke: bool
) -> ConfigDict:
  """Measures every rule on a denoiser that is there."""
  c = ConfigDict()
  c.experiment = 'diffusion_sampler.evaluation.heuristics'
  c.data = _puzzle(puzzle, smoke=smoke)
  c.denoiser = ''
  c.policy_run = ''
  c.sampling = _sampling(rules(smoke), blocks=blocks, hard=hard, smoke=smoke)
  c.run = common.run(steps=1, eval_every=0)
  c.mesh = common.mesh()
  return c


def policy(
  *, puzzle: str, samplers, hard: int = 0, expert_block: int = 4, smoke: bool
) -> ConfigDict:
  """Trains a policy on a denoiser that is there."""
  c = ConfigDict()
  c.experiment = POLICY
  c.data = _puzzle(puzzle, smoke=smoke, batch=2 if smoke else 16)
  c.denoiser = ''
  c.block = 0
  c.sampling = _sampling(samplers, hard=hard, smoke=smoke)
  c.update(unmasking(expert_block=expert_block))
  c.run = common.run(steps=2 if smoke else 200, eval_every=0)
  c.mesh = common.mesh()
  return c


def denoiser_variant(
  *, vocab_size: int, smoke: bool, steps: int = 1200, **sizes: int
) -> dict:
  """Changes that turn the config of a policy into one of its denoiser."""
  return {
    'experiment': 'diffusion_sampler.training.puzzle_denoiser',
    'model': _model(vocab_size, **sizes),
    'noise': _noise(),
    **dict.fromkeys((*OF_POLICY, 'denoiser')),
    'data.batch_size': 256,
    'optim.peak_lr': 2e-3,
    'optim.warmup_steps': 50,
    'optim.b2': 0.95,
    'optim.clip_norm': 1.0,
    'sampling.samplers': (SURE,),
    'run.steps': 2 if smoke else steps,
  }


def measurement(
  samplers, *, denoiser: str = '{denoiser}', policy_run: str = ''
) -> dict:
  """Changes that turn the config of a policy into one that measures."""
  return {
    'experiment': 'diffusion_sampler.evaluation.heuristics',
    **dict.fromkeys((*OF_POLICY, 'optim')),
    'denoiser': denoiser,
    'policy_run': policy_run,
    'sampling.samplers': tuple(samplers),
    'run.steps': 1,
  }
