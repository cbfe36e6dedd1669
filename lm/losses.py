"""Token losses in float32, without ever holding [B, T, V] logits.

Everything a loss needs of the logits z are three numbers a position: the
log-sum-exp over the vocabulary, the logit of the target and, where one column
is set aside (LaCy's <CALL>), the logit of that column. `vocab_stats` computes
them, and their gradients, in blocks of the vocabulary; a loss is then a few
lines of ordinary differentiable code on [B, T] arrays.

Shapes: B sequences, T positions, R = B T rows, V vocabulary, D width; a block
has C columns and there are n of them.
"""

import functools

import einops
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from lm import inference, ops

# Columns a block. With 4,096 positions a block of logits is 16 MB in float32.
BLOCK = 1024
# Bytes of logits that may wait for the backward pass instead of being made
# again: a fifth of the step of a small model, nothing at the size of a pod's.
KEEP = 64 * 2**20


class VocabStats(struct.PyTreeNode):
  """Of the logits z at each position, float32 [B, T].

  `lse`: log-sum-exp over all columns but the excluded one. `target`: z of the
  target. `excluded`: z of the excluded column (-1e30 when there is none).
  """

  lse: Float[Array, 'B T']
  target: Float[Array, 'B T']
  excluded: Float[Array, 'B T']


