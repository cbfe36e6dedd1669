"""Can the other tasks' labels, or their probes, stand in for a task's own?

Mixtures of tasks train one probe on the union of the other tasks; mixtures of
probes combine probes that are there. Upper bounds see labels of the target.
docs/papers/probes.md section 5; the paper's exact mixture of probes is not
known, so all three forms are here.

Everything works in one shared basis. Shapes: T tasks, N samples, D features,
K experts.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from engine.stats import auroc
from probes.fitting import objective, solvers


class Samples(NamedTuple):
  """Samples of T tasks, padded; `train` and `test` share none.

  `group` numbers what a sample is about, in [0, N) for each task, where
  several are about one thing: they lie on one side, and in one fold.
  """

  x: Float[Array, 'T N D']
  y: Float[Array, 'T N']
  train: Bool[Array, 'T N']
  test: Bool[Array, 'T N']
  group: Int[Array, 'T N'] | None = None


# How tasks are laid over one another before they are pooled.
ALIGNMENTS = ('pooled', 'centred', 'scaled')


@functools.partial(jax.jit, static_argnames='how')
def aligned(samples: Samples, how: str) -> Samples:
  """Features of each task less its own mean, and over its own deviation.

  Needs no label of the task, only its training features.

  Args:
    samples: of all tasks.
    how: 'pooled' leaves them, 'centred' takes the mean away, 'scaled' divides
      too.
  """
  if how == 'pooled':
    return samples
  if how not in ALIGNMENTS:
    raise ValueError(f'alignment must be one of {ALIGNMENTS}, got {how!r}')
  m = samples.train / jnp.sum(samples.train, -1, keepdims=True)
  mean, scale = jax.vmap(solvers.standardise)(samples.x, m)
  x = samples.x - mean[:, None]
  if how == 'scaled':
    x = x / scale[:, None]
  return samples._replace(x=x)


@functools.partial(jax.jit, static_argnames='balanced')
def task_weights(
  samples: Samples, use: Bool[Array, 'F T'], *, balanced: bool = True
) -> Float[Array, 'F M']:
  """Weights of the T N pooled training samples in F unions of tasks.

  Args:
    samples: of all tasks.
    use: the tasks of each union.
    balanced: every task weighs the same, else every sample.
  """
  weights = samples.train.astype(jnp.float32)
  if balanced:
    weights = weights / jnp.sum(weights, -1, keepdims=True)
  return (use[:, :, None] * weights).reshape(len(use), -1)


def mixtures_of_tasks(
  samples: Samples,
  penalty: solvers.Penalty,
  *,
  how: str = 'pooled',
  balanced: bool = True,
  with_target: bool = False,
  lambdas: tuple[float, ...] | None = None,
) -> Float[Array, 'F L T']:
  """AUROC on every task of a probe trained on all tasks but one.

  On the left-out task it tells whether a mixture transfers, on the others'
  held-out samples which lambda to take: see `left_out`.

  Args:
    samples: of all tasks.
    penalty: see solvers.py; the result has its whole path.
    how: see `aligned`.
    balanced: see `task_weights`.
    with_target: leave none out, an upper bound; the one row is that of all.
    lambdas: descending; the grid of `penalty` if absent.
  """
  samples = aligned(samples, how)
  tasks = len(samples.x)
  use = np.ones((1, tasks), bool) if with_target else ~np.eye(tasks, dtype=bool)
  if lambdas is not None:
    shape = 1, len(use), len(lambdas)
    lambdas = jnp.asarray(np.broadcast_to(np.float32(lambdas), shape))
  x, y = union(samples)
  weights = task_weights(samples, jnp.asarray(use), balanced=balanced)
  path = solvers.fit_paths(
    x, y, jnp.expand_dims(weights, 0), penalty, lambdas=lambdas
  )
  return _on_every(path, samples)


@jax.jit
def union(
  samples: Samples,
) -> tuple[Float[Array, '1 M D'], Float[Array, '1 M']]:
  """Features and labels of the T N samples of all tasks, as one site."""
  width = samples.x.shape[-1]
  return samples.x.reshape(1, -1, width), samples.y.reshape(1, -1)


@jax.jit
def _on_every(path, samples):
  w, _ = path.raw()

  def on(task):
    z_TLN = jnp.einsum('tld,nd->tln', w[0], task.x)
    return auroc.auroc(z_TLN, task.y, task.test)

  return jnp.moveaxis(jax.lax.map(on, samples), 0, -1)


@jax.jit
def left_out(area: Float[Array, 'T L T']) -> Float[Array, ' T']:
  """AUROC on the task left out, at the lambda best for all the others.

  Args:
    area: as `mixtures_of_tasks` gives it.
  """
  tasks = len(area)
  others = ~jnp.eye(tasks, dtype=bool)[:, None]
  at_T = jnp.argmax(jnp.mean(area, -1, where=others), -1)
  rows = jnp.arange(tasks)
  return area[rows, at_T, rows]


@jax.jit
def experts(
  w: Float[Array, 'K D'], b: Float[Array, ' K'], x: Float[Array, 'T N D']
) -> Float[Array, 'T N K']:
  """Log-odds of every probe on every sample."""
  return jnp.einsum('tnd,kd->tnk', x, w) + b


@functools.partial(jax.jit, static_argnames='steps')
def stacked(
  z: Float[Array, 'T N K'],
  samples: Samples,
  *,
  steps: int = 300,
) -> tuple[Float[Array, 'T N'], Float[Array, 'T K']]:
  """Convex stacking sum_k alpha_k z_k, alpha learned without the target.

  Learned on the held-out samples of the source tasks, where no expert has
  seen the labels; the target's own expert is left out.

  Args:
    z: of the experts; expert k is that of task k.
    samples: of all tasks.
    steps: of Adam.

  Returns:
    Scores of each task as target, and its alpha.
  """
  tasks = len(z)
  others = ~jnp.eye(tasks, dtype=bool)

  def loss(logits_K, other_T):
    alpha = jax.nn.softmax(jnp.where(other_T, logits_K, -jnp.inf))
    m = _held_out(samples, other_T)
    return jnp.sum(m * objective.losses(z @ alpha, samples.y))

  def fit(other_T):
    logits = _adam(lambda p: loss(p, other_T), jnp.zeros(tasks), steps, 0.1)
    return jax.nn.softmax(jnp.where(other_T, logits, -jnp.inf))

  alpha = jax.vmap(fit)(others)
  return jnp.einsum('tnk,tk->tn', z, alpha), alpha


@functools.partial(jax.jit, static_argnames='steps')
def gated(
  z: Float[Array, 'T N K'],
  samples: Samples,
  *,
  ridge: float = 1e-2,
  steps: int = 300,
) -> Float[Array, 'T N']:
  """p = sum_k g_k(x) sigma(z_k), g = softmax(V x + c), without the target.

  Args:
    z: of the experts; expert k is that of task k.
    samples: of all tasks; x standardised.
    ridge: weight of ||V||^2 / 2.
    steps: of Adam.

  Returns:
    Probabilities of each task as target.
  """
  tasks, _, width = samples.x.shape
  others = ~jnp.eye(tasks, dtype=bool)
  p = jax.nn.sigmoid(z)

  def mixed(params, other_T):
    v, c = params
    logits = jnp.where(other_T, samples.x @ v + c, -jnp.inf)
    return jnp.sum(jax.nn.softmax(logits) * p, -1)

  def loss(params, other_T):
    q = jnp.clip(mixed(params, other_T), 1e-6, 1 - 1e-6)
    nats = -jnp.where(samples.y > 0, jnp.log(q), jnp.log1p(-q))
    m = _held_out(samples, other_T)
    return jnp.sum(m * nats) + ridge / 2 * jnp.sum(params[0] ** 2)

  def fit(args):
    at, other_T = args
    start = jnp.zeros((width, tasks)), jnp.zeros(tasks)
    params = _adam(lambda p: loss(p, other_T), start, steps, 0.02)
    return mixed(params, other_T)[at]

  return jax.lax.map(fit, (jnp.arange(tasks), others))


@jax.jit
def routed(z: Float[Array, 'T N K'], samples: Samples) -> Float[Array, 'T N']:
  """The score of the expert whose task's centre is nearest, never its own."""
  m = samples.train / jnp.sum(samples.train, -1, keepdims=True)
  centres = jnp.einsum('tn,tnd->td', m, samples.x)
  # |x - c|^2 less |x|^2, which is the same for all.
  far = jnp.sum(centres**2, -1) - 2 * samples.x @ centres.T
  own = jnp.eye(len(z), dtype=bool)[:, None]
  nearest = jnp.argmin(jnp.where(own, jnp.inf, far), -1)
  return jnp.take_along_axis(z, nearest[..., None], -1)[..., 0]


