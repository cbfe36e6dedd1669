"""The CALL objective of section 4.

At called positions the target is CALL in the softmax over V and CALL; at all
others it is the ground truth in the softmax over V alone, so that nothing
there moves z_CALL. One log-sum-exp over V serves both:
lse+ = logaddexp(lse_V, z_CALL).

Shapes: B sequences, T positions.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from engine import metrics
from lacy import selection
from lm import losses

NORMS = ('vocab', 'full')


def token_loss(stats: losses.VocabStats) -> Float[Array, 'B T']:
  """-log p over V without CALL, in nats: what rules rank by."""
  return stats.lse - stats.target


def call_log_odds(stats: losses.VocabStats) -> Float[Array, 'B T']:
  """log p(CALL) / (1 - p(CALL)), the order of which the cascade follows."""
  return stats.excluded - stats.lse


def call_loss(
  stats: losses.VocabStats,
  choice: selection.Choice,
  weights: Float[Array, 'B T'],
  *,
  noncall_norm: str = 'vocab',
) -> metrics.Mean:
  """Total and count of the objective, in nats.

  Args:
    stats: of logits over V and CALL, CALL being the excluded column.
    choice: from `selection.select`; a constant for the gradient.
    weights: 1 where the target counts, 0 at padding and boundaries.
    noncall_norm: `vocab` is the paper's; `full` keeps CALL in the softmax of
      the other positions too, which pushes p(CALL) down there (section 4.3).

  Raises:
    ValueError: unknown `noncall_norm`.
  """
  if noncall_norm not in NORMS:
    raise ValueError(
      f'lacy.noncall_norm must be one of {", ".join(NORMS)}, got '
      f'{noncall_norm!r}'
    )
  with_call = jnp.logaddexp(stats.lse, stats.excluded)
  norm = stats.lse if noncall_norm == 'vocab' else with_call
  loss = jnp.where(choice.call, with_call - stats.excluded, norm - stats.target)
  weights = jnp.where(choice.drop, 0.0, weights)
  return metrics.Mean(total=jnp.sum(loss * weights), count=weights.sum())
