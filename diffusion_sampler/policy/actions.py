"""What a policy's logits mean: distributions over sets of positions.

An action is an array of places [B, L]: -1 where a position stays masked, else
its place in the order of the draw. Where several positions have place 0 the
action is a set: a Bernoulli draw has no order, and an expert names none.
Section 6.

Shapes: B sequences, L answer positions, X points of a quadrature.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from diffusion_sampler.sampling import rules
from diffusion_sampler.sampling import stats as stats_lib
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
  """log pi of an action, summed over eligible positions; 0 where none is.

  Under 'dpls' a set has the summed probability of all its orders, and a row
  that has eligible positions and draws none has probability 0 (`ops.NEVER`).
  """
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
  set_B = (chosen_BL & (place == 0)).sum(-1) > 1
  drawn_B = jax.lax.cond(
    set_B.any(),
    lambda: jnp.where(
      set_B, _dpls_set(logits, chosen_BL, eligible, rest_B), drawn_B
    ),
    lambda: drawn_B,
  )
  some_B = jnp.where(chosen_BL.any(-1), drawn_B + stop - rest_B, ops.NEVER)
  return jnp.where(eligible.any(-1), some_B, 0.0)


def _dpls_set(logits, chosen_BL, eligible, rest_B) -> Float[Array, ' B']:
  """log of the sum over orders of what precedes STOP, without naming them.

  An item with utility b waits an exponential time of rate exp(b). Once the
  first item i is out, a set S is drawn where the others of S come before STOP
  and before all that is left (utility `rest`, STOP included). In units of what
  is left, with e^x the time at which the first of that comes:

    sum_i softmax(b)_i int e^(x - e^x) prod_(k in S, k != i) F_k(x) dx,
    F_k(x) = 1 - exp(-exp(x + b_k - rest)).

  The integrand is analytic and falls off fast on both sides, so equal steps
  are exact to float32: it is as narrow as 1 / sqrt(|S|), and ends at log |S|.
  """
  length = logits.shape[-1]
  step = min(0.25, length**-0.5)
  x_X = np.arange(-17.0, math.log(length) + 3.0, step, np.float32)
  log_time_BLX = x_X + (logits - rest_B[:, None])[..., None]
  # Of a short time F is the time itself, less half of its square.
  short_BLX = jnp.minimum(log_time_BLX, -8.0)
  long_BLX = jnp.clip(log_time_BLX, -8.0, 4.0)
  come_BLX = jnp.where(
    log_time_BLX < -8.0,
    log_time_BLX - jnp.exp(short_BLX) / 2,
    jnp.log(-jnp.expm1(-jnp.exp(long_BLX))),
  )
  chosen_BL1 = chosen_BL[..., None]
  all_BX = jnp.where(chosen_BL1, come_BLX, 0.0).sum(1)
  first_BLX = jnp.where(chosen_BL1, logits[..., None] - come_BLX, ops.NEVER)
  first_BX = jax.nn.logsumexp(first_BLX, axis=1)
  log_each_BX = x_X - np.exp(x_X) + all_BX + first_BX
  total_B = jax.nn.logsumexp(jnp.where(eligible, logits, ops.NEVER), axis=-1)
  return jax.nn.logsumexp(log_each_BX, axis=-1) + math.log(step) - total_B


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
  noise_BL = rules.draws(pairs[:, 0], length, stats_lib.gumbel)
  first_BL = rules.best(logits + noise_BL, eligible)
  noise_BL = rules.draws(pairs[:, 1], length + 1, stats_lib.gumbel)
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
