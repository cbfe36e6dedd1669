"""Clipped AdamW with a warmed-up schedule, and L-BFGS for small fits."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from engine import experiment

SCHEDULES = ('cosine', 'linear', 'constant')


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimConfig:
  """AdamW and its schedule.

  The rate rises linearly over `warmup_steps`, then follows `schedule` down to
  `final_ratio` of the peak. Norm scales and biases do not decay.
  """

  peak_lr: float = 1e-3
  warmup_steps: int = 100
  schedule: str = 'cosine'
  final_ratio: float = 0.1
  weight_decay: float = 0.1
  b1: float = 0.9
  b2: float = 0.95
  clip_norm: float = 1.0

  def __post_init__(self):
    if self.schedule not in SCHEDULES:
      raise ValueError(
        f'optim.schedule must be one of {", ".join(SCHEDULES)}, got '
        f'{self.schedule!r}'
      )
    if not self.peak_lr > 0:
      raise ValueError(f'optim.peak_lr must be positive, got {self.peak_lr}')


class Part(NamedTuple):
  """Which parameters are trained; the rest is frozen.

  `take(params)` gives them as a tree, `put(params, part)` puts them back. The
  optimiser sees, and keeps moments of, that tree alone.
  """

  take: Callable
  put: Callable


WHOLE = Part(take=lambda params: params, put=lambda params, part: part)


def schedule(config: OptimConfig, steps: int) -> optax.Schedule:
  """Learning rate by step."""
  peak, end = config.peak_lr, config.peak_lr * config.final_ratio
  rest = max(steps - config.warmup_steps, 1)
  after = {
    'cosine': optax.cosine_decay_schedule(peak, rest, config.final_ratio),
    'linear': optax.linear_schedule(peak, end, rest),
    'constant': optax.constant_schedule(peak),
  }[config.schedule]
  if not config.warmup_steps:
    return after
  rise = optax.linear_schedule(0.0, peak, config.warmup_steps)
  # Step 0 already moves: the rise starts at peak / warmup, not at zero.
  joined = optax.join_schedules([rise, after], [config.warmup_steps])
  return lambda step: joined(step + 1)


def _decays(params):
  def kernel(path, _):
    return not any(
      getattr(entry, 'key', None) in ('scale', 'bias') for entry in path
    )

  return jax.tree_util.tree_map_with_path(kernel, params)


def make(
  config: OptimConfig, steps: int
) -> tuple[optax.GradientTransformation, optax.Schedule]:
  """The optax chain and its schedule."""
  rate = schedule(config, steps)
  chain = optax.chain(
    optax.clip_by_global_norm(config.clip_norm),
    optax.adamw(
      rate,
      b1=config.b1,
      b2=config.b2,
      weight_decay=config.weight_decay,
      mask=_decays,
    ),
  )
  return chain, rate


def apply(
  optimiser: optax.GradientTransformation,
  state: experiment.TrainState,
  grads,
  part: Part = WHOLE,
) -> tuple[experiment.TrainState, dict[str, jnp.ndarray]]:
  """The state after one update, and the norm of the gradient of `part`."""
  trained = part.take(state.params)
  updates, opt_state = optimiser.update(grads, state.opt_state, trained)
  params = part.put(state.params, optax.apply_updates(trained, updates))
  state = experiment.TrainState(
    step=state.step + 1, params=params, opt_state=opt_state
  )
  return state, {'grad_norm': optax.tree.norm(grads)}


def lbfgs(loss: Callable, start, iterations: int):
  """Minimises `loss(parameters)` by L-BFGS, for small fits on all the data.

  Args:
    loss: maps a tree of parameters to a scalar.
    start: parameters to begin with.
    iterations: number of updates.

  Returns:
    The parameters after the last update.
  """
  solver = optax.lbfgs()
  value_and_grad = optax.value_and_grad_from_state(loss)

  def step(_, carry):
    params, state = carry
    value, grad = value_and_grad(params, state=state)
    updates, state = solver.update(
      grad, state, params, value=value, grad=grad, value_fn=loss
    )
    return optax.apply_updates(params, updates), state

  carry = start, solver.init(start)
  return jax.lax.fori_loop(0, iterations, step, carry)[0]
