"""Do the other tasks help? Mixtures of tasks and of probes, and upper bounds.

All of docs/papers/probes.md section 5 at one site. Areas under the ROC curve
of each task's held-out samples. What is named a bound sees labels of the
target, if only to choose among probes; all else does not. Nor do few-shot and
low-rank fits, whose ridge is given, bound all that could be reached.

Shapes: T tasks, N samples, D features.
"""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from engine.stats import auroc
from probes.comparing import compare, folds, mixtures, transfer
from probes.fitting import group_lasso, objective, solvers

FEW = (8, 32, 128)


def mixtures_of_tasks(
  samples: mixtures.Samples, settings: compare.Settings
) -> dict[str, Float[Array | np.ndarray, ' T']]:
  """The one mixture that every site has: pooled as they are, each task alike.

  With three lambdas over the same range, where `pool` has all.

  Args:
    samples: features as they came.
    settings: of the ridge.
  """
  samples, _ = compare.shared_basis(samples)
  brief = dataclasses.replace(settings, ridge_lambdas=3)
  return {'tasks_pooled': _left_out(samples, brief)}


def _mixed(samples, settings, **options):
  return mixtures.mixtures_of_tasks(
    samples,
    settings.penalty('ridge'),
    lambdas=(settings.ridge_at,) if settings.ridge_at else None,
    **options,
  )


def _left_out(samples, settings, **options):
  return mixtures.left_out(_mixed(samples, settings, **options))


def pool(
  key: Array,
  samples: mixtures.Samples,
  settings: compare.Settings,
  *,
  seed: int = 0,
) -> dict[str, Float[Array | np.ndarray, ' T']]:
  """AUROC on every task, by what stood in for its own probe.

  Args:
    key: of the low-rank fits.
    samples: features as they came.
    settings: see there.
    seed: of folds and of few-shot draws.
  """
  samples, _ = compare.shared_basis(samples)
  tasks = len(samples.x)
  out = {}
  for how in mixtures.ALIGNMENTS:
    out[f'tasks_{how}'] = _left_out(samples, settings, how=how)
  out['tasks_by_sample'] = _left_out(samples, settings, balanced=False)

  chosen = compare.fit(samples, 'ridge', settings, seed)
  z = mixtures.experts(chosen.w, chosen.b, samples.x)
  out['probes_stacked'] = _areas(mixtures.stacked(z, samples)[0], samples)
  out['probes_gated'] = _areas(mixtures.gated(z, samples), samples)
  out['probes_routed'] = _areas(mixtures.routed(z, samples), samples)
  area = np.asarray(_every(z, samples))  # [probe, task]
  out['own'] = np.diagonal(area)
  others = ~np.eye(tasks, dtype=bool)
  out['bound/best_single'] = np.where(others, area, 0.0).max(0)

  # All tasks together, at the lambda best for all.
  area = np.asarray(_mixed(samples, settings, with_target=True))[0]
  out['bound/with_target'] = area[area.mean(-1).argmax()]
  rng = np.random.default_rng(seed)
  fewest = np.asarray(samples.train).sum(-1).min()
  counts = tuple(count for count in FEW if count <= fewest)
  for sources in (True, False):
    found = np.asarray(
      mixtures.few_shot(rng, samples, counts, with_sources=sources)
    )
    ending = '' if sources else '_alone'
    for c, count in enumerate(counts):
      out[f'bound/few_{count}{ending}'] = found[:, c]
  for rank in range(1, min(8, tasks) + 1):
    w, b = mixtures.low_rank(jax.random.fold_in(key, rank), samples, rank)
    out[f'bound/rank_{rank}'] = _own(w, b, samples)
  return out


def _areas(z, samples):
  return auroc.auroc(z, samples.y, samples.test)


@jax.jit
def _every(z, samples):
  """AUROC of every probe on every task."""
  return _areas(jnp.moveaxis(z, -1, 0), samples)


@jax.jit
def _own(w, b, samples):
  """AUROC of each task's probe on that task."""
  rows = jnp.arange(len(w))
  return _areas(transfer.scores(w, b, samples.x)[rows, rows], samples)


def supports(
  samples: mixtures.Samples, settings: compare.Settings, *, seed: int = 0
) -> dict[str, Float[Array | np.ndarray, ' T']]:
  """Own AUROC with features of each task's choice, and with one choice for all.

  'own_support_<size>' are those of the l1 probes, 'one_support_<size>' those
  of the group lasso, both refitted without them: what a shared support costs
  is what disjoint supports are worth.

  Args:
    samples: features as they came.
    settings: of the sparse probes; `supports` are the sizes.
    seed: of the folds.
  """
  samples, _ = compare.shared_basis(samples)
  tasks, _, width = samples.x.shape
  chosen = compare.fit(samples, 'sparse', settings, seed)
  own_TLD = jnp.asarray(np.asarray(chosen.path.w)[:, 0])
  together_1LD = _together(samples, settings.sparse_lambdas)
  out = {}
  for size in settings.supports:
    if size >= width:
      continue
    own_TD, _ = folds.at_sparsity(own_TLD, size)
    one_1D, _ = folds.at_sparsity(together_1LD, size)
    out[f'own_support_{size}'] = _refitted(samples, own_TD)
    one_TD = jnp.asarray(np.repeat(np.asarray(one_1D), tasks, 0))
    out[f'bound/one_support_{size}'] = _refitted(samples, one_TD)
  return out


@functools.partial(jax.jit, static_argnums=1)
def _together(samples, count):
  """Length of every feature's weights in the group lasso, [1, L, D]."""
  m = samples.train / jnp.sum(samples.train, -1, keepdims=True)
  problem = objective.Problem(samples.x, samples.y, m)
  grid = group_lasso.lambda_max(problem) * 10.0 ** (
    -1.5 * jnp.arange(count) / max(count - 1, 1)
  )
  path = group_lasso.path(problem, grid, tolerance=1e-4, most_steps=2000)
  return jnp.linalg.norm(path.w, axis=1)[None]


def _refitted(samples, support_TD):
  """AUROC of nearly unpenalised probes on these features alone."""
  tasks, _, width = samples.x.shape
  basis = np.zeros((tasks, width)), np.ones((tasks, width))
  train = np.asarray(samples.train)[:, None]
  samples = _only(samples, support_TD)
  path = solvers.fit_paths(
    samples.x,
    samples.y,
    jnp.asarray(train, jnp.float32),
    solvers.L2,
    basis=tuple(jnp.asarray(one, jnp.float32) for one in basis),
    lambdas=jnp.asarray(np.full((tasks, 1, 1), 1e-2, np.float32)),
  )
  return _refitted_areas(path, samples)


@jax.jit
def _only(samples, support_TD):
  return samples._replace(x=samples.x * support_TD[:, None])


@jax.jit
def _refitted_areas(path, samples):
  z = jnp.einsum('tnd,td->tn', samples.x, path.w[:, 0, 0])
  return _areas(z, samples)


def numbers(found: Mapping[str, Array | np.ndarray]) -> dict[str, float]:
  """Mean and lowest over tasks."""
  out = {}
  for name, area in found.items():
    area = np.asarray(area)
    out[f'mixture/{name}'] = float(area.mean())
    out[f'mixture/{name}_lowest'] = float(area.min())
  return out
