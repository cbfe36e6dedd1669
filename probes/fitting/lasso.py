"""l1 and elastic-net paths by projected Newton steps on a working set.

From one lambda to the next few features come or go. A step takes the K
features that are in the support or nearest to it, makes the Gram matrix of
the loss' second order there (a product of matrices, K grows in powers of two),
solves the quadratic lasso on it exactly by pivoting on signs, and searches
along the line to that point for one where F is lower. Every feature's
gradient is then checked, so that nothing is screened away for good. A fit
begins on the line through the two before it, which leaves one or two steps a
lambda.

Everything is batched over problems P, each of which goes on until it is done.
On a CPU P = 1 keeps one problem's features in its cache for the whole path;
on an accelerator P is large. Both are the same program.

Shapes: P problems, N samples, D features, K features of the working set,
L lambdas.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from probes.fitting import objective

# Pivots of the quadratic lasso in one step, and halvings in its line search.
_PIVOTS = 12
_HALVINGS = 12
# The smallest working set, and what may come into an empty support at once.
_FIRST = 64
# Proximal gradient steps where pivoting cycles.
_GRADIENTS = 300


class Path(NamedTuple):
  """Fits along a grid of lambdas. In the basis of the problem's `x`.

  `gap` and `kkt` are those of objective.py in the precision of the run;
  `steps` counts Newton steps.
  """

  w: Float[Array, '*P L D']
  b: Float[Array, '*P L']
  value: Float[Array, '*P L']
  gap: Float[Array, '*P L']
  kkt: Float[Array, '*P L']
  steps: Int[Array, '*P L']


class _State(NamedTuple):
  w: Array
  b: Array
  z: Array
  g: Array
  g_b: Array
  steps: Array
  done: Array


def buckets(features: int) -> tuple[int, ...]:
  """Sizes of working sets, up to a quarter apart; the last holds all.

  A step costs the square of its size and more; each is a program to compile.
  """
  sizes = []
  size = _FIRST
  while size < features:
    sizes.append(size)
    size += max(_FIRST, (1 << (size.bit_length() - 1)) // 4)
  return (*sizes, features)


def path(
  problem: objective.Problem,
  lambdas: Float[Array, 'P L'],
  mus: Float[Array, 'P L'],
  *,
  tolerance: float = 3e-6,
  most_steps: int = 50,
) -> Path:
  """Fits every problem at every lambda, each from the one before.

  Args:
    problem: leaves with a leading P.
    lambdas: descending; those above lambda_max give w = 0.
    mus: weight of ||w||^2 / 2 beside each; 0 is the lasso.
    tolerance: of `objective.kkt`, as a share of the geometric mean of lambda
      and lambda_max, lambda taken as at least a 10,000th of that: what a
      violation costs grows with w.
    most_steps: a lambda; what is reached then is returned with its gap.
  """
  # A constant label has no best intercept; it stays finite, and w = 0.
  b = jnp.clip(jax.vmap(objective.base_intercept)(problem), -20.0, 20.0)
  scale = jax.vmap(objective.lambda_max)(problem)
  w = jnp.zeros((len(b), problem.x.shape[-1]), problem.x.dtype)
  z = jnp.broadcast_to(b[:, None], problem.y.shape)
  g, g_b = jax.vmap(_gradient)(problem, z)
  zero = jnp.zeros(len(b), jnp.int32)
  start = _State(w, b, z, g, g_b, zero, zero > 0)
  sizes = buckets(problem.x.shape[-1])
  branches = [jax.vmap(functools.partial(_step, size=size)) for size in sizes]
  # By feature, once: rows are quicker to pick than columns.
  by_feature = jax.lax.optimization_barrier(jnp.swapaxes(problem.x, 1, 2))

  def fit(carry, given):
    (last, before), (lam_P, mu_P, stride_P) = carry, given
    level = jnp.sqrt(scale * jnp.maximum(lam_P, 1e-4 * scale))
    small = tolerance * jnp.maximum(level, jnp.finfo(w.dtype).tiny)

    def worst(s):
      g = s.g + mu_P[:, None] * s.w
      features = jax.vmap(objective.violation)(s.w, g, lam_P)
      return jnp.maximum(features, jnp.abs(s.g_b))

    def finished(s):
      return (worst(s) <= small) | (s.steps >= most_steps)

    def body(s):
      inside = jnp.sum(s.w != 0, -1)
      wanted = jnp.sum((s.w != 0) | (jnp.abs(s.g) > lam_P[:, None]), -1)
      # A little room beside what is wanted now. Far from the solution too many
      # are: no more at once than are inside.
      room = jnp.minimum(wanted + wanted // 32, jnp.maximum(2 * inside, _FIRST))
      most = jnp.max(jnp.where(s.done, 0, room))
      index = jnp.searchsorted(jnp.array(sizes[:-1]), most)
      new = jax.lax.switch(index, branches, problem, by_feature, s, lam_P, mu_P)
      new = jax.tree.map(
        lambda a, b: jnp.where(s.done.reshape(-1, *[1] * (a.ndim - 1)), b, a),
        new,
        s,
      )
      # Where F does not fall nor the gradient, rounding has the last word.
      stuck = new.done & (worst(new) > 0.5 * worst(s))
      return new._replace(done=s.done | stuck | finished(new))

    state = jax.vmap(_ahead)(problem, last, before, lam_P, mu_P, stride_P)
    state = state._replace(steps=jnp.zeros_like(state.steps))
    state = state._replace(done=finished(state))
    state = jax.lax.while_loop(lambda s: ~jnp.all(s.done), body, state)
    return (state, (last.w, last.b)), (state.w, state.b, state.steps)

  given = lambdas.T, mus.T, _strides(lambdas).T
  _, (w_LPD, b_LP, steps_LP) = jax.lax.scan(fit, (start, (w, b)), given)
  w_PLD, b_PL = jnp.swapaxes(w_LPD, 0, 1), b_LP.T

  found = jax.vmap(objective.certificate)(problem, w_PLD, b_PL, lambdas, mus)
  return Path(w_PLD, b_PL, *found, steps_LP.T)


def _gradient(problem, z):
  """Of the loss alone."""
  r = problem.m * (jax.nn.sigmoid(z) - problem.y)
  return r @ problem.x, jnp.sum(r)


def _strides(lambda_PL):
  """How far each lambda is from the last, in steps of the one before, in logs.

  0 for the first two, which have no such step.
  """
  apart_PL = -jnp.diff(jnp.log(lambda_PL), axis=1)
  last_PL = jnp.where(apart_PL[:, :-1] > 0, apart_PL[:, :-1], jnp.inf)
  found = jnp.pad(apart_PL[:, 1:] / last_PL, ((0, 0), (2, 0)))
  return jnp.clip(found[:, : lambda_PL.shape[1]], 0.0, 2.0)


def _ahead(problem, last, before, lam, mu, stride):
  """Where to begin: on the line through the last two fits, if F is lower there.

  Along the path w is smooth in log lambda but where features come and go.
  """
  w_before, b_before = before
  moved = jnp.where((last.w != 0) & (w_before != 0), last.w - w_before, 0.0)
  w = last.w + stride * moved
  w = jnp.where(w * last.w > 0, w, last.w)
  b = last.b + stride * (last.b - b_before)
  z = problem.x @ w + b

  def at(w, z):
    loss = jnp.sum(problem.m * objective.losses(z, problem.y))
    return loss + objective.penalty(w, lam, mu)

  better = at(w, z) < at(last.w, last.z)
  g, g_b = _gradient(problem, z)
  there = last._replace(w=w, b=b, z=z, g=g, g_b=g_b)
  return jax.tree.map(lambda a, b: jnp.where(better, a, b), there, last)


def _step(problem, x_DN, s, lam, mu, *, size):
  """One Newton step of one problem on its `size` likeliest features."""
  m, tiny = problem.m, jnp.finfo(problem.x.dtype).tiny
  score = jnp.where(s.w != 0, jnp.inf, jnp.abs(s.g))
  _, at = jax.lax.top_k(score, size)
  x_KN = x_DN[at]
  w_K = s.w[at]
  g_K = s.g[at] + mu * w_K
  p = jax.nn.sigmoid(s.z)
  curve = m * p * (1 - p)
  curve_b = jnp.maximum(jnp.sum(curve), tiny)
  h_KK = objective.gram(x_KN, curve)
  h_b = x_KN @ curve
  # The intercept, which is free, is solved for and put in.
  h_KK = h_KK - jnp.outer(h_b, h_b) / curve_b + mu * jnp.eye(size)
  g_in = g_K - h_b * s.g_b / curve_b
  v_K = _quadratic_lasso(h_KK, g_in - h_KK @ w_K, lam, w_K, g_in)
  d_K = v_K - w_K
  d_b = -(s.g_b + h_b @ d_K) / curve_b
  d_z = d_K @ x_KN + d_b
  t, lower = search(problem, s.z, d_z, w_K, d_K, lam, mu)
  # Exact zeros survive a whole step only.
  new_K = jnp.where(t == 1, v_K, w_K + t * d_K)
  w = s.w.at[at].set(new_K)
  z = s.z + t * d_z
  g, g_b = _gradient(problem, z)
  return _State(w, s.b + t * d_b, z, g, g_b, s.steps + 1, ~lower)


def _quadratic_lasso(h, c, lam, w, g):
  """argmin of v.h v / 2 + c.v + lam |v|_1, by pivoting on signs.

  Signs are guessed, the linear system of the guess is solved, and those that
  came out otherwise change, all at once. That can cycle: then proximal
  gradient steps, slow and sure, take over.
  """
  ridge = 1e-6 * jnp.mean(jnp.diag(h)) + jnp.finfo(h.dtype).tiny
  eye = jnp.eye(len(c), dtype=h.dtype)
  start = jnp.where(
    w != 0, jnp.sign(w), jnp.where(jnp.abs(g) > lam, -jnp.sign(g), 0.0)
  )

  def solve(signs):
    on = signs != 0
    masked = jnp.where(on[:, None] & on, h + ridge * eye, eye)
    right = jnp.where(on, -(c + lam * signs), 0.0)
    # It is symmetric; to see to that again takes as long as to factor it.
    factor = jnp.linalg.cholesky(masked, symmetrize_input=False)
    return jax.scipy.linalg.cho_solve((factor, True), right)

  def body(carry):
    i, signs, _, _ = carry
    v = solve(signs)
    slope = c + h @ v
    kept = jnp.where(v * signs > 0, signs, 0.0)
    slack = lam * (1 + 1e-5)
    new = jnp.where(
      signs != 0, kept, jnp.where(jnp.abs(slope) > slack, -jnp.sign(slope), 0.0)
    )
    same = jnp.all(new == signs)
    return i + 1, new, jnp.where(v * signs > 0, v, 0.0), same

  def going(carry):
    i, _, _, same = carry
    return (i < _PIVOTS) & ~same

  first = (0, start, w, jnp.bool_(False))
  *_, v, found = jax.lax.while_loop(going, body, first)
  return _proximal(h, c, lam, jnp.where(found, v, w), found)


def _proximal(h, c, lam, v, found):
  """Accelerated proximal gradient on the quadratic, unless v is found."""
  step = 1 / jnp.max(jnp.sum(jnp.abs(h), 1))

  def going(carry):
    i, _, _, moved, _ = carry
    return (i < _GRADIENTS) & (moved > 1e-6)

  def body(carry):
    i, v, u, _, k = carry
    new = u - step * (c + h @ u)
    new = jnp.sign(new) * jnp.maximum(jnp.abs(new) - step * lam, 0.0)
    # Restart where the momentum points uphill (O'Donoghue, Candes 2015).
    k = jnp.where((u - new) @ (new - v) > 0, 1.0, k)
    after = (1 + jnp.sqrt(1 + 4 * k * k)) / 2
    u = new + (k - 1) / after * (new - v)
    moved = jnp.max(jnp.abs(new - v)) / (jnp.max(jnp.abs(new)) + step)
    return i + 1, new, u, moved, after

  start = (0, v, v, jnp.where(found, 0.0, jnp.inf), jnp.ones((), v.dtype))
  return jax.lax.while_loop(going, body, start)[1]


def search(problem, z, d_z, w, d, lam, mu):
  """The largest halving at which F is not higher, and whether it is lower."""
  _, y, m = problem
  t_H = 0.5 ** jnp.arange(_HALVINGS, dtype=z.dtype)
  t_H = jnp.concatenate([t_H, jnp.zeros(1, z.dtype)])

  def at(t):
    loss = jnp.sum(m * objective.losses(z + t * d_z, y))
    return loss + objective.penalty(w + t * d, lam, mu)

  f_H = jax.vmap(at)(t_H)
  # Within rounding of F the model knows better than the sum.
  noise = 4 * jnp.finfo(z.dtype).eps * jnp.abs(f_H[-1])
  good = (f_H[:-1] <= f_H[-1] + noise) & jnp.isfinite(f_H[:-1])
  first = jnp.argmax(good)
  t = jnp.where(jnp.any(good), t_H[first], 0.0)
  return t, jnp.any(good) & (f_H[first] < f_H[-1] - noise)
