"""Penalised logistic regression: value, stationarity and duality gap.

  F(w, b) = sum_i m_i log(1 + exp(-s_i z_i)) + lambda ||w||_1 + mu/2 ||w||^2

with z = X w + b, s = 2y - 1, an intercept that is free, and m_i >= 0 that sum
to one: 1/n of docs/papers/probes.md section 3, or zero for a sample that is
not there, so that folds and tasks of different sizes are one program.

Shapes: N samples, D features.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Problem(NamedTuple):
  """One fit. `x` is standardised by whoever made it; `m` sums to one."""

  x: Float[Array, 'N D']
  y: Float[Array, ' N']
  m: Float[Array, ' N']


def losses(z, y):
  """log(1 + exp(-s z)), elementwise, in nats."""
  # Four times as quick here as logaddexp, which looks for infinities.
  wrong = jnp.maximum(jnp.where(y > 0, -z, z), 0.0)
  return wrong + jnp.log1p(jnp.exp(-jnp.abs(z)))


def value(problem: Problem, w, b, lam, mu):
  """F(w, b)."""
  z = problem.x @ w + b
  return jnp.sum(problem.m * losses(z, problem.y)) + penalty(w, lam, mu)


def penalty(w, lam, mu):
  """What F adds to the loss."""
  return lam * jnp.sum(jnp.abs(w)) + 0.5 * mu * jnp.sum(w * w)


def gram(x_KN, c_N):
  """X diag(c) X^T, [K, K]. What lies above the diagonal is made once."""
  half = len(x_KN) // 2
  first, second = x_KN[:half], x_KN[half:]
  across = (second * c_N) @ first.T
  top = [(first * c_N) @ first.T, across.T]
  return jnp.block([top, [across, (second * c_N) @ second.T]])


def base_intercept(problem: Problem):
  """The best intercept for w = 0: the logit of the share of positives."""
  p = jnp.sum(problem.m * problem.y)
  return jnp.log(p) - jnp.log1p(-p)


def lambda_max(problem: Problem):
  """The least lambda at which w = 0: |X^T m (y - mean y)| at its largest."""
  p = jnp.sum(problem.m * problem.y)
  return jnp.max(jnp.abs((problem.m * (problem.y - p)) @ problem.x))


def grid(problem: Problem, lambdas: int, ratio: float):
  """A geometric grid of `lambdas` values from lambda_max to `ratio` of it."""
  steps = jnp.arange(lambdas) / max(lambdas - 1, 1)
  return lambda_max(problem) * ratio**steps


def violation(w, g, lam):
  """Largest violation of stationarity, g the gradient of the smooth part.

  On the support |g_j + lambda sign w_j|, off it max(0, |g_j| - lambda).
  """
  on = jnp.abs(g + lam * jnp.sign(w))
  off = jnp.maximum(jnp.abs(g) - lam, 0.0)
  return jnp.max(jnp.where(w != 0, on, off))


def kkt(problem: Problem, w, b, lam, mu):
  """`violation` at a point, that of the intercept with it."""
  return _kkt(problem, problem.x @ w, w, b, lam, mu)


def _kkt(problem, z, w, b, lam, mu):
  """With z = X w given."""
  x, y, m = problem
  r = m * (jax.nn.sigmoid(z + b) - y)
  g = r @ x + mu * w
  return jnp.maximum(violation(w, g, lam), jnp.abs(jnp.sum(r)))


def gap(problem: Problem, w, b, lam, mu):
  """F(w, b) less a dual value: an upper bound on how far F is from its least.

  With u_i = m_i s_i theta_i and v = X^T u the dual of F is

    sum_i m_i H(theta_i) - sum_j max(0, |v_j| - lambda)^2 / (2 mu),
    subject to sum_i u_i = 0,

  H the entropy in nats; for mu = 0 the sum is the condition |v_j| <= lambda.
  theta is sigma(-s z), at the best intercept for w so that the condition
  holds, and shrunk until |v_j| <= lambda where mu is 0.
  """
  return _gap(problem, problem.x @ w, w, b, lam, mu)


def _gap(problem, z, w, b, lam, mu):
  """With z = X w given."""
  x, y, m = problem
  b = best_intercept(z, y, m, b)
  primal = jnp.sum(m * losses(z + b, y)) + penalty(w, lam, mu)
  s = 2 * y - 1
  theta = jax.nn.sigmoid(-s * (z + b))
  v = jnp.abs((m * s * theta) @ x)
  shrink = jnp.where(mu > 0, 1.0, jnp.minimum(1.0, _ratio(lam, jnp.max(v))))
  over = jnp.sum(jnp.maximum(shrink * v - lam, 0.0) ** 2)
  dual = jnp.sum(m * entropy(shrink * theta))
  return primal - dual + jnp.where(mu > 0, _ratio(over, 2 * mu), 0.0)


def certificate(problem: Problem, w_LD, b_L, lam_L, mu_L):
  """(value, gap, kkt), each [L], of the fits of one problem."""
  z_LN = w_LD @ problem.x.T

  def one(z, w, b, lam, mu):
    loss = jnp.sum(problem.m * losses(z + b, problem.y))
    args = (problem, z, w, b, lam, mu)
    return loss + penalty(w, lam, mu), _gap(*args), _kkt(*args)

  return jax.vmap(one)(z_LN, w_LD, b_L, lam_L, mu_L)


def _ratio(a, b):
  return a / jnp.where(b > 0, b, 1.0)


def entropy(theta):
  """Of a coin, in nats, elementwise; zero at both ends."""
  other = 1 - theta
  return -(
    theta * jnp.log(jnp.where(theta > 0, theta, 1.0))
    + other * jnp.log(jnp.where(other > 0, other, 1.0))
  )


def best_intercept(z, y, m, b):
  """Newton on the intercept alone, from one that is nearly best.

  Args:
    z: X w, [N].
    y: labels.
    m: weights.
    b: where to begin.
  """

  def body(_, b):
    p = jax.nn.sigmoid(z + b)
    slope = jnp.sum(m * p * (1 - p))
    step = _ratio(jnp.sum(m * (p - y)), slope)
    return b - jnp.clip(step, -1.0, 1.0)

  return jax.lax.fori_loop(0, 5, body, b)
