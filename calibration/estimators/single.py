"""How uncertain a greedy answer is, from its own tokens; higher is less sure.

Methods 1 to 3 of section 2.1 of docs/papers/uq_length_bias.md, and their
baseline, the length of the answer.

Shapes: N answers, L tokens with padding at the end.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def _total(values_NL, lengths_N):
  """Sums over the tokens without padding; 0 for an answer without tokens."""
  real_NL = jnp.arange(values_NL.shape[-1]) < lengths_N[..., None]
  # Padding may hold anything, NaN too.
  return jnp.where(real_NL, values_NL.astype(jnp.float32), 0.0).sum(-1)


@jax.jit
def sequence_logprob(
  logprobs: Float[Array, '*N L'], lengths: Int[Array, '*N']
) -> Float[Array, '*N']:
  """log p(answer) in nats, at most 0, over any leading axes."""
  return _total(logprobs, lengths)


@jax.jit
def mean_logprob(
  logprobs: Float[Array, '*N L'], lengths: Int[Array, '*N']
) -> Float[Array, '*N']:
  """Mean of log p(token) in nats; 0 for an answer without tokens."""
  return _total(logprobs, lengths) / jnp.maximum(lengths, 1)


@jax.jit
def negative_sequence_probability(
  logprobs: Float[Array, 'N L'], lengths: Int[Array, ' N']
) -> Float[Array, ' N']:
  """NSP, -prod p_i, in [-1, 0].

  Float32 has nothing below about 1e-38, so answers of less than -87 nats tie.
  `negative_log_probability` has the same order without these ties.
  """
  return -jnp.exp(sequence_logprob(logprobs, lengths))


@jax.jit
def negative_log_probability(
  logprobs: Float[Array, 'N L'], lengths: Int[Array, ' N']
) -> Float[Array, ' N']:
  """-sum log p_i in nats: the ranks of NSP, without underflow."""
  return -sequence_logprob(logprobs, lengths)


@jax.jit
def perplexity(
  logprobs: Float[Array, 'N L'], lengths: Int[Array, ' N']
) -> Float[Array, ' N']:
  """exp(-(1/L) sum log p_i), at least 1; 1 for an answer without tokens."""
  return jnp.exp(-mean_logprob(logprobs, lengths))


@jax.jit
def max_token_surprisal(
  logprobs: Float[Array, 'N L'], lengths: Int[Array, ' N']
) -> Float[Array, ' N']:
  """max_i -log p_i in nats; 0 for an answer without tokens.

  Manakul, Liusie and Gales (2023, arXiv 2303.08896, section 4) for a sentence.
  exp(-it) is min_probability of uqlm.
  """
  real_NL = jnp.arange(logprobs.shape[-1]) < lengths[..., None]
  return jnp.where(real_NL, -logprobs.astype(jnp.float32), 0.0).max(-1)


@jax.jit
def mean_token_entropy(
  entropies: Float[Array, 'N L'], lengths: Int[Array, ' N']
) -> Float[Array, ' N']:
  """Mean over tokens of H[p(. | prefix)] over the vocabulary, in nats."""
  return _total(entropies, lengths) / jnp.maximum(lengths, 1)


@jax.jit
def length(lengths: Int[Array, ' N']) -> Float[Array, ' N']:
  """Tokens or characters as an uncertainty: longer is less sure."""
  return lengths.astype(jnp.float32)