def few_shot(
  rng: np.random.Generator,
  samples: Samples,
  counts: tuple[int, ...],
  *,
  draws: int = 5,
  mu: float = 0.1,
  with_sources: bool = True,
) -> Float[Array, 'T C']:
  """AUROC on each task from a few of its labels, a mean over draws.

  Args:
    rng: draws the labelled samples, half of each label as far as they go, the
      rest of the other.
    samples: of all tasks, in a shared basis.
    counts: labels of the target.
    draws: how often each count is drawn.
    mu: weight of the ridge.
    with_sources: the other tasks help, all with the weight of one task.
  """
  tasks, _, width = samples.x.shape
  out = np.zeros((tasks, len(counts)))
  others = jnp.asarray(~np.eye(tasks, dtype=bool))
  base = np.asarray(task_weights(samples, others)) / max(tasks - 1, 1)
  x, y = union(samples)
  basis = np.zeros((1, width), np.float32), np.ones((1, width), np.float32)
  for c, count in enumerate(counts):
    picked = np.stack(
      [_few(rng, samples, count) for _ in range(draws)], 1
    )  # [T, draws, T N]
    weights = picked / count + (base[:, None] if with_sources else 0.0)
    path = solvers.fit_paths(
      x,
      y,
      jnp.asarray(weights.reshape(1, tasks * draws, -1), jnp.float32),
      solvers.L2,
      # Eight labels are no measure of what the features' scales are.
      basis=jax.device_put(basis),
      lambdas=jnp.asarray(np.full((1, tasks * draws, 1), mu, np.float32)),
    )
    out[:, c] = np.asarray(_on_own(path, samples)).mean(-1)
  return jnp.asarray(out, jnp.float32)


