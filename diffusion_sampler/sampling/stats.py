"""What a rule may know of the denoiser: a few numbers a position.

Computed from last hidden states in one pass over blocks of the vocabulary, so
that no softmax over 126,464 words is ever whole in memory. The mask itself is
never predicted: its column is left out.

Shapes: B sequences, L answer positions, V vocabulary, D width, C columns of a
block, n blocks, h earlier passes, K largest probabilities.
"""

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, Key

from lm import inference, losses, ops

# (key, shape). JAX's own default makes it of one uniform float32, ends at 15.9,
# and hardly ever draws words of 1e-7.
gumbel = functools.partial(jax.random.gumbel, mode='high')


class Stats(struct.PyTreeNode):
  """Of the denoiser's distribution p at every answer position.

  Attributes:
    token: what would be written: the most probable one, or a draw.
    confidence: the largest probability, whatever token was drawn.
    chosen: probability of `token`; equals `confidence` unless drawn. Like all
      here it is of p itself, without temperature and noise.
    margin: the largest probability less the second largest.
    entropy: of p, in nats.
    divergence: KL(p of this pass || p of the pass before), of the last h
      passes, newest first; infinite where there was none.
    top: the K largest probabilities in descending order.
  """

  token: Int[Array, 'B L']
  confidence: Float[Array, 'B L']
  chosen: Float[Array, 'B L']
  margin: Float[Array, 'B L']
  entropy: Float[Array, 'B L']
  divergence: Float[Array, 'h B L']
  top: Float[Array, 'B L K']


class _Sums(struct.PyTreeNode):
  """Running over blocks; `total` and the moments are scaled by exp(-high)."""

  high: Array
  second: Array
  best: Array
  total: Array
  moment: Array  # of z - high
  noisy: Array
  drawn: Array
  drawn_logit: Array
  cross: Array | None  # of the earlier logits
  old_high: Array | None
  old_total: Array | None
  tops: Array | None  # the largest logits, where more than one is asked for


def _start(shape, before, tops) -> _Sums:
  never = jnp.full(shape, 2 * ops.NEVER)
  zero = jnp.zeros(shape)
  id0 = jnp.zeros(shape, jnp.int32)
  old = (zero, never, zero) if before else (None, None, None)
  few = jnp.full((*shape, tops), 2 * ops.NEVER) if tops > 1 else None
  return _Sums(never, never, id0, zero, zero, never, id0, never, *old, few)


def _add(s: _Sums, z, ids, noise, old) -> _Sums:
  """With one more block of logits z [B, L, C] of the columns `ids` [C]."""
  at = inference.argmax(z)
  top, top_id = z.max(-1), ids[at]
  rest = jnp.where(jnp.arange(z.shape[-1]) == at[..., None], -jnp.inf, z)
  runner_up = jnp.maximum(rest.max(-1), 2 * ops.NEVER)
  second = jnp.maximum(
    jnp.minimum(s.high, top), jnp.maximum(s.second, runner_up)
  )
  better = (top > s.high) | ((top == s.high) & (top_id < s.best))
  high = jnp.maximum(s.high, top)
  scale = jnp.exp(s.high - high)
  exp = jnp.exp(z - high[..., None])
  centred = exp * (z - high[..., None])
  moment = scale * (s.moment + s.total * (s.high - high)) + centred.sum(-1)
  out = s.replace(
    high=high,
    second=second,
    best=jnp.where(better, top_id, s.best),
    total=scale * s.total + exp.sum(-1),
    moment=moment,
  )
  if s.tops is not None:
    both = jnp.concatenate([s.tops, z], axis=-1)
    out = out.replace(tops=jax.lax.top_k(both, s.tops.shape[-1])[0])
  if noise is not None:
    noisy = z + noise
    at = inference.argmax(noisy)
    won = noisy.max(-1) > s.noisy
    logit = jnp.take_along_axis(z, at[..., None], -1)[..., 0]
    out = out.replace(
      noisy=jnp.maximum(noisy.max(-1), s.noisy),
      drawn=jnp.where(won, ids[at], s.drawn),
      drawn_logit=jnp.where(won, logit, s.drawn_logit),
    )
  if old is not None:
    old_high = jnp.maximum(s.old_high, old.max(-1))
    old_sum = jnp.exp(old - old_high[..., None]).sum(-1)
    out = out.replace(
      cross=scale * s.cross + (exp * old).sum(-1),
      old_high=old_high,
      old_total=s.old_total * jnp.exp(s.old_high - old_high) + old_sum,
    )
  return out


