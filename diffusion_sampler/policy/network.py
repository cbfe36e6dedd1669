"""The unmasking policy: a transformer of one block over confidences.

Section 5: it sees the top-1 confidence and the mask bit of every
answer position and the share of passes spent, never the prompt, and gives one
logit a position. 331,265 parameters at the sizes of the paper.

Two things are as released rather than as one would have them: the time
embedding has a longest period of 1, so that its features take two values
(`period`), and gates are 1 + alpha with zero modulation, so that the block
begins as an ordinary pre-norm transformer. Rounding the time to bfloat16 is
left out.

Shapes: B sequences, L answer positions, K confidences a position, D width.
"""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from lm import layers, ops


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyConfig:
  """Sizes of the network.

  Attributes:
    width, mlp_width, heads: of its one block.
    time_features: of the embedding of time.
    period: longest period of the time embedding; 1 as released.
    confidences: largest probabilities seen a position; 1 but in an ablation.
    bias: of the head at the start: few are unmasked, rollouts are slow and
      right.
    see_mask, see_time: false withholds that input (an ablation).
  """

  width: int = 128
  mlp_width: int = 512
  heads: int = 2
  time_features: int = 128
  period: float = 1.0
  confidences: int = 1
  bias: float = -2.0
  see_mask: bool = True
  see_time: bool = True

  def __post_init__(self):
    if self.width % (2 * self.heads):
      raise ValueError(
        f'policy.width={self.width} must be a multiple of twice policy.heads='
        f'{self.heads}'
      )
    if self.time_features % 2 or self.time_features < 2:
      raise ValueError(
        f'policy.time_features={self.time_features} must be even'
      )
    if self.confidences < 1:
      raise ValueError(
        f'policy.confidences={self.confidences} must be at least 1'
      )


def time_features(
  time: Float[Array, ' B'], size: int, period: float
) -> Float[Array, 'B F']:
  """[cos(t w_j), sin(t w_j)], w_j = period ** (-j / half), half = size / 2."""
  half = size // 2
  rate = jnp.exp(-math.log(period) * jnp.arange(half) / half)
  angle = time[:, None] * rate
  return jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=-1)


def _uniform(fan_in: int):
  """PyTorch's default of a linear layer, for kernel and bias alike."""
  bound = fan_in**-0.5

  def init(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -bound, bound)

  return init


def _dense(size: int, fan_in: int, name: str, **changed) -> nn.Dense:
  inits = dict(kernel_init=_uniform(fan_in), bias_init=_uniform(fan_in))
  return nn.Dense(size, name=name, **(inits | changed))


def _norm(name: str) -> nn.LayerNorm:
  return nn.LayerNorm(epsilon=1e-5, name=name)


class Policy(nn.Module):
  """Confidences, mask bits and time to one logit a position."""

  config: PolicyConfig

  @nn.compact
  def __call__(
    self,
    confidence: Float[Array, 'B L K'],
    masked: Bool[Array, 'B L'],
    time: Float[Array, ' B'],
  ) -> Float[Array, 'B L']:
    """Logits of unmasking; those of positions not eligible mean nothing."""
    c = self.config
    d = c.width
    masked_BL1 = (masked & c.see_mask)[..., None]
    time_B = time * c.see_time
    h = _dense(d, c.confidences, 'confidence')(confidence)
    mask_embedding = nn.Embed(
      2, d, embedding_init=nn.initializers.normal(1.0), name='mask'
    )
    t = time_features(time_B, c.time_features, c.period)
    t = _dense(d, d, 'time_2')(nn.silu(_dense(d, c.time_features, 'time_1')(t)))
    zeros = nn.initializers.zeros
    # Of a bit and the time: two a row, not one a position.
    both_B2M = _dense(
      6 * d, d, 'modulation', kernel_init=zeros, bias_init=zeros
    )(mask_embedding(jnp.arange(2)) + t[:, None])
    scale_1, shift_1, gate_1, scale_2, shift_2, gate_2 = (
      jnp.where(masked_BL1, part[:, 1:], part[:, :1])
      for part in jnp.split(both_B2M, 6, axis=-1)
    )
    a = _norm('attention_norm')(h) * (1 + scale_1) + shift_1
    h = h + (1 + gate_1) * self._attend(a)
    f = _norm('mlp_norm')(h) * (1 + scale_2) + shift_2
    f = _dense(c.mlp_width, d, 'mlp_1')(f)
    f = _dense(d, c.mlp_width, 'mlp_2')(ops.gelu(f))
    h = h + (1 + gate_2) * f
    head = _dense(1, d, 'head', bias_init=nn.initializers.constant(c.bias))
    return head(_norm('head_norm')(h))[..., 0]

  def _attend(self, a):
    c = self.config
    batch, length, _ = a.shape
    shape = (batch, length, c.heads, c.width // c.heads)
    q, k, v = (
      _dense(c.width, c.width, name)(a).reshape(shape)
      for name in ('query', 'key', 'value')
    )
    positions = jnp.arange(length)[None]
    table = layers.rope_table(positions, shape[-1], 1e4)
    q, k = layers.rotate(q, table), layers.rotate(k, table)
    seen = jnp.ones((batch, length, length), bool)
    mixed = ops.attend(q, k, v, seen).reshape(a.shape)
    return _dense(c.width, c.width, 'out')(mixed)
