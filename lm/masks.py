"""Who may look at whom: causal, bidirectional and segment masks.

Masks are booleans, true where a query may see a key. A `Mask` stays symbolic
until a block of it is asked for, so that attention can leave out the blocks
that lie wholly in a causal future.

Shapes: B sequences, T queries, S keys.
"""

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Int

QUERY_BLOCK = 128
# A window that leaves nothing out.
FAR = 2**30


class Mask(struct.PyTreeNode):
  """Causal or not, within equal `segments` (None: one segment).

  `window`: a query sees keys less than that many positions before it (None:
  all); where not causal, as many after it. An array, so that scanned layers
  can choose. `opened`: where causal, the later keys that a query sees all the
  same (None: none of them).
  """

  causal: bool = struct.field(pytree_node=False, default=True)
  segments: Int[Array, 'B T'] | None = None
  window: Int[Array, ''] | int | None = None
  opened: Bool[Array, 'T T'] | None = None

  def block(self, batch, queries: slice, keys: slice) -> Bool[Array, 'B T S']:
    """The mask of a range of queries against a range of keys."""
    shape = (batch, queries.stop - queries.start, keys.stop - keys.start)
    allowed = jnp.ones(shape, bool)
    ahead = jnp.arange(queries.start, queries.stop)[:, None] - jnp.arange(
      keys.start, keys.stop
    )
    if self.causal:
      before = ahead >= 0
      if self.opened is not None:
        before |= self.opened[queries, keys]
      allowed &= before
    if self.window is not None:
      allowed &= jnp.abs(ahead) < self.window
    if self.segments is not None:
      mine, theirs = self.segments[:, queries], self.segments[:, keys]
      allowed &= mine[:, :, None] == theirs[:, None, :]
    return allowed


def blockwise(attend, q, k, v, mask: Mask):
  """`attend` over blocks of queries; a causal block skips the keys after it.

  Halves the work of causal attention on long records and bounds the memory
  to [B, N, QUERY_BLOCK, S] scores; exact, whatever the block size.

  Args:
    attend: (q [B, t, N, H], k, v [B, s, K, H], mask [B, t, s]) -> [B, t, N, H].
    q, k, v: all T positions.
    mask: of the same T positions.
  """
  batch, length = q.shape[:2]
  out = []
  for begin in range(0, length, QUERY_BLOCK):
    queries = slice(begin, min(begin + QUERY_BLOCK, length))
    skips = mask.causal and mask.opened is None
    keys = slice(0, queries.stop if skips else length)
    allowed = mask.block(batch, queries, keys)
    out.append(attend(q[:, queries], k[:, keys], v[:, keys], allowed))
  return jnp.concatenate(out, axis=1) if len(out) > 1 else out[0]
