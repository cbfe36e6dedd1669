"""How far sampled answers differ, from the graph of their similarities.

Lin, Trivedi and Sun (2023), "Generating with Confidence", arXiv 2305.19187,
section 4: the number of semantic sets, the sum of the eigenvalues of the graph
Laplacian (their U_EigV), the degree matrix (U_Deg) and eccentricity (U_Ecc).
Nikitin, Kossen, Gal and Marttinen (2024), "Kernel Language Entropy", arXiv
2405.20003, section 3: heat and Matern kernels. Higher is less sure.

Every function takes similarities in [0, 1], whoever judges them: entailment
probabilities, cosines of sentence vectors, overlap of words
(similarity.py). They are symmetrised by the mean of both directions. A sample
that resembles nothing, not even itself, resembles itself.

Shapes: N questions, S samples.
"""

import functools

import jax
import jax.numpy as jnp
from jax.scipy import linalg
from jaxtyping import Array, Bool, Float

# A kernel's name, see `kernel_entropy`.
KERNELS = ('heat', 'matern')


def symmetric(
  similarity: Float[Array, 'N S S'], real: Bool[Array, 'N S'] | None = None
) -> Float[Array, 'N S S']:
  """Weights of the graph: the mean of both directions, 0 for no sample."""
  weight_NSS = similarity.astype(jnp.float32)
  weight_NSS = (weight_NSS + jnp.swapaxes(weight_NSS, -1, -2)) / 2
  samples = similarity.shape[-1]
  real_NS = jnp.ones(similarity.shape[:-1], bool) if real is None else real
  both_NSS = real_NS[:, :, None] & real_NS[:, None, :]
  weight_NSS = jnp.where(both_NSS, weight_NSS, 0.0)
  lonely_NS = real_NS & (weight_NSS.sum(-1) <= 0)
  return weight_NSS + jnp.eye(samples) * lonely_NS[:, None, :]


def _spectrum(weight_NSS):
  """Eigenvalues and eigenvectors of I - D^-1/2 W D^-1/2."""
  degree_NS = weight_NSS.sum(-1)
  scale_NS = jnp.where(
    degree_NS > 0, jax.lax.rsqrt(jnp.where(degree_NS > 0, degree_NS, 1.0)), 0.0
  )
  laplacian_NSS = jnp.eye(weight_NSS.shape[-1]) - (
    scale_NS[:, :, None] * weight_NSS * scale_NS[:, None, :]
  )
  return jnp.linalg.eigh(laplacian_NSS)


@jax.jit
def eigenvalue_sum(
  similarity: Float[Array, 'N S S'], real: Bool[Array, 'N S'] | None = None
) -> Float[Array, ' N']:
  """U_EigV, sum_k max(0, 1 - lambda_k): how many meanings, not whole.

  lambda_k are the eigenvalues of the normalised graph Laplacian.
  EigValLaplacian of lm-polygraph.

  Args:
    similarity: in [0, 1].
    real: False where there is no sample; None if all are samples.

  Returns:
    From 1, all samples alike, to S, no two alike.
  """
  values_NS = _spectrum(symmetric(similarity, real))[0]
  return jnp.maximum(1.0 - values_NS, 0.0).sum(-1)


@jax.jit
def degree(
  similarity: Float[Array, 'N S S'], real: Bool[Array, 'N S'] | None = None
) -> Float[Array, ' N']:
  """U_Deg, trace(S - D) / S^2: the mean dissimilarity of two samples.

  A sample and itself count as a pair. DegMat of lm-polygraph.

  Args:
    similarity: see `eigenvalue_sum`.
    real: see `eigenvalue_sum`.

  Returns:
    In [0, 1 - 1/S]; 0 if there is no sample.
  """
  total_N = symmetric(similarity, real).sum((-1, -2))
  count_N = _count(similarity, real)
  return 1.0 - jnp.where(count_N > 0, total_N / jnp.maximum(count_N, 1) ** 2, 1)


def _count(similarity, real):
  real_NS = jnp.ones(similarity.shape[:-1], bool) if real is None else real
  return real_NS.sum(-1)


@functools.partial(jax.jit, static_argnames='below')
def eccentricity(
  similarity: Float[Array, 'N S S'],
  real: Bool[Array, 'N S'] | None = None,
  *,
  below: float = 0.9,
) -> Float[Array, ' N']:
  """U_Ecc, how far the samples' spectral embeddings lie from their centre.

  A sample's embedding holds its entries in the Laplacian's eigenvectors whose
  eigenvalues are small. Eccentricity of lm-polygraph.

  Args:
    similarity: see `eigenvalue_sum`.
    real: see `eigenvalue_sum`.
    below: eigenvectors with eigenvalues below it count; lm-polygraph's value.

  Returns:
    The Frobenius norm over samples and eigenvectors, not negative.
  """
  values_NS, vectors_NSS = _spectrum(symmetric(similarity, real))
  real_NS = jnp.ones(similarity.shape[:-1], bool) if real is None else real
  real_NS1 = real_NS[..., None].astype(jnp.float32)
  count_N11 = jnp.maximum(real_NS1.sum(1, keepdims=True), 1)
  mean_N1S = (vectors_NSS * real_NS1).sum(1, keepdims=True) / count_N11
  away_NSS = (vectors_NSS - mean_N1S) * real_NS1
  kept_NSS = jnp.where((values_NS < below)[:, None, :], away_NSS, 0.0)
  return jnp.sqrt(jnp.sum(kept_NSS**2, (-1, -2)))