@jax.jit
def _on_own(path, samples):
  """AUROC of every draw of a task on that task, [T, draws]."""
  tasks, _, width = samples.x.shape
  w, _ = path.raw()
  w_TED = w[0, :, 0].reshape(tasks, -1, width)
  z_TEN = jnp.einsum('ted,tnd->ten', w_TED, samples.x)
  return auroc.auroc(z_TEN, samples.y[:, None], samples.test[:, None])


def _few(rng, samples, count):
  """One draw for every task, as weights [T, T N] of ones and zeros."""
  y, train = np.asarray(samples.y) > 0.5, np.asarray(samples.train)
  tasks, size = y.shape
  out = np.zeros((tasks, tasks, size), np.float32)
  for t in range(tasks):
    groups = [np.flatnonzero(train[t] & (y[t] == v)) for v in (True, False)]
    fewest, most = sorted(map(len, groups))
    rare = min(count // 2, fewest)
    if rare < 1 or count - rare > most:
      raise ValueError(
        f'task {t}: {count} labels of both kinds were asked for; it has '
        f'{len(groups[0])} right and {len(groups[1])} wrong answers to learn '
        'from'
      )
    groups.sort(key=len)
    for group, size in zip(groups, (rare, count - rare), strict=True):
      out[t, t, rng.choice(group, size, replace=False)] = 1
  return out.reshape(tasks, -1)


@functools.partial(jax.jit, static_argnames=('rank', 'steps'))
def low_rank(
  key: Array,
  samples: Samples,
  rank: int,
  *,
  mu: float = 0.1,
  steps: int = 500,
) -> tuple[Float[Array, 'T D'], Float[Array, ' T']]:
  """Probes W = U V^T of all tasks at once: a subspace that truth could share.

  Args:
    key: for the start.
    samples: of all tasks.
    rank: of W, at most T.
    mu: weight of (||U||^2 + ||V||^2) / 2, whose least over factorings is the
      nuclear norm of W.
    steps: of Adam.
  """
  tasks, _, width = samples.x.shape
  if not 1 <= rank <= tasks:
    raise ValueError(f'rank must be in [1, {tasks}], got {rank}')
  m = samples.train / jnp.sum(samples.train, -1, keepdims=True) / tasks

  def loss(params):
    u, v, b = params
    z = jnp.einsum('tr,dr,tnd->tn', u, v, samples.x) + b[:, None]
    small = jnp.sum(u**2) / tasks + jnp.sum(v**2)
    return jnp.sum(m * objective.losses(z, samples.y)) + mu / 2 * small

  first, second = jax.random.split(key)
  start = (
    jax.random.normal(first, (tasks, rank)),
    jax.random.normal(second, (width, rank)) * 0.1 * width**-0.5,
    jnp.zeros(tasks),
  )
  u, v, b = _adam(loss, start, steps, 0.02)
  return u @ v.T, b


def _held_out(samples, other_T):
  """Weights of the source tasks' held-out samples, each task the same."""
  m = samples.test / jnp.maximum(jnp.sum(samples.test, -1, keepdims=True), 1)
  return m * other_T[:, None] / jnp.sum(other_T)


def _adam(loss, params, steps, rate):
  optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps))

  def body(_, carry):
    params, state = carry
    update, state = optimiser.update(jax.grad(loss)(params), state)
    return optax.apply_updates(params, update), state

  carry = params, optimiser.init(params)
  return jax.lax.fori_loop(0, steps, body, carry)[0]
