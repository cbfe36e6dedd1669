"""How far apart two distributions of the next token are (section 3.5).

The release's distance is the total variation, which is the 1-Wasserstein
distance where any two tokens are equally far apart. The others are ours, for
the comparison that its reviewers asked for.

Shapes: V vocabulary, G groups of tokens; leading axes are any.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

# The judge's temperature: soft enough to credit synonyms.
TEMPERATURE = 5.0
# What two spellings of one word are apart, where two words are 1.
SPELLINGS = 0.25


def soften(
  logits: Float[Array, '... V'], temperature: float
) -> Float[Array, '... V']:
  """softmax(logits / temperature), in float32."""
  return jax.nn.softmax(logits.astype(jnp.float32) / temperature, axis=-1)


def total_variation(
  p: Float[Array, '... V'], q: Float[Array, '... V']
) -> Float[Array, '...']:
  """Half the sum of |p - q|, in [0, 1]."""
  return 0.5 * jnp.abs(p - q).sum(-1)


def hellinger(
  p: Float[Array, '... V'], q: Float[Array, '... V']
) -> Float[Array, '...']:
  """Of square roots, in [0, 1]."""
  apart = ((jnp.sqrt(p) - jnp.sqrt(q)) ** 2).sum(-1)
  return jnp.sqrt(0.5 * apart)


def kl(
  p: Float[Array, '... V'], q: Float[Array, '... V']
) -> Float[Array, '...']:
  """KL(q || p) in nats: of the reference `q`, seen by the summary's `p`."""
  least = jnp.finfo(jnp.float32).tiny
  ratio = jnp.log(jnp.maximum(q, least)) - jnp.log(jnp.maximum(p, least))
  return jnp.maximum((q * ratio).sum(-1), 0.0)


def wasserstein(
  p: Float[Array, '... V'],
  q: Float[Array, '... V'],
  groups: Int[Array, ' V'],
) -> Float[Array, '...']:
  """1-Wasserstein, where tokens of one group are near, in [0, 1].

  The metric is a tree's: two tokens of one group are `SPELLINGS` apart, two of
  different groups 1. Mass that crosses an edge pays it, so the distance is the
  sum over edges of their length times the mass that differs beneath.

  Args:
    p: of a summary.
    q: of the reference.
    groups: number of each token's group, such as `spellings` gives.
  """
  apart = p - q
  flat = apart.reshape(-1, apart.shape[-1]).T
  beneath = jax.ops.segment_sum(flat, groups, num_segments=len(groups))
  leaf = jnp.abs(apart).sum(-1)
  group = jnp.abs(beneath).sum(0).reshape(leaf.shape)
  return 0.5 * (SPELLINGS * leaf + (1.0 - SPELLINGS) * group)


def accuracy(
  p: Float[Array, '... V'],
  q: Float[Array, '... V'],
  word: Int[Array, '...'],
) -> Float[Array, '...']:
  """1 where one of them has the true token on top and the other has not."""
  return jnp.abs(
    (p.argmax(-1) == word).astype(jnp.float32)
    - (q.argmax(-1) == word).astype(jnp.float32)
  )


# By name, those that need no more than (p, q).
PLAIN: dict[str, Callable] = {
  'tv': total_variation,
  'hellinger': hellinger,
  'kl': kl,
}


def spellings(pieces: Sequence[str]) -> np.ndarray:
  """Groups of tokens that spell one word: case and outer space left out.

  Args:
    pieces: text of each token. One that is space alone is a group by itself.

  Returns:
    int32 [V], numbers in order of appearance.
  """
  seen: dict[str, int] = {}
  keys = [piece.strip().casefold() or piece for piece in pieces]
  return np.array([seen.setdefault(key, len(seen)) for key in keys], np.int32)


def question_score(distances: Sequence[float], counts: Sequence[int]) -> float:
  """Mean over positions, each as often as it occurs; NaN where there is none.

  So a long answer, and a word of several tokens, weighs more (the release).
  """
  if not sum(counts):
    return float('nan')
  return float(np.average(np.asarray(distances, np.float64), weights=counts))


def dataset_score(scores: Sequence[float]) -> float:
  """Mean over questions without those that are NaN; NaN where none is left."""
  kept = np.asarray(scores, np.float64)
  kept = kept[~np.isnan(kept)]
  return float(kept.mean()) if len(kept) else float('nan')
