"""Parts that configs share. Every field is a field of a dataclass below."""

from ml_collections import ConfigDict


def check_arg(arg: str, known: tuple[str, ...]) -> None:
  """Raises ValueError unless `--config=file.py:arg` is empty or known."""
  if arg and arg not in known:
    raise ValueError(
      f'config argument must be one of {", ".join(known)}; got {arg!r}'
    )


def optim(*, peak_lr: float, warmup_steps: int) -> ConfigDict:
  """AdamW, see engine.optim.OptimConfig."""
  return ConfigDict(
    dict(
      peak_lr=peak_lr,
      warmup_steps=warmup_steps,
      schedule='cosine',
      final_ratio=0.1,
      weight_decay=0.1,
      b1=0.9,
      b2=0.95,
      clip_norm=1.0,
    )
  )


def run(
  *, steps: int, eval_every: int, log_every: int = 20, save_every: int = 0
) -> ConfigDict:
  """The loop, see engine.loop.RunConfig."""
  return ConfigDict(
    dict(
      steps=steps,
      seed=0,
      log_every=log_every,
      eval_every=eval_every,
      save_every=save_every,
      keep=2,
      tensorboard=False,
    )
  )


def mesh(*, data: int = -1, fsdp: int = 1, model: int = 1) -> ConfigDict:
  """Devices along each axis, see engine.mesh.MeshConfig."""
  return ConfigDict(dict(data=data, fsdp=fsdp, model=model))


def diffusion(*, puzzle: str, vocab_size: int, smoke: bool) -> ConfigDict:
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
      batch=50 if smoke else 500,
      temperature=0.0,
      frames=4,
    )
  )
  c.optim = optim(peak_lr=2e-3, warmup_steps=2 if smoke else 50)
  c.mesh = mesh()
  return c


def unmasking(c: ConfigDict, *, block: int = 0, prompts: int = 16) -> None:
  """Adds to a config of `diffusion` the policy, its actions and GRPO.

  The paper's policy is 128 wide and learns at 3e-5 for about 900 rounds; on a
  puzzle 32 wide and a hundred times that rate are enough for minutes.
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
  c.optim = optim(peak_lr=5e-3, warmup_steps=10)
  c.optim.b2 = 0.99
  c.optim.clip_norm = 0.2


def unmasking_rules(smoke: bool) -> str:
  """The rules of a comparison, each at several speeds."""
  if smoke:
    return 'threshold(threshold=0.9);random(count=2)'
  rules = [
    f'threshold(threshold={x})'
    for x in (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 2.0)
  ]
  rules += [f'factor(factor={x})' for x in (0.3, 0.6, 1.0, 2.0)]
  rules += [f'entropy_bounded(bound={x})' for x in (0.01, 0.1, 0.5, 1.0)]
  for by in ('confidence', 'margin', 'entropy'):
    rules += [f'top_k(count={k},by={by})' for k in (1, 2, 4)]
  rules += ['klass(steps=16)', 'klass(confidence=0.9,divergence=0.001,steps=8)']
  rules += [f'random(count={k})' for k in (1, 2, 3, 4)]
  rules += ['llada(steps=4)', 'dream(steps=4)', 'ancestral(steps=4)']
  rules += [f'left_to_right(count={k})' for k in (1, 2, 3)]
  return ';'.join(rules)


def denoiser_variant(smoke: bool, steps: int = 1200) -> str:
  """Changes that turn a config with `unmasking` into one of its denoiser."""
  return (
    'experiment=diffusion_sampler.train_denoiser data.batch_size=256 '
    'optim.peak_lr=2e-3 optim.warmup_steps=50 optim.b2=0.95 '
    'optim.clip_norm=1.0 sampling.samplers=threshold(threshold=0.9) '
    f'run.steps={2 if smoke else steps}'
  )


def unmasking_variants(smoke: bool, blocks: str) -> tuple[tuple[str, str], ...]:
  """A denoiser, every rule on it, and policies for two prices of a pass."""
  here = 'denoiser={denoiser}'
  return (
    ('denoiser', denoiser_variant(smoke)),
    (
      'heuristics',
      f'experiment=diffusion_sampler.heuristics run.steps=1 {here} '
      f'sampling.samplers={unmasking_rules(smoke)} sampling.blocks={blocks}',
    ),
    *((f'policy_a={a}', f'{here} grpo.alpha={a}') for a in (0.3, 3)),
  )
