"""What a policy's logits mean: distributions over sets of positions.

An action is an array of places [B, L]: -1 where a position stays masked, else
its place in the order of the draw (0 for all where order has no meaning).
Section 6.

Shapes: B sequences, L answer positions.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from diffusion_sampler.sampling import rules
from lm import ops

KINDS = ('bernoulli', 'dpls')


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActionConfig:
  """Which distribution.

  Attributes:
    kind: 'bernoulli', every position by itself; or 'dpls', an ordered draw
      without replacement until STOP (dynamic Plackett-Luce).
    stop: the utility of STOP.
  """

  kind: str = 'bernoulli'
  stop: float = 0.0

  def __post_init__(self):
    if self.kind not in KINDS:
      raise ValueError(
        f'action.kind must be one of {", ".join(KINDS)}, got {self.kind!r}'
      )


def log_prob(
  config: ActionConfig,
  logits: Float[Array, 'B L'],
  place: Int[Array, 'B L'],
  eligible: Bool[Array, 'B L'],
  temperature: float = 1.0,
) -> Float[Array, ' B']:
  """log pi of an action, summed over eligible positions; 0 where none is."""
  logits = logits / temperature
  if config.kind == 'bernoulli':
    sign_BL = jnp.where(place >= 0, 1.0, -1.0)
    each_BL = jax.nn.log_sigmoid(sign_BL * logits)
    return jnp.where(eligible, each_BL, 0.0).sum(-1)
  return _dpls_log_prob(logits, place, eligible, config.stop / temperature)


def _dpls_log_prob(logits, place, eligible, stop):
  chosen_BL = eligible & (place >= 0)
  when_BL = jnp.where(chosen_BL, place, logits.shape[-1])
  # [b, k, j]: j was still there when k was drawn.
  there_BLL = eligible[:, None, :] & (
    when_BL[:, None, :] >= when_BL[:, :, None]
  )
  stop_BL1 = jnp.where(when_BL == 0, ops.NEVER, stop)[:, :, None]
  utility_BLL = jnp.where(there_BLL, logits[:, None, :], ops.NEVER)
  lse_BL = jax.nn.logsumexp(
    jnp.concatenate([utility_BLL, stop_BL1], axis=-1), axis=-1
  )
  drawn_B = jnp.where(chosen_BL, logits - lse_BL, 0.0).sum(-1)
  rest_BL = jnp.where(eligible & ~chosen_BL, logits, ops.NEVER)
  rest_B = jnp.logaddexp(jax.nn.logsumexp(rest_BL, axis=-1), stop)
  return jnp.where(eligible.any(-1), drawn_B + stop - rest_B, 0.0)


def draw(
  config: ActionConfig,
  logits: Float[Array, 'B L'],
  eligible: Bool[Array, 'B L'],
  keys: Key[Array, ' B'],
  *,
  temperature: float = 1.0,
  scale: float = 1.0,
  fallback: bool = False,
) -> Int[Array, 'B L']:
  """Places of one draw a row.

  Args:
    config: the distribution.
    logits: of the policy.
    eligible: what may be drawn.
    keys: one a row; consumed.
    temperature: divides the logits (and the utility of STOP).
    scale: multiplies the probabilities of 'bernoulli', cut at 1: beta-scaling,
      the knob for speed at test time. No effect on 'dpls'.
    fallback: where 'bernoulli' draws nothing, take the largest logit. 'dpls'
      always draws something.
  """
  logits = logits / temperature
  length = logits.shape[-1]
  if config.kind == 'bernoulli':
    chance_BL = jnp.minimum(scale * jax.nn.sigmoid(logits), 1.0)
    action = eligible & (rules.draws(keys, length) < chance_BL)
    if fallback:
      action = rules.at_least_one(action, logits, eligible)
    return jnp.where(action, 0, -1)
  # Gumbel noise turns a draw into a sort, which STOP cuts. The first item, with
  # which STOP does not compete, has noise of its own: one noise for all would
  # hold back the others, and not STOP, below the first.
  pairs = jax.vmap(jax.random.split)(keys)
  noise_BL = rules.draws(pairs[:, 0], length, jax.random.gumbel)
  first_BL = rules.best(logits + noise_BL, eligible)
  noise_BL = rules.draws(pairs[:, 1], length + 1, jax.random.gumbel)
  noisy_BL = jnp.where(first_BL, jnp.inf, logits + noise_BL[:, :length])
  stop_B1 = config.stop / temperature + noise_BL[:, length:]
  taken_BL = eligible & (noisy_BL > stop_B1)
  return jnp.where(taken_BL, rules.rank(noisy_BL, eligible), -1)


def entropy(
  logits: Float[Array, 'B L'], eligible: Bool[Array, 'B L']
) -> Float[Array, ' B']:
  """Mean entropy of the eligible positions' Bernoullis, for logs; in nats."""
  p = jax.nn.sigmoid(logits)
  each_BL = -(
    p * jax.nn.log_sigmoid(logits) + (1 - p) * jax.nn.log_sigmoid(-logits)
  )
  count_B = jnp.maximum(eligible.sum(-1), 1)
  return jnp.where(eligible, each_BL, 0.0).sum(-1) / count_B
