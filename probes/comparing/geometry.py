"""How alike the directions of probes are, and how alike chance makes them.

From "The Geometries of Truth Are Orthogonal Across Tasks", arXiv 2506.08572;
section numbers are those of docs/papers/probes.md.

Shapes: T tasks (one probe each), D width, N samples.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# A GPU would multiply float32 in ten bits: cosines near 0 are the result here.
_EXACT = jax.lax.Precision.HIGHEST


def _unit(w_TD):
  """Rows of length one, in float32; a row of zeros becomes NaN."""
  w_TD = w_TD.astype(jnp.float32)
  # The square of 1e-30 would be nothing.
  w_TD = w_TD / jnp.abs(w_TD).max(axis=-1, keepdims=True)
  return w_TD / jnp.linalg.norm(w_TD, axis=-1, keepdims=True)


@jax.jit
def cosine(w: Float[Array, 'T D']) -> Float[Array, 'T T']:
  """Cosines of all pairs of probes (section 4); in [-1, 1], float32.

  The number belongs to the basis of `w`: see `raw_basis`. Those of a zero
  vector, with itself too, are NaN: it has no direction.
  """
  unit_TD = _unit(w)
  cosine_TT = jnp.matmul(unit_TD, unit_TD.T, precision=_EXACT)
  return jnp.clip(cosine_TT, -1.0, 1.0)


@jax.jit
def raw_basis(
  w: Float[Array, 'T D'], scale: Float[Array, ' D'] | Float[Array, 'T D']
) -> Float[Array, 'T D']:
  """Probes of standardised activations, as directions of the raw ones.

  Args:
    w: fitted on (x - mean) / scale.
    scale: what x was divided by, one for all tasks or each its own; not zero.

  Returns:
    w / scale, whose scores of x differ from those of `w` by a constant only;
    `raw_intercept` has the constant.
  """
  return w.astype(jnp.float32) / scale.astype(jnp.float32)


def raw_intercept(
  raw_w: Float[Array, 'T D'],
  b: Float[Array, ' T'],
  mean: Float[Array, ' D'] | Float[Array, 'T D'],
) -> Float[Array, ' T']:
  """Intercepts that go with `raw_basis`: raw_w.x + this scores a raw x."""
  shift_TD = raw_w.astype(jnp.float32) * mean.astype(jnp.float32)
  return b.astype(jnp.float32) - shift_TD.sum(axis=-1)


@jax.jit
def covariance(
  x: Float[Array, 'N D'], mask: Bool[Array, ' N'] | None = None
) -> Float[Array, 'D D']:
  """Of all samples about their common mean, over N; float32.

  Args:
    x: activations of all tasks together, any float dtype.
    mask: False where a row is padding; whatever stands there is ignored.
  """
  x_ND = x.astype(jnp.float32)
  if mask is None:
    mask = jnp.ones(x.shape[0], bool)
  x_ND = jnp.where(mask[:, None], x_ND, 0.0)
  count = mask.sum()
  centred_ND = jnp.where(mask[:, None], x_ND - x_ND.sum(axis=0) / count, 0.0)
  return jnp.matmul(centred_ND.T, centred_ND, precision=_EXACT) / count


@jax.jit
def mahalanobis_cosine(
  w: Float[Array, 'T D'], cov: Float[Array, 'D D']
) -> Float[Array, 'T T']:
  """Correlations of the scores of all pairs of probes (section 4).

  It does not depend on the basis, if `cov` is of the activations in that of
  `w`. NaN for a probe whose scores do not vary, a zero vector for one.

  Args:
    w: the probes.
    cov: covariance of the activations; its scale does not matter.
  """
  unit_TD = _unit(w)
  moved_TD = jnp.matmul(unit_TD, cov.astype(jnp.float32), precision=_EXACT)
  inner_TT = jnp.matmul(moved_TD, unit_TD.T, precision=_EXACT)
  deviation_T = jnp.sqrt(jnp.diagonal(inner_TT))
  cosine_TT = inner_TT / deviation_T[:, None] / deviation_T
  return jnp.clip(cosine_TT, -1.0, 1.0)


@jax.jit
def span_recovery(w: Float[Array, 'T D']) -> Float[Array, ' T']:
  """How much of each probe is a combination of the others (section 4).

  Least squares without an intercept: R2 = 1 - |residual|^2 / |w|^2, in [0, 1].
  A zero vector has NaN and takes nothing away from the others. `span_chance`
  has what random directions give.
  """
  unit_TD = _unit(w)
  tasks, width = unit_TD.shape
  tolerance = jnp.finfo(jnp.float32).eps * max(tasks, width)

  def recovered(task):
    others_TD = jnp.nan_to_num(unit_TD).at[task].set(0.0)
    _, s, basis_RD = jnp.linalg.svd(others_TD, full_matrices=False)
    part_R = jnp.matmul(basis_RD, unit_TD[task], precision=_EXACT)
    # A direction in which the others have nothing is none of theirs.
    part_R = jnp.where(s > tolerance * s[0], part_R, 0.0 * part_R)
    return jnp.minimum(jnp.sum(part_R**2), 1.0)

  return jax.vmap(recovered)(jnp.arange(tasks))


def span_chance(tasks: int, d: int) -> float:
  """Mean `span_recovery` of `tasks` random directions in d: (T - 1) / d."""
  if tasks < 1 or d < 1:
    raise ValueError(
      f'tasks and d must be positive, got tasks={tasks} and d={d}'
    )
  return min(1.0, (tasks - 1) / d)


def random_cosine(d: int) -> float:
  """E|cos| of two random directions in d: G(d/2) / (sqrt(pi) G((d+1)/2)).

  G is the Gamma function. About sqrt(2 / (pi d)): 0.0332 at d = 576.
  """
  if d < 1:
    raise ValueError(f'd must be positive, got {d}')
  return math.exp(math.lgamma(d / 2) - math.lgamma((d + 1) / 2)) / math.sqrt(
    math.pi
  )


def best_mean_cosine(k: int) -> float:
  """The largest mean cosine of any direction to k orthogonal ones (section 7).

  1 / sqrt(k), at their sum: so much is no evidence of a shared axis.
  """
  if k < 1:
    raise ValueError(f'k must be positive, got {k}')
  return 1.0 / math.sqrt(k)
