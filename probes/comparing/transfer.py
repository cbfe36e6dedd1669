"""Probes of one task on the answers of another: order, and probability.

AUROC looks at the order of the scores alone; the Brier score, before and after
recalibration on the target, tells a wrong threshold from a wrong direction.
Section numbers are those of docs/papers/probes.md.

Shapes: S probes (source tasks), T target tasks, N samples of a task with
padding, D width, P ordered pairs of tasks.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from engine.stats import auroc as auroc_lib
from engine.stats import ranks, replicates

_NEWTON_STEPS = 25
# Of a Newton step, the first of these that does not raise the loss is taken.
_FRACTIONS = (1.0, 0.5, 0.25, 0.0625, 0.0)
# The loss is not known better: near its minimum, full steps go on.
_ROUNDING = 1e-6


class Tasks(NamedTuple):
  """Samples of T tasks, padded to the longest.

  Attributes:
    x: activations in the basis of the probes, any float dtype.
    y: 1 for a correct answer, else 0; of any dtype.
    mask: False for padding; what stands there is ignored.
    group: numbers in [0, N) of what an answer is about, if several share it.
  """

  x: Float[Array, 'T N D']
  y: Shaped[Array, 'T N']
  mask: Bool[Array, 'T N']
  group: Int[Array, 'T N'] | None = None


def scores(
  w: Float[Array, 'S D'], b: Float[Array, ' S'], x: Float[Array, 'T N D']
) -> Float[Array, 'S T N']:
  """z = w.x + b of every probe on every sample; float32, log-odds."""
  z_STN = jnp.einsum(
    'sd,tnd->stn',
    w.astype(jnp.float32),
    x.astype(jnp.float32),
    precision=jax.lax.Precision.HIGHEST,
  )
  return z_STN + b.astype(jnp.float32)[:, None, None]


@jax.jit
def transfer_matrix(
  w: Float[Array, 'S D'], b: Float[Array, ' S'], tasks: Tasks
) -> Float[Array, 'S T']:
  """AUROC of probe s on held-out samples of task t (section 4).

  Args:
    w: one probe a source task, in the basis of `tasks.x`.
    b: intercepts; the AUROC does not see them.
    tasks: samples that no probe was fitted on.

  Returns:
    NaN in the column of a task with one class: `auroc.check_labels` first.
  """
  return auroc_lib.auroc(scores(w, b, tasks.x), tasks.y, tasks.mask)


@functools.partial(jax.jit, static_argnames=('draws', 'level'))
def transfer_intervals(
  key: Key[Array, ''],
  w: Float[Array, 'S D'],
  b: Float[Array, ' S'],
  tasks: Tasks,
  *,
  draws: int = 1000,
  level: float = 0.95,
) -> Float[Array, 'S T 3']:
  """`transfer_matrix` with percentile intervals over target samples.

  Groups are drawn whole, where there are any. The probes stay as they are:
  what their own training samples leave open is not in the interval. All probes
  see the same replicates of a task.

  Args:
    key: consumed here.
    w: one probe a source task.
    b: intercepts.
    tasks: samples that no probe was fitted on.
    draws: replicates.
    level: of the intervals, in (0, 1).

  Returns:
    [estimate, low, high] in the last axis.
  """
  z_STN = scores(w, b, tasks.x)
  sources, targets, _ = z_STN.shape

  def cell(number):
    source, target = number // targets, number % targets
    return auroc_lib.bootstrap_auroc(
      jax.random.fold_in(key, target),
      z_STN[source, target],
      tasks.y[target],
      tasks.mask[target],
      None if tasks.group is None else tasks.group[target],
      draws=draws,
      level=level,
    )

  # One after the other: only one cell's replicates are in memory.
  cells = jax.lax.map(cell, jnp.arange(sources * targets))
  return cells.reshape(sources, targets, 3)


@functools.partial(jax.jit, static_argnames=('draws', 'level'))
def own_intervals(
  key: Key[Array, ''],
  w: Float[Array, 'T D'],
  b: Float[Array, ' T'],
  tasks: Tasks,
  *,
  draws: int = 1000,
  level: float = 0.95,
) -> Float[Array, 'T 3']:
  """The diagonal of `transfer_intervals`, at a T-th of its cost.

  Args:
    key: consumed here.
    w: one probe a task.
    b: intercepts.
    tasks: samples that no probe was fitted on.
    draws: replicates.
    level: of the intervals, in (0, 1).
  """

  def one(args):
    number, w, b, task = args
    return auroc_lib.bootstrap_auroc(
      jax.random.fold_in(key, number),
      scores(w[None], b[None], task.x[None])[0, 0],
      task.y,
      task.mask,
      task.group,
      draws=draws,
      level=level,
    )

  return jax.lax.map(one, (jnp.arange(len(w)), w, b, tasks))


def brier(
  z: Float[Array, '... N'],
  y: Shaped[Array, '... N'],
  mask: Bool[Array, '... N'],
) -> Float[Array, '...']:
  """Mean of (sigmoid(z) - y)^2 over the last axis; leading axes broadcast.

  0 is perfect, 0.25 is a coin's. NaN where nothing counts.
  """
  error = jax.nn.sigmoid(z.astype(jnp.float32)) - y.astype(jnp.float32)
  square = jnp.where(mask, error**2, 0.0)
  return square.sum(axis=-1) / mask.sum(axis=-1)


def _platt(z_N, y_N, mask_N):
  weight_N = mask_N.astype(jnp.float32)
  count = weight_N.sum()
  positives = jnp.sum(weight_N * y_N)
  goal_N = jnp.where(
    y_N > 0,
    (positives + 1.0) / (positives + 2.0),
    1.0 / (count - positives + 2.0),
  )
  z_N = jnp.where(mask_N, z_N, 0.0)
  mean = z_N.sum() / count
  centred_N = jnp.where(mask_N, z_N - mean, 0.0)
  spread = jnp.sqrt(jnp.sum(centred_N**2) / count)
  spread = jnp.where(spread > 0, spread, 1.0)
  design_N2 = jnp.stack([centred_N / spread, jnp.ones_like(z_N)], axis=-1)

  def loss(line):
    logit_N = design_N2 @ line
    each_N = jax.nn.softplus(logit_N) - goal_N * logit_N
    return jnp.sum(weight_N * each_N) / count

  def step(_, line):
    p_N = jax.nn.sigmoid(design_N2 @ line)
    slope_2 = (weight_N * (p_N - goal_N)) @ design_N2 / count
    bend_N = weight_N * p_N * (1.0 - p_N) / count
    bend_22 = (design_N2 * bend_N[:, None]).T @ design_N2
    # Scores that do not vary bend nothing; their slope is zero as well.
    move_2 = jnp.linalg.solve(bend_22 + 1e-7 * jnp.eye(2), slope_2)
    tried = line - jnp.array(_FRACTIONS)[:, None] * move_2
    lower = jax.vmap(loss)(tried) <= loss(line) * (1.0 + _ROUNDING)
    # argmax has the first; where the loss is NaN, so is the first.
    return tried[jnp.argmax(lower)]

  a, c = jax.lax.fori_loop(0, _NEWTON_STEPS, step, jnp.zeros(2))
  a = a / spread
  return jnp.stack([a, c - a * mean])


@jax.jit
def platt(
  z: Float[Array, '... N'],
  y: Shaped[Array, '... N'],
  mask: Bool[Array, '... N'],
) -> Float[Array, '... 2']:
  """Recalibration: [a, c] of sigmoid(a z + c), a logistic fit of y on z.

  Platt's targets, (n1 + 1) / (n1 + 2) and 1 / (n0 + 2) in place of 1 and 0,
  keep a finite where z separates the classes. Newton's method.

  Args:
    z: scores of the calibration samples; leading axes of all three broadcast.
    y: 0 or 1.
    mask: False for padding.

  Returns:
    a is negative where z is the wrong way round, which is then repaired too:
    read it beside the AUROC. NaN where nothing counts.
  """
  z, y, mask = jnp.broadcast_arrays(
    z.astype(jnp.float32), y.astype(jnp.float32), mask
  )
  lead, size = z.shape[:-1], z.shape[-1]
  rows = [a.reshape(-1, size) for a in (z, y, mask)]
  return jax.vmap(_platt)(*rows).reshape(*lead, 2)


@jax.jit
def brier_matrix(
  w: Float[Array, 'S D'],
  b: Float[Array, ' S'],
  tasks: Tasks,
  calibration: Tasks | None = None,
) -> Float[Array, 'S T']:
  """Brier score of probe s on task t (section 4).

  Args:
    w: one probe a source task.
    b: intercepts.
    tasks: samples to score; no probe was fitted on them.
    calibration: other samples of the same tasks, on which `platt` is fitted
      for every pair of probe and target. `tasks` itself may be given: what
      comes out then is too good. None leaves the probabilities alone.
  """
  z_STN = scores(w, b, tasks.x)
  if calibration is not None:
    line_ST2 = platt(
      scores(w, b, calibration.x), calibration.y, calibration.mask
    )
    z_STN = line_ST2[..., :1] * z_STN + line_ST2[..., 1:]
  return brier(z_STN, tasks.y, tasks.mask)


@functools.partial(jax.jit, static_argnames=('draws', 'level'))
def correlation(
  key: Key[Array, ''],
  cosine: Float[Array, 'T T'],
  auroc: Float[Array, 'T T'],
  *,
  draws: int = 1000,
  level: float = 0.95,
) -> Float[Array, '3']:
  """Do alike probes transfer? Pearson over pairs of two tasks (section 4).

  The cosine is symmetric, the AUROC is not: all T (T - 1) ordered pairs count.
  They are not independent, so the interval draws tasks again, not pairs; a
  task is never paired with its own copy, and replicates with fewer than three
  different tasks are left out.

  Args:
    key: consumed here.
    cosine: of probe s and probe t.
    auroc: of probe s on task t. Diagonals are ignored.
    draws: replicates, positive.
    level: of the interval, in (0, 1).

  Returns:
    [estimate, low, high]. NaN where a pair's number is, or nothing varies.

  Raises:
    ValueError: with fewer than three tasks.
  """
  tasks = cosine.shape[0]
  if tasks < 3:
    raise ValueError(f'a correlation needs at least 3 tasks, got {tasks}')
  pair_TT = 1.0 - jnp.eye(tasks)
  off_TT = pair_TT > 0
  a_TT = jnp.where(off_TT, cosine.astype(jnp.float32), 0.0)
  b_TT = jnp.where(off_TT, auroc.astype(jnp.float32), 0.0)

  def over_pairs(times_T):
    weight_TT = pair_TT * times_T[:, None] * times_T
    r = ranks.pearson(a_TT.ravel(), b_TT.ravel(), weight_TT.ravel())
    return jnp.where(jnp.sum(times_T > 0) < 3, jnp.nan, r)

  return replicates.interval(
    over_pairs,
    key,
    jnp.ones(tasks),
    draws=draws,
    level=level,
    size=tasks * tasks,
  )
