"""Parts that configs share. Every field is one of a dataclass."""

from collections.abc import Mapping, Sequence
from typing import Any

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


def sweep(
  variants: Mapping[str, Mapping[str, Any]], seeds: Sequence[int]
) -> ConfigDict:
  """What launch.sweep runs, see launch/variants.py.

  Args:
    variants: {name: {dotted key: value}}, in the order of the table.
    seeds: each variant runs at each of them.
  """
  made = ConfigDict(allow_dotted_keys=True, sort_keys=False)
  for name, changes in variants.items():
    made[name] = ConfigDict(
      changes, allow_dotted_keys=True, sort_keys=False, convert_dict=False
    )
  return ConfigDict(dict(variants=made, seeds=tuple(seeds)))


def smollm2(*, scan_layers: bool, dtype: str) -> ConfigDict:
  """The shape of SmolLM2-135M, with the five tokens that training adds."""
  return ConfigDict(
    dict(
      vocab_size=49_152 + 5,
      layers=30,
      width=576,
      heads=9,
      kv_heads=3,
      mlp_width=1536,
      rope_base=100_000.0,
      norm_eps=1e-5,
      tied=True,
      scan_layers=scan_layers,
      remat=False,
      dtype=dtype,
    )
  )
