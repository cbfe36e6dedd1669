"""Group lasso over tasks: one support for all of them.

  sum_t F_t(W_t, b_t) / T + lambda sum_j ||W_.j||_2

The strongest fair test of disjoint supports: a feature that several tasks
could use costs little more than for one. docs/papers/probes.md section 3 (our
addition). Accelerated proximal gradient with restarts, from large lambda to
small; every task is a row of one batched product.

Shapes: T tasks, N samples, D features, L lambdas.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from probes.fitting import objective


class GroupPath(NamedTuple):
  """Fits along lambdas. `value` and `gap` are of the whole problem."""

  w: Float[Array, 'L T D']
  b: Float[Array, 'L T']
  value: Float[Array, ' L']
  gap: Float[Array, ' L']
  kkt: Float[Array, ' L']
  steps: Int[Array, ' L']


def lambda_max(problem: objective.Problem):
  """The least lambda at which every weight is zero."""
  b = jax.vmap(objective.base_intercept)(problem)
  g, _ = _gradient(problem, jnp.zeros_like(problem.x[:, 0]), b)
  return jnp.max(jnp.linalg.norm(g, axis=0))


@functools.partial(jax.jit, static_argnames='most_steps')
def path(
  problem: objective.Problem,
  lambdas: Float[Array, ' L'],
  *,
  tolerance: float = 1e-5,
  most_steps: int = 5000,
) -> GroupPath:
  """Fits all tasks together at every lambda, each from the one before.

  Args:
    problem: leaves with a leading T.
    lambdas: descending.
    tolerance: of the KKT residual, as a share of lambda_max.
    most_steps: a lambda.
  """
  tasks = len(problem.y)
  small = tolerance * lambda_max(problem)
  b = jax.vmap(objective.base_intercept)(problem)
  w = jnp.zeros_like(problem.x[:, 0])
  # Curvature at most 1/4 ||X||^2 m for each task, the intercept as a feature.
  step = tasks / (0.25 * jnp.max(jax.vmap(_largest)(problem)))

  def fit(start, lam):
    def going(carry):
      *_, steps, worst = carry
      return (worst > small) & (steps < most_steps)

    def body(carry):
      w, b, v, c, k, steps, _ = carry
      g, g_b = _gradient(problem, v, c)
      new = _shrink(v - step * g, step * lam)
      new_b = c - step * g_b
      # Restart where the momentum points uphill (O'Donoghue, Candes 2015).
      uphill = jnp.sum((v - new) * (new - w)) + jnp.sum(
        (c - new_b) * (new_b - b)
      )
      k = jnp.where(uphill > 0, 1.0, k)
      after = (1 + jnp.sqrt(1 + 4 * k * k)) / 2
      beta = jnp.where(uphill > 0, 0.0, (k - 1) / after)
      v, c = new + beta * (new - w), new_b + beta * (new_b - b)
      worst = kkt(problem, new, new_b, lam)
      return new, new_b, v, c, after, steps + 1, worst

    w, b = start
    worst = kkt(problem, w, b, lam)
    carry = (w, b, w, b, jnp.ones(()), 0, worst)
    w, b, *_, steps, worst = jax.lax.while_loop(going, body, carry)
    return (w, b), (w, b, *_value_gap(problem, w, b, lam), worst, steps)

  _, found = jax.lax.scan(fit, (w, b), lambdas)
  return GroupPath(*found)


def _largest(problem):
  """Largest eigenvalue of X^T m X with the intercept, a little above."""
  x = jnp.concatenate([problem.x, jnp.ones_like(problem.x[:, :1])], 1)
  x = x * jnp.sqrt(problem.m)[:, None]

  def body(_, u):
    u = x.T @ (x @ u)
    return u / jnp.linalg.norm(u)

  u = jax.lax.fori_loop(0, 50, body, jnp.ones(x.shape[1]) / x.shape[1] ** 0.5)
  return 1.05 * jnp.sum((x @ u) ** 2)


def _gradient(problem, w, b):
  """Of the mean loss over tasks: [T, D], [T]."""
  x, y, m = problem
  z = jnp.einsum('tnd,td->tn', x, w) + b[:, None]
  r = m * (jax.nn.sigmoid(z) - y) / len(y)
  return jnp.einsum('tn,tnd->td', r, x), jnp.sum(r, -1)


def _shrink(w, by):
  size = jnp.linalg.norm(w, axis=0)
  return w * jnp.maximum(0.0, 1 - by / jnp.where(size > 0, size, 1.0))


def kkt(problem: objective.Problem, w, b, lam):
  """Largest violation of stationarity over features and intercepts."""
  g, g_b = _gradient(problem, w, b)
  size = jnp.linalg.norm(w, axis=0)
  unit = w / jnp.where(size > 0, size, 1.0)
  on = jnp.linalg.norm(g + lam * unit, axis=0)
  off = jnp.maximum(jnp.linalg.norm(g, axis=0) - lam, 0.0)
  worst = jnp.max(jnp.where(size > 0, on, off))
  return jnp.maximum(worst, jnp.max(jnp.abs(g_b)))


def _value_gap(problem, w, b, lam):
  x, y, m = problem
  z = jnp.einsum('tnd,td->tn', x, w)
  b = jax.vmap(objective.best_intercept)(z, y, m, b)
  z = z + b[:, None]
  loss = jnp.sum(m * objective.losses(z, y)) / len(y)
  value = loss + lam * jnp.sum(jnp.linalg.norm(w, axis=0))
  s = 2 * y - 1
  theta = jax.nn.sigmoid(-s * z)
  v = jnp.einsum('tn,tnd->td', m * s * theta, x) / len(y)
  most = jnp.max(jnp.linalg.norm(v, axis=0))
  theta = theta * jnp.minimum(1.0, lam / jnp.where(most > 0, most, 1.0))
  return value, value - jnp.sum(m * objective.entropy(theta)) / len(y)
