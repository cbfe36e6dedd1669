"""l2 paths by Newton's method, in as few dimensions as there are samples.

With more features than samples the weights lie in the span of the samples, so
the problem is rotated into it first (QR), solved there and rotated back: d =
4096 and n = 800 costs what d = 800 does.

Shapes: P problems, N samples, D features, R = min(N, D), L lambdas.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from probes.fitting import lasso, objective


def path(
  problem: objective.Problem,
  mus: Float[Array, 'P L'],
  *,
  tolerance: float = 1e-6,
  most_steps: int = 50,
) -> lasso.Path:
  """Fits every problem at every mu, each from the one before.

  Args:
    problem: leaves with a leading P.
    mus: weights of ||w||^2 / 2, positive, descending.
    tolerance: of the gradient, as a share of that at w = 0.
    most_steps: a mu; what is reached then is returned with its gap.
  """
  fit = functools.partial(_path, tolerance=tolerance, most_steps=most_steps)
  return jax.vmap(fit)(problem, mus)


def _path(problem, mus, *, tolerance, most_steps):
  samples, features = problem.x.shape
  inner = problem
  if features > samples:
    basis_DR, x_RN = jnp.linalg.qr(problem.x.T)
    inner = problem._replace(x=x_RN.T)
  small = tolerance * jnp.maximum(
    objective.lambda_max(problem), jnp.finfo(problem.x.dtype).tiny
  )
  b = jnp.clip(objective.base_intercept(problem), -20.0, 20.0)
  w = jnp.zeros(inner.x.shape[1], inner.x.dtype)

  def fit(start, mu):
    def going(carry):
      *_, steps, worst, lower = carry
      return (worst > small) & (steps < most_steps) & lower

    def body(carry):
      w, b, steps, _, _ = carry
      w, b, lower = _step(inner, w, b, mu)
      worst = objective.kkt(inner, w, b, 0.0, mu)
      return w, b, steps + 1, worst, lower

    worst = objective.kkt(inner, *start, 0.0, mu)
    carry = (*start, 0, worst, jnp.bool_(True))
    w, b, steps, *_ = jax.lax.while_loop(going, body, carry)
    return (w, b), (w, b, steps)

  _, (w_LR, b_L, steps_L) = jax.lax.scan(fit, (w, b), mus)
  w_LD = w_LR @ basis_DR.T if features > samples else w_LR

  found = objective.certificate(problem, w_LD, b_L, jnp.zeros_like(mus), mus)
  return lasso.Path(w_LD, b_L, *found, steps_L)


def _step(problem, w, b, mu):
  """One Newton step, halved until F is not higher; whether to go on.

  Not where F fell by nothing, nor where all that the step promised is below
  what F is rounded to: gradients of ill-conditioned features stay above any
  tolerance there.
  """
  x, y, m = problem
  z = x @ w + b
  p = jax.nn.sigmoid(z)
  r, curve = m * (p - y), m * p * (1 - p)
  curve_b = jnp.maximum(jnp.sum(curve), jnp.finfo(x.dtype).tiny)
  h_b = curve @ x
  h = objective.gram(x.T, curve) - jnp.outer(h_b, h_b) / curve_b
  h = h + mu * jnp.eye(len(w), dtype=x.dtype)
  g = r @ x + mu * w - h_b * jnp.sum(r) / curve_b
  factor = jnp.linalg.cholesky(h, symmetrize_input=False)
  d = -jax.scipy.linalg.cho_solve((factor, True), g)
  d_b = -(jnp.sum(r) + h_b @ d) / curve_b
  t, lower = lasso.search(
    problem, z, x @ d + d_b, w, d, jnp.zeros((), x.dtype), mu
  )
  loss = jnp.sum(m * objective.losses(z, y)) + mu / 2 * jnp.sum(w * w)
  promised = -0.5 * (g @ d) + 0.5 * jnp.sum(r) ** 2 / curve_b
  lower &= promised > jnp.finfo(x.dtype).eps * loss
  return w + t * d, b + t * d_b, lower