def stats(
  hidden: Float[Array, 'B L D'],
  table: Float[Array, 'V D'],
  mask_id: int,
  *,
  keys: Key[Array, ' B'] | None = None,
  temperature: float = 0.0,
  before: Float[Array, 'B L D'] | None = None,
  tops: int = 1,
  block: int = losses.BLOCK,
) -> Stats:
  """The statistics of softmax(hidden @ table.T) without the mask's column.

  Args:
    hidden: last hidden states at the answer positions, any float dtype.
    table: the unembedding. Logits themselves serve with an identity.
    mask_id: the column that may never be chosen.
    keys: one a row; consumed where `temperature` is positive.
    temperature: of the tokens (Gumbel-max of logits / temperature); 0 takes
      the most probable, equals go to the lowest id.
    before: hidden states of the pass before, for `divergence`.
    tops: K.
    block: columns a block, about.

  Returns:
    float32; `divergence` has h = 1 with `before`, else 0.
  """
  table = table.astype(hidden.dtype)
  if before is not None:
    before = before.astype(hidden.dtype)
  table_CnD, ids_Cn, bias_Cn = losses.vocab_blocks(table, mask_id, block)
  shape = hidden.shape[:2]

  def logits(h, table_CD, bias_C):
    z = jnp.einsum(
      'bld,cd->blc', h, table_CD, preferred_element_type=jnp.float32
    )
    return z + bias_C

  def body(sums, xs):
    number, table_CD, ids_C, bias_C = xs
    z = logits(hidden, table_CD, bias_C)
    noise = old = None
    if temperature > 0:
      noise = temperature * jax.vmap(
        lambda k: gumbel(
          jax.random.fold_in(k, number), (shape[1], ids_C.shape[0])
        )
      )(keys)
    if before is not None:
      old = logits(before, table_CD, bias_C)
    return _add(sums, z, ids_C, noise, old), None

  count = ids_Cn.shape[1]
  blocks = [a.swapaxes(0, 1) for a in (table_CnD, ids_Cn, bias_Cn)]
  xs = (jnp.arange(count), *blocks)
  start = _start(shape, before is not None, tops)
  if count == 1:
    s, _ = body(start, jax.tree.map(lambda a: a[0], xs))
  else:
    s, _ = jax.lax.scan(body, start, xs)
  return _finish(s, temperature > 0, before is not None)


def _finish(s: _Sums, drawn: bool, before: bool) -> Stats:
  confidence = 1.0 / s.total
  token, chosen = s.best, confidence
  if drawn:
    token, chosen = s.drawn, jnp.exp(s.drawn_logit - s.high) / s.total
  divergence = jnp.zeros((0, *s.high.shape))
  if before:
    mean = s.moment / s.total + s.high
    lse, old_lse = jnp.log(s.total) + s.high, jnp.log(s.old_total) + s.old_high
    kl = mean - s.cross / s.total - lse + old_lse
    divergence = jnp.maximum(kl, 0.0)[None]
  top = confidence[..., None]
  if s.tops is not None:
    top = jnp.exp(s.tops - s.high[..., None]) / s.total[..., None]
  return Stats(
    token=token,
    confidence=confidence,
    chosen=chosen,
    margin=confidence - jnp.exp(s.second - s.high) / s.total,
    # Rounding alone makes it negative.
    entropy=jnp.maximum(jnp.log(s.total) - s.moment / s.total, 0.0),
    divergence=divergence,
    top=top,
  )