@jax.jit
def semantic_sets(
  same: Bool[Array, 'N S S'], real: Bool[Array, 'N S'] | None = None
) -> Float[Array, ' N']:
  """The number of sets of samples that mean the same.

  Samples are in one set if a chain of samples that mean the same joins them,
  each link in both directions. NumSemSets of lm-polygraph, whose links are
  `entails_more`.

  Args:
    same: whether the first means the same as the second.
    real: see `eigenvalue_sum`.

  Returns:
    From 1 to S; 0 if there is no sample.
  """
  samples = same.shape[-1]
  real_NS = jnp.ones(same.shape[:-1], bool) if real is None else real
  both_NSS = real_NS[:, :, None] & real_NS[:, None, :]
  reach_NSS = (same & jnp.swapaxes(same, -1, -2) & both_NSS) | jnp.eye(
    samples, dtype=bool
  )
  # Squared, chains may be twice as long.
  for _ in range(max(samples - 1, 1).bit_length()):
    step_NSS = reach_NSS.astype(jnp.float32)
    reach_NSS = jnp.matmul(step_NSS, step_NSS) > 0.5
  first_NS = jnp.argmax(reach_NSS, -1) == jnp.arange(samples)
  return (first_NS & real_NS).sum(-1).astype(jnp.float32)


@jax.jit
def entails_more(
  entail: Float[Array, 'N S S'], contradict: Float[Array, 'N S S']
) -> Bool[Array, 'N S S']:
  """Whether entailment is more probable than contradiction."""
  return entail > contradict


@jax.jit
def nli_similarity(
  entail: Float[Array, 'N S S'], contradict: Float[Array, 'N S S']
) -> Float[Array, 'N S S']:
  """Entailment counts 1, neutrality 1/2: the weights of arXiv 2405.20003."""
  return entail + 0.5 * (1.0 - entail - contradict)


def heat_kernel(
  laplacian: Float[Array, '*N S S'], *, time: float = 0.3
) -> Float[Array, '*N S S']:
  """exp(-t L); t is lm-polygraph's."""
  return linalg.expm(-time * laplacian)


def matern_kernel(
  laplacian: Float[Array, '*N S S'], *, nu: int = 1, kappa: float = 1.0
) -> Float[Array, '*N S S']:
  """(2 nu / kappa^2 I + L)^-nu, for integer nu; both values are ours."""
  identity = jnp.eye(laplacian.shape[-1])
  inverse = jnp.linalg.inv(2 * nu / kappa**2 * identity + laplacian)
  return jnp.linalg.matrix_power(inverse, nu)


@functools.partial(jax.jit, static_argnames='kernel')
def kernel_entropy(
  similarity: Float[Array, 'N S S'],
  real: Bool[Array, 'N S'] | None = None,
  *,
  kernel: str = 'heat',
) -> Float[Array, ' N']:
  """KLE, -trace(K log K) of a kernel over the samples, in nats.

  The kernel is of the graph Laplacian D - W, where an edge weighs the sum of
  both directions, and is scaled to 1/S on its diagonal. With `nli_similarity`
  it is KernelLanguageEntropy of lm-polygraph, which divides by log S.

  Args:
    similarity: see `eigenvalue_sum`.
    real: see `eigenvalue_sum`.
    kernel: one of `KERNELS`.

  Returns:
    From near 0, all samples alike, to log S.

  Raises:
    ValueError: `kernel` is no name in `KERNELS`.
  """
  if kernel not in KERNELS:
    raise ValueError(
      f'kernel must be one of {", ".join(KERNELS)}, got {kernel!r}'
    )
  weight_NSS = 2 * symmetric(similarity, real)
  identity = jnp.eye(similarity.shape[-1])
  laplacian_NSS = weight_NSS.sum(-1)[:, :, None] * identity - weight_NSS
  make = heat_kernel if kernel == 'heat' else matern_kernel
  kernel_NSS = make(laplacian_NSS)
  scale_NS = jax.lax.rsqrt(jnp.diagonal(kernel_NSS, axis1=-2, axis2=-1))
  if real is not None:
    scale_NS = jnp.where(real, scale_NS, 0.0)
  count_N11 = jnp.maximum(_count(similarity, real), 1)[:, None, None]
  unit_NSS = scale_NS[:, :, None] * kernel_NSS * scale_NS[:, None, :]
  mass_NS = jnp.linalg.eigvalsh(unit_NSS / count_N11)
  # As lm-polygraph; and rounding may leave a mass below 0.
  some_NS = mass_NS > 1e-8
  term_NS = mass_NS * jnp.log(jnp.where(some_NS, mass_NS, 1.0))
  return -jnp.where(some_NS, term_NS, 0.0).sum(-1)