def vocab_blocks(table_VD, excluded, block):
  """Table as [C, n, D], column ids [C, n] and additive bias [C, n].

  Block j holds the rows j, n + j, 2n + j, ...: each block then spans every
  shard of a table whose rows are sharded, and no block has to be gathered.
  """
  size = table_VD.shape[0]
  count = -(-size // block)
  columns = -(-size // count)
  padded = jnp.pad(table_VD, ((0, columns * count - size), (0, 0)))
  ids_Cn = jnp.arange(columns * count).reshape(columns, count)
  hidden_columns = ids_Cn >= size
  if excluded is not None:
    hidden_columns |= ids_Cn == excluded
  bias_Cn = jnp.where(hidden_columns, ops.NEVER, 0.0)
  return padded.reshape(columns, count, -1), ids_Cn, bias_Cn


def _apart(blocks, kept):
  """Blocks [C, n, ...] as one of C kept columns, and n - kept to scan over."""
  head = [x[:, :kept].reshape(-1, *x.shape[2:]) for x in blocks]
  return head, [x[:, kept:].swapaxes(0, 1) for x in blocks]


def _logits(hidden, table_CD):
  return jnp.einsum(
    '...d,cd->...c', hidden, table_CD, preferred_element_type=jnp.float32
  )


def _hide(z, size, excluded, columns, count, kept):
  """Puts NEVER into the kept columns that are padding, or excluded.

  Written into z in place: adding a bias would make a second array of its size.
  """
  padding = columns * count - size
  ranges = [((columns - 1) * kept + count - padding, columns * kept)]
  if excluded is not None and excluded % count < kept:
    column = excluded // count * kept + excluded % count
    ranges.append((column, column + 1))
  for begin, end in ranges:
    if begin < end:
      z = z.at[:, begin:end].set(ops.NEVER)
  return z


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def _stats(hidden, table, targets, excluded, block, keep):
  return _stats_fwd(hidden, table, targets, excluded, block, keep)[0]


def _stats_fwd(hidden, table, targets, excluded, block, keep):
  blocks_CnD, _, bias_Cn = vocab_blocks(table, excluded, block)
  rows = hidden.shape[:1]
  columns, count = bias_Cn.shape
  # The last block is always made again: never are all logits alive.
  kept = min(keep // (4 * rows[0] * columns), count - 1)
  head, rest = _apart((blocks_CnD, bias_Cn), kept)

  def body(carry, xs):
    table_CD, bias_C = xs
    z = _logits(hidden, table_CD) + bias_C
    high, total = carry
    new = jnp.maximum(high, z.max(-1))
    total = total * jnp.exp(high - new) + jnp.exp(z - new[..., None]).sum(-1)
    return (new, total), None

  carry, saved = (jnp.full(rows, ops.NEVER), jnp.zeros(rows)), None
  if kept:
    z = _logits(hidden, head[0])
    z = _hide(z, table.shape[0], excluded, columns, count, kept)
    high = z.max(-1)
    # Saved as exp(z - high), in the memory of z.
    exp = jnp.exp(z - high[..., None])
    carry, saved = (high, exp.sum(-1)), (exp, high)
  (high, total), _ = jax.lax.scan(body, carry, rest)
  wide = hidden.astype(jnp.float32)
  target = jnp.sum(wide * table[targets].astype(jnp.float32), -1)
  if excluded is None:
    apart = jnp.full(rows, ops.NEVER)
  else:
    apart = wide @ table[excluded].astype(jnp.float32)
  lse = high + jnp.log(total)
  return (lse, target, apart), (hidden, table, targets, lse, saved)


def _stats_bwd(excluded, block, keep, residuals, cotangents):
  del keep
  hidden, table, targets, lse, saved = residuals
  g_lse, g_target, g_apart = cotangents
  blocks = vocab_blocks(table, excluded, block)
  columns, count = blocks[1].shape
  kept = 0 if saved is None else saved[0].shape[-1] // columns
  head, rest = _apart(blocks, kept)

  def grads(g_hidden, softmax, table_CD, ids_C):
    dz = softmax * g_lse[..., None]
    # The one-hot rides along in this pass; a scatter afterwards is slower.
    hit = targets[..., None] == ids_C
    dz = (dz + jnp.where(hit, g_target[..., None], 0.0)).astype(hidden.dtype)
    g_hidden += jnp.einsum(
      'rc,cd->rd', dz, table_CD, preferred_element_type=jnp.float32
    )
    g_table = jnp.einsum(
      'rd,rc->dc', hidden, dz, preferred_element_type=jnp.float32
    )
    return g_hidden, g_table

  def body(g_hidden, xs):
    table_CD, ids_C, bias_C = xs
    z = _logits(hidden, table_CD) + bias_C
    return grads(g_hidden, jnp.exp(z - lse[..., None]), table_CD, ids_C)

  g_hidden, g_head = jnp.zeros(hidden.shape, jnp.float32), []
  if kept:
    exp, high = saved
    softmax = exp * jnp.exp(high - lse)[..., None]
    g_hidden, g = grads(g_hidden, softmax, *head[:2])
    g_head = [einops.rearrange(g, 'd (c n) -> c n d', n=kept)]
  g_hidden, g_rest = jax.lax.scan(body, g_hidden, rest)
  g_rest = einops.rearrange(g_rest, 'n d c -> c n d')
  g_blocks = jnp.concatenate([*g_head, g_rest], axis=1)
  g_table = g_blocks.reshape(columns * count, -1)[: table.shape[0]]
  if excluded is not None:
    row = table[excluded].astype(jnp.float32)
    g_hidden += g_apart[..., None] * row
    g_row = g_apart @ hidden.astype(jnp.float32)
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
  keep: int = KEEP,
) -> VocabStats:
  """What losses need of z = hidden @ table.T, differentiable in both.

  Costs one matmul of B T V D forward and two backward, and a third there for
  the columns whose logits are made again: those that `keep` does not hold.

  Args:
    hidden: last hidden states, any float dtype; sums are float32.
    table: the unembedding; cast to the dtype of `hidden` for the matmuls.
    targets: ids aligned with `hidden`; must lie in [0, V).
    excluded: a column kept out of `lse` and reported by itself.
    block: columns a block, about.
    keep: bytes of logits that may wait for the backward pass (there, their
      gradient takes as many again). The last block never does, so that the
      logits are never all alive.
  """
  # Rows: a block of logits and its gradient then share one buffer.
  rows = einops.rearrange(hidden, 'b t d -> (b t) d')
  stats = _stats(
    rows, table.astype(hidden.dtype), targets.ravel(), excluded, block, keep
  )
  return VocabStats(*(x.reshape(targets.shape) for x in stats))


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
  blocks = vocab_blocks(table.astype(hidden.dtype), excluded, block)

  def body(carry, xs):
    high, best = carry
    table_CD, ids_C, bias_C = xs
    z = _logits(hidden, table_CD) + bias_C
    new = z.max(-1)
    ids = ids_C[inference.argmax(z)]
    better = (new > high) | ((new == high) & (ids < best))
    return (jnp.where(better, new, high), jnp.where(better, ids, best)), None

  shape = hidden.shape[:2]
  start = (jnp.full(shape, 2 * ops.NEVER), jnp.zeros(shape, jnp.int32))
  return jax.lax.scan(body, start, _apart(blocks, 0)[1])[0]
