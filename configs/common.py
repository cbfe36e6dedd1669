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
  c.optim = optim(peak_lr=3e-3, warmup_steps=10)
  c.optim.b2 = 0.99
  c.optim.clip_norm = 0.2
