"""Worlds in which the geometry of truth is known: shared, not, or in part.

  x = centre_t + (y - 1/2) (a shared + b specific_t) + nuisance + noise

`shared` and `specific_t` are unit vectors, `centre_t` sets the tasks apart,
the nuisance is of low rank and the noise has variance one. With a = 0 every
task has a truth of its own, with b = 0 all have one. docs/papers/probes.md
section 10 has what an independent prototype measured.

Shapes: T tasks, N samples, D features.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array

from probes.comparing import mixtures


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
  """What a world is made of.

  `train` and `test` are samples a task; `apart` is the length of a task's
  centre, `nuisance` the deviation along each of `rank` directions that all
  tasks share.
  """

  shared: float
  specific: float
  tasks: int = 7
  train: int = 800
  test: int = 800
  width: int = 256
  apart: float = 6.0
  rank: int = 8
  nuisance: float = 2.0

  def __post_init__(self):
    for name in ('tasks', 'train', 'test', 'width', 'rank'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'world.{name} must be positive, got {getattr(self, name)}'
        )


@functools.partial(jax.jit, static_argnames='world')
def draw(key: Array, world: World) -> mixtures.Samples:
  """One world, and samples of it with both labels in equal shares."""
  keys = iter(jax.random.split(key, 8))
  tasks, width = world.tasks, world.width
  samples = world.train + world.test

  def unit(*shape):
    v = jax.random.normal(next(keys), shape)
    return v / jnp.linalg.norm(v, axis=-1, keepdims=True)

  centre_TD = world.apart * unit(tasks, width)
  truth_TD = world.shared * unit(width) + world.specific * unit(tasks, width)
  basis_RD = world.nuisance * unit(world.rank, width)
  y_TN = jnp.broadcast_to(jnp.arange(samples) % 2, (tasks, samples))
  y_TN = y_TN.astype(jnp.float32)
  x_TND = centre_TD[:, None] + (y_TN[..., None] - 0.5) * truth_TD[:, None]
  x_TND += jax.random.normal(next(keys), (tasks, samples, world.rank)) @ (
    basis_RD
  )
  x_TND += jax.random.normal(next(keys), (tasks, samples, width))
  train_TN = jnp.broadcast_to(jnp.arange(samples) < world.train, y_TN.shape)
  return mixtures.Samples(x_TND, y_TN, train_TN, ~train_TN)
