"""How uncertain a model is, from several answers; higher is less sure.

Methods 4 to 6 of section 2.1 of docs/papers/uq_length_bias.md, in
log-probabilities until the last step.

Shapes: N questions, S samples, L tokens with padding at the end.
"""

import functools

import jax
import jax.numpy as jnp
from jax.scipy import special
from jaxtyping import Array, Bool, Float, Int

from calibration.estimators import single

# How the mass of clusters becomes an entropy; see `semantic_entropy`.
MASSES = ('normalised', 'raw', 'sampled', 'count')


@jax.jit
def log_naive_entropy(
  sample_logprobs: Float[Array, 'N S L'],
  sample_lengths: Int[Array, 'N S'],
  real: Bool[Array, 'N S'] | None = None,
) -> Float[Array, ' N']:
  """Logarithm of `naive_entropy`: the same order, without underflow."""
  logp_NS = single.sequence_logprob(sample_logprobs, sample_lengths)
  logp_NS = jnp.minimum(logp_NS, 0.0)  # rounding may leave it above
  # A certain sample adds exp(0) * 0 = 0, whose logarithm is -inf.
  terms_NS = logp_NS + jnp.log(-logp_NS)
  if real is not None:
    terms_NS = jnp.where(real, terms_NS, -jnp.inf)
  return special.logsumexp(terms_NS, axis=-1)


@jax.jit
def naive_entropy(
  sample_logprobs: Float[Array, 'N S L'],
  sample_lengths: Int[Array, 'N S'],
  real: Bool[Array, 'N S'] | None = None,
) -> Float[Array, ' N']:
  """Eq. 7: -sum_s p(y_s) log p(y_s) over all samples, with repeated ones.

  Args:
    sample_logprobs: log-probabilities of the tokens, in nats.
    sample_lengths: number of tokens of each sample.
    real: False where there is no sample; None if all are samples.

  Returns:
    No entropy of a distribution, as the p(y_s) do not sum to one: it falls to 0
    for sure models, and for samples so long that each is nearly impossible.
  """
  return jnp.exp(log_naive_entropy(sample_logprobs, sample_lengths, real))


@functools.partial(jax.jit, static_argnames='by_length')
def monte_carlo_entropy(
  sample_logprobs: Float[Array, 'N S L'],
  sample_lengths: Int[Array, 'N S'],
  real: Bool[Array, 'N S'] | None = None,
  *,
  by_length: bool = False,
) -> Float[Array, ' N']:
  """-mean_s log p(y_s): what sampling estimates of a model's entropy, nats.

  It is not one of the paper's eight, whose Eq. 7 differs; the code that the
  paper builds on uses it, normalised by length, as its regular entropy (Malinin
  and Gales, 2021, arXiv 2002.07650; Kuhn, Gal and Farquhar, 2023, arXiv
  2302.09664). MonteCarloSequenceEntropy and
  MonteCarloNormalizedSequenceEntropy of lm-polygraph.

  Args:
    sample_logprobs: log-probabilities of the tokens, in nats.
    sample_lengths: number of tokens of each sample.
    real: False where there is no sample; None if all are samples.
    by_length: each sample's log p is divided by its number of tokens; samples
      without tokens are left out.

  Returns:
    0 if no sample is left.
  """
  real_NS = jnp.ones(sample_lengths.shape, bool) if real is None else real
  of_sample = single.sequence_logprob
  if by_length:
    of_sample, real_NS = single.mean_logprob, real_NS & (sample_lengths > 0)
  logp_NS = of_sample(sample_logprobs, sample_lengths)
  total_N = jnp.where(real_NS, logp_NS, 0.0).sum(-1)
  return -total_N / jnp.maximum(real_NS.sum(-1), 1)


@functools.partial(jax.jit, static_argnames=('by_length', 'masses'))
def semantic_entropy(
  sample_logprobs: Float[Array, 'N S L'],
  sample_lengths: Int[Array, 'N S'],
  clusters: Int[Array, 'N S'],
  unique: Bool[Array, 'N S'],
  *,
  by_length: bool = True,
  masses: str = 'normalised',
) -> Float[Array, ' N']:
  """Entropy over clusters of meaning, in nats; methods 5 and 6.

  A cluster's mass is the sum of its unique members' probabilities. The paper
  does not state how this combines with normalisation; ours are:

  * `normalised`: masses divided by their sum, then H. The code that the paper
    builds on does the same with repeated members: pass all samples as unique
    for its numbers.
  * `raw`: -sum m log m of the masses as they are. Negative where one is above
    1, as probabilities by length may be.
  * `sampled`: -mean over samples of log m, the default of lm-polygraph 0.7.0.
  * `count`: masses are shares of samples, with repeated ones; probabilities
    do not count.

  Args:
    sample_logprobs: log-probabilities of the tokens, in nats.
    sample_lengths: number of tokens of each sample.
    clusters: any numbers, equal for samples that mean the same; negative where
      there is no sample.
    unique: True at the first of samples with identical tokens.
    by_length: a sample's probability is exp of the mean, not of the sum, of
      its tokens' log-probabilities.
    masses: one of `MASSES`.

  Returns:
    0 if no cluster has mass.

  Raises:
    ValueError: `masses` is no name in `MASSES`.
  """
  if masses not in MASSES:
    raise ValueError(
      f'masses must be one of {", ".join(MASSES)}, got {masses!r}'
    )
  logp_NS = (single.mean_logprob if by_length else single.sequence_logprob)(
    sample_logprobs, sample_lengths
  )
  real_NS = clusters >= 0
  same_NSS = (clusters[:, :, None] == clusters[:, None, :]) & real_NS[:, None]
  counts_NS = real_NS if masses == 'count' else real_NS & unique
  if masses == 'count':
    logp_NS = jnp.zeros_like(logp_NS)
  member_NSS = same_NSS & counts_NS[:, None, :]
  # The mass of each sample's own cluster; read at the first of its members.
  mass_NS = special.logsumexp(
    jnp.where(member_NSS, logp_NS[:, None, :], -jnp.inf), axis=-1
  )
  if masses == 'sampled':
    surprise_NS = jnp.where(real_NS, -mass_NS, 0.0)
    return surprise_NS.sum(-1) / jnp.maximum(real_NS.sum(-1), 1)
  first_NS = real_NS & (
    jnp.argmax(same_NSS, -1) == jnp.arange(len(same_NSS[0]))
  )
  mass_NS = jnp.where(first_NS, mass_NS, -jnp.inf)
  if masses != 'raw':
    total_N1 = special.logsumexp(mass_NS, axis=-1, keepdims=True)
    mass_NS = mass_NS - jnp.where(jnp.isfinite(total_N1), total_N1, 0.0)
  # No mass has no surprise: 0 log 0 = 0.
  term_NS = jnp.where(jnp.isfinite(mass_NS), -jnp.exp(mass_NS) * mass_NS, 0.0)
  return term_NS.sum(-1)
