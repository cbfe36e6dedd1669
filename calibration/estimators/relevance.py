"""Log-probabilities weighed by relevance: SAR; higher is less sure.

Duan et al. (2023), "Shifting Attention to Relevance", arXiv 2307.01379, section
4: tokens that change the meaning count more (their tokenSAR), samples that
others resemble are more probable (sentSAR), and both together (SAR). TokenSAR,
SentenceSAR and SAR of lm-polygraph.

Shapes: N questions, S samples, L tokens with padding at the end.
"""

import functools

import jax
import jax.numpy as jnp
from jax.scipy import special
from jaxtyping import Array, Bool, Float, Int

# The paper's temperature t: by how much similar samples outweigh a sample's own
# probability.
TEMPERATURE = 1e-3


@jax.jit
def token_sar(
  logprobs: Float[Array, '*N L'],
  lengths: Int[Array, '*N'],
  relevance: Float[Array, '*N L'],
) -> Float[Array, '*N']:
  """-sum_t r_t log p_t, with r the relevance scaled to sum 1; in nats.

  Args:
    logprobs: of the tokens, in nats.
    lengths: number of tokens.
    relevance: not negative, 1 - similarity of the answer with and without the
      token. Where no token has any, all have the same.

  Returns:
    0 for an answer without tokens.
  """
  real_NL = jnp.arange(logprobs.shape[-1]) < lengths[..., None]
  logp_NL = jnp.where(real_NL, logprobs.astype(jnp.float32), 0.0)
  weight_NL = jnp.where(real_NL, relevance.astype(jnp.float32), 0.0)
  total_N1 = weight_NL.sum(-1, keepdims=True)
  weight_NL = jnp.where(total_N1 > 0, weight_NL, real_NL)
  total_N = jnp.maximum(weight_NL.sum(-1), jnp.finfo(jnp.float32).tiny)
  return -(logp_NL * weight_NL).sum(-1) / total_N


@functools.partial(jax.jit, static_argnames='temperature')
def sentence_sar(
  logprobs: Float[Array, 'N S'],
  similarity: Float[Array, 'N S S'],
  real: Bool[Array, 'N S'] | None = None,
  *,
  temperature: float = TEMPERATURE,
) -> Float[Array, ' N']:
  """Mean over samples of -log(p_s + sum_{j != s} g(s, j) p_j / t), in nats.

  Given -`token_sar` of the samples in place of log p_s, it is SAR.

  Args:
    logprobs: log p_s of whole samples, in nats.
    similarity: g(s, j), not negative; what is below 0 counts as 0.
    real: False where there is no sample; None if all are samples.
    temperature: t.

  Returns:
    Negative where similar samples outweigh. 0 if there is no sample.
  """
  samples = similarity.shape[-1]
  real_NS = jnp.ones(logprobs.shape, bool) if real is None else real
  logp_NS = jnp.where(real_NS, logprobs.astype(jnp.float32), -jnp.inf)
  own_NSS = jnp.eye(samples, dtype=bool)
  weight_NSS = jnp.where(
    own_NSS, 1.0, jnp.maximum(similarity, 0.0) / temperature
  )
  surprise_NS = -special.logsumexp(logp_NS[:, None, :], axis=-1, b=weight_NSS)
  surprise_NS = jnp.where(real_NS, surprise_NS, 0.0)
  return surprise_NS.sum(-1) / jnp.maximum(real_NS.sum(-1), 1)
