"""Token losses in float32, without ever holding [B, T, V] logits.

Everything a loss needs of the logits z are three numbers a position: the
log-sum-exp over the vocabulary, the logit of the target and, where one column
is set aside (LaCy's <CALL>), the logit of that column. `vocab_stats` computes
them, and their gradients, in blocks of the vocabulary; a loss is then a few
lines of ordinary differentiable code on [B, T] arrays.

Shapes: B sequences, T positions, V vocabulary, D width; a block has C columns
and there are n of them.
"""

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from lm import ops

# Columns a block. With 4,096 positions a block of logits is 16 MB in float32.
BLOCK = 1024


class VocabStats(struct.PyTreeNode):
  """Of the logits z at each position, float32 [B, T].

  `lse`: log-sum-exp over all columns but the excluded one. `target`: z of the
  target. `excluded`: z of the excluded column (-1e30 when there is none).
  """

  lse: Float[Array, 'B T']
  target: Float[Array, 'B T']
  excluded: Float[Array, 'B T']


def _blocks(table_VD, excluded, block):
  """Table as [n, C, D], column ids [n, C] and additive bias [n, C].

  Block j holds the rows j, n + j, 2n + j, ...: each block then spans every
  shard of a table whose rows are sharded, and no block has to be gathered.
  """
  size = table_VD.shape[0]
  count = -(-size // block)
  columns = -(-size // count)
  padded = jnp.pad(table_VD, ((0, columns * count - size), (0, 0)))
  ids_nC = jnp.arange(columns * count).reshape(columns, count).T
  hidden_columns = ids_nC >= size
  if excluded is not None:
    hidden_columns |= ids_nC == excluded
  bias_nC = jnp.where(hidden_columns, ops.NEVER, 0.0)
  table_nCD = padded.reshape(columns, count, -1).swapaxes(0, 1)
  return table_nCD, ids_nC, bias_nC


def _logits(hidden_BTD, table_CD, bias_C):
  z = jnp.einsum(
    'btd,cd->btc',
    hidden_BTD,
    table_CD,
    preferred_element_type=jnp.float32,
  )
  return z + bias_C


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _stats(hidden, table, targets, excluded, block):
  return _stats_fwd(hidden, table, targets, excluded, block)[0]


def _stats_fwd(hidden, table, targets, excluded, block):
  table_nCD, _, bias_nC = _blocks(table, excluded, block)

  def body(carry, xs):
    high, total = carry
    z = _logits(hidden, *xs)
    new = jnp.maximum(high, z.max(-1))
    total = total * jnp.exp(high - new) + jnp.exp(z - new[..., None]).sum(-1)
    return (new, total), None

  shape = hidden.shape[:2]
  start = (jnp.full(shape, ops.NEVER), jnp.zeros(shape))
  (high, total), _ = jax.lax.scan(body, start, (table_nCD, bias_nC))
  wide = hidden.astype(jnp.float32)
  target = jnp.sum(wide * table[targets].astype(jnp.float32), -1)
  if excluded is None:
    apart = jnp.full(shape, ops.NEVER)
  else:
    apart = wide @ table[excluded].astype(jnp.float32)
  lse = high + jnp.log(total)
  return (lse, target, apart), (hidden, table, targets, lse)


def _stats_bwd(excluded, block, saved, cotangents):
  hidden, table, targets, lse = saved
  g_lse, g_target, g_apart = cotangents
  table_nCD, ids_nC, bias_nC = _blocks(table, excluded, block)

  def body(g_hidden, xs):
    table_CD, ids_C, bias_C = xs
    z = _logits(hidden, table_CD, bias_C)
    dz = jnp.exp(z - lse[..., None]) * g_lse[..., None]
    # The one-hot rides along in this pass; a scatter afterwards is slower.
    hit = targets[..., None] == ids_C
    dz = (dz + jnp.where(hit, g_target[..., None], 0.0)).astype(hidden.dtype)
    g_hidden += jnp.einsum(
      'btc,cd->btd', dz, table_CD, preferred_element_type=jnp.float32
    )
    g_table = jnp.einsum(
      'btd,btc->dc', hidden, dz, preferred_element_type=jnp.float32
    )
    return g_hidden, g_table

  g_hidden, g_table = jax.lax.scan(
    body, jnp.zeros(hidden.shape, jnp.float32), (table_nCD, ids_nC, bias_nC)
  )
  g_table = jnp.einsum('ndc->cnd', g_table).reshape(-1, table.shape[1])
  g_table = g_table[: table.shape[0]]
  if excluded is not None:
    row = table[excluded].astype(jnp.float32)
    g_hidden += g_apart[..., None] * row
    g_row = jnp.einsum('bt,btd->d', g_apart, hidden.astype(jnp.float32))
    g_table = g_table.at[excluded].add(g_row)
  return g_hidden.astype(hidden.dtype), g_table.astype(table.dtype), None


_stats.defvjp(_stats_fwd, _stats_bwd)


def vocab_stats(
  hidden: Float[Array, 'B T D'],
  table: Float[Array, 'V D'],
  targets: Int[Array, 'B T'],
  *,
  excluded: int | None = None,
  block: int = BLOCK,
) -> VocabStats:
  """What losses need of z = hidden @ table.T, differentiable in both.

  Costs four matmuls of B T V D (one forward, three backward: the logits are
  made again) and holds one [B, T, C] block at a time.

  Args:
    hidden: last hidden states, any float dtype; sums are float32.
    table: the unembedding; cast to the dtype of `hidden` for the matmuls.
    targets: ids aligned with `hidden`; must lie in [0, V).
    excluded: a column kept out of `lse` and reported by itself.
    block: columns a block, about.
  """
  lse, target, apart = _stats(
    hidden, table.astype(hidden.dtype), targets, excluded, block
  )
  return VocabStats(lse=lse, target=target, excluded=apart)


def vocab_top(
  hidden: Float[Array, 'B T D'],
  table: Float[Array, 'V D'],
  *,
  excluded: int | None = None,
  block: int = BLOCK,
) -> tuple[Float[Array, 'B T'], Int[Array, 'B T']]:
  """Largest logit and its id, the excluded column left out; no gradient.

  Equal logits go to the lowest id, as in `argmax`.
  """
  table_nCD, ids_nC, bias_nC = _blocks(
    table.astype(hidden.dtype), excluded, block
  )

  def body(carry, xs):
    high, best = carry
    table_CD, ids_C, bias_C = xs
    z = _logits(hidden, table_CD, bias_C)
    new = z.max(-1)
    ids = ids_C[z.argmax(-1)]
    better = (new > high) | ((new == high) & (ids < best))
    return (jnp.where(better, new, high), jnp.where(better, ids, best)), None

  shape = hidden.shape[:2]
  start = (jnp.full(shape, 2 * ops.NEVER), jnp.zeros(shape, jnp.int32))
  return jax.lax.scan(body, start, (table_nCD, ids_nC, bias_nC))[0]
