"""How far answers agree, alone and with confidence; higher is less sure.

Shapes: N questions, S samples.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


@jax.jit
def dissimilarity(
  similarity: Float[Array, 'N S S'], real: Bool[Array, 'N S'] | None = None
) -> Float[Array, ' N']:
  """Minus the mean similarity of two different samples.

  With ROUGE-L it is lexical similarity (Fomicheva et al., 2020, arXiv
  2005.10608; Kuhn, Gal and Farquhar, 2023, arXiv 2302.09664, section 6);
  LexicalSimilarity of lm-polygraph, which stems words.

  Args:
    similarity: of two samples; what stands on the diagonal does not count.
    real: False where there is no sample; None if all are samples.

  Returns:
    -1 for a single sample, with which nothing disagrees.
  """
  samples = similarity.shape[-1]
  real_NS = jnp.ones(similarity.shape[:-1], bool) if real is None else real
  pair_NSS = real_NS[:, :, None] & real_NS[:, None, :]
  pair_NSS = pair_NSS & ~jnp.eye(samples, dtype=bool)
  count_N = pair_NSS.sum((-1, -2))
  total_N = jnp.where(pair_NSS, similarity, 0.0).sum((-1, -2))
  return -jnp.where(count_N > 0, total_N / jnp.maximum(count_N, 1), 1.0)


@jax.jit
def cocoa(
  uncertainty: Float[Array, ' N'],
  similarity: Float[Array, 'N S'],
  real: Bool[Array, 'N S'] | None = None,
) -> Float[Array, ' N']:
  """u times the mean dissimilarity of the greedy answer and the samples.

  CoCoA (Vashurin et al., 2025, arXiv 2502.04964, section 3): u is -log p of the
  greedy answer (CocoaMSP of lm-polygraph), its mean over tokens (CocoaPPL) or
  the mean token entropy (CocoaMTE).

  Args:
    uncertainty: u, not negative.
    similarity: of the greedy answer with each sample, in [0, 1].
    real: False where there is no sample; None if all are samples.

  Returns:
    0 where all samples say the same as the greedy answer, or there is none.
  """
  real_NS = jnp.ones(similarity.shape, bool) if real is None else real
  away_NS = jnp.where(real_NS, 1.0 - similarity, 0.0)
  return uncertainty * away_NS.sum(-1) / jnp.maximum(real_NS.sum(-1), 1)
