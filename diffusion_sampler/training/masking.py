"""The forward process: which tokens are hidden, and what each one weighs.

Absorbing diffusion (sections 2.1, 2.2): at time t in [0, 1] every answer token
is replaced by the mask with probability t, one t a sequence; at t = 1 all are.
Summed cross-entropy of the hidden tokens, each times its weight, is then an
unbiased estimate of an upper bound on the negative log-likelihood (2.1). The
prompt is never hidden.

Shapes: B sequences, T positions.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key

FORMS = ('rate', 'count')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise:
  """How much to hide.

  Attributes:
    form: 'rate' hides each token with probability t and weighs it 1 / t;
      'count' hides exactly l positions, l uniform on 1 .. L, and weighs them
      L / l: the same expectation with less variance (LLaDA's evaluation).
    floor: rates are squeezed to (1 - floor) t + floor, so that no weight
      exceeds 1 / floor (LLaDA's epsilon).
  """

  form: str = 'rate'
  floor: float = 1e-3

  def __post_init__(self):
    if self.form not in FORMS:
      raise ValueError(
        f'noise.form must be one of {", ".join(FORMS)}, got {self.form!r}'
      )
    if not 0.0 <= self.floor < 1.0:
      raise ValueError(f'noise.floor must lie in [0, 1), got {self.floor}')


class Hidden(struct.PyTreeNode):
  """`tokens` with the mask where `masked`, and the weight of each target."""

  tokens: Int[Array, 'B T']
  masked: Bool[Array, 'B T']
  weights: Float[Array, 'B T']


def times(key: Key[Array, ''], count: int) -> Float[Array, ' B']:
  """`count` times on [0, 1), each uniform, together evenly spread.

  (t_0 + i / B) mod 1, as in md4: one draw for the batch, so that the loss of
  batches varies less than with independent times.
  """
  first = jax.random.uniform(key)
  return (first + jnp.arange(count) / count) % 1.0


def hide(
  key: Key[Array, ''],
  tokens: Int[Array, 'B T'],
  answer: Bool[Array, 'B T'],
  mask_id: int,
  noise: Noise,
) -> Hidden:
  """Hides answer tokens at a random time of each sequence.

  Args:
    key: consumed.
    tokens: clean sequences.
    answer: which positions may be hidden; the prompt and padding may not.
    mask_id: what stands where a token is hidden.
    noise: see `Noise`.

  Returns:
    Weights are 1 / t, or L / l, where hidden and 0 elsewhere. Divided by the
    number of answer tokens the weighted sum is nats a token.
  """
  time_key, place_key = jax.random.split(key)
  rate_B = times(time_key, tokens.shape[0])
  draw_BT = jax.random.uniform(place_key, tokens.shape)
  if noise.form == 'rate':
    rate_B1 = ((1.0 - noise.floor) * rate_B + noise.floor)[:, None]
    masked_BT = answer & (draw_BT < rate_B1)
    weight_B1 = 1.0 / rate_B1
  else:
    length_B = answer.sum(-1)
    count_B = 1 + jnp.floor(rate_B * length_B).astype(jnp.int32)
    count_B = jnp.minimum(count_B, length_B)  # 0 where there is no answer
    order_BT = jnp.where(answer, draw_BT, jnp.inf)
    rank_BT = jnp.argsort(jnp.argsort(order_BT, -1), -1)
    masked_BT = answer & (rank_BT < count_B[:, None])
    weight_B1 = (length_B / jnp.maximum(count_B, 1))[:, None]
  return Hidden(
    tokens=jnp.where(masked_BT, mask_id, tokens),
    masked=masked_BT,
    weights=jnp.where(masked_BT, weight_B1, 0.0),
  )
