"""Do the other tasks help? Mixtures of tasks and of probes, and upper bounds.

All of docs/papers/probes.md section 5 at one site. Areas under the ROC curve
of each task's held-out samples. What is named a bound sees labels of the
target; all else does not.

Shapes: T tasks, N samples, D features.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from probes import (
  auroc,
  compare,
  group_lasso,
  mixtures,
  objective,
  selection,
  transfer,
)

FEW = (8, 32, 128)


def mixtures_of_tasks(
  samples: mixtures.Samples, settings: compare.Settings
) -> dict[str, Float[Array, ' T']]:
  """The one mixture that every site has: pooled as they are, each task alike.

  Args:
    samples: features as they came.
    settings: of the ridge.
  """
  samples, _ = compare.shared_basis(samples)
  return {'tasks_pooled': _left_out(samples, settings)}


def _left_out(samples, settings, **options):
  penalty, lambdas = settings.penalty('ridge'), None
  if settings.ridge_at:
    lambdas = (settings.ridge_at,)
  return mixtures.left_out(
    mixtures.mixtures_of_tasks(samples, penalty, lambdas=lambdas, **options)
  )


def pool(
  key: Array,
  samples: mixtures.Samples,
  settings: compare.Settings,
  *,
  seed: int = 0,
) -> dict[str, Float[Array, ' T']]:
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
  own = z[jnp.arange(tasks), :, jnp.arange(tasks)]
  out['own'] = _areas(own, samples)
  others = ~jnp.eye(tasks, dtype=bool)
  area = auroc.auroc(
    jnp.moveaxis(z, -1, 0), samples.y, samples.test
  )  # [probe, task]
  out['best_single'] = jnp.max(jnp.where(others, area, 0.0), 0)

  whole = _left_out_none(samples, settings)
  out['bound/with_target'] = whole
  rng = np.random.default_rng(seed)
  fewest = int(_fewest(samples))
  counts = tuple(count for count in FEW if count // 2 <= fewest)
  for sources in (True, False):
    found = mixtures.few_shot(rng, samples, counts, with_sources=sources)
    ending = '' if sources else '_alone'
    for c, count in enumerate(counts):
      out[f'bound/few_{count}{ending}'] = found[:, c]
  for rank in range(1, min(8, tasks) + 1):
    w, b = mixtures.low_rank(jax.random.fold_in(key, rank), samples, rank)
    z = transfer.scores(w, b, samples.x)[jnp.arange(tasks), jnp.arange(tasks)]
    out[f'bound/rank_{rank}'] = _areas(z, samples)
  return out


def _areas(z, samples):
  return auroc.auroc(z, samples.y, samples.test)


def _left_out_none(samples, settings):
  """Mixtures that see all tasks, at the lambda best for all."""
  penalty, lambdas = settings.penalty('ridge'), None
  if settings.ridge_at:
    lambdas = (settings.ridge_at,)
  area = mixtures.mixtures_of_tasks(
    samples, penalty, lambdas=lambdas, with_target=True
  )[0]
  return area[jnp.argmax(jnp.mean(area, -1))]


def _fewest(samples):
  right = jnp.sum(samples.train * samples.y, -1)
  wrong = jnp.sum(samples.train, -1) - right
  return jnp.min(jnp.minimum(right, wrong))


def one_support(
  samples: mixtures.Samples, sizes: tuple[int, ...], *, lambdas: int = 30
) -> tuple[dict[str, Float[Array, ' T']], Bool[Array, 'K D']]:
  """Own AUROC where all tasks must use the same features (group lasso).

  To be set against the sparse probes of `compare` at the same sizes: what a
  shared support costs is what disjoint supports are worth.

  Args:
    samples: features as they came.
    sizes: of the support.
    lambdas: of the path.

  Returns:
    Areas by 'bound/one_support_<size>', and the supports.
  """
  samples, _ = compare.shared_basis(samples)
  m = samples.train / jnp.sum(samples.train, -1, keepdims=True)
  problem = objective.Problem(samples.x, samples.y, m)
  top = group_lasso.lambda_max(problem)
  grid = top * 10.0 ** (-1.5 * jnp.arange(lambdas) / max(lambdas - 1, 1))
  path = group_lasso.path(problem, grid, tolerance=1e-4, most_steps=2000)
  size_LD = jnp.linalg.norm(path.w, axis=1)
  out, supports = {}, []
  for size in sizes:
    support, at = selection.at_sparsity(size_LD[None], size)
    w = path.w[at[0]] * support[0]
    out[f'bound/one_support_{size}'] = _areas(
      jnp.einsum('tnd,td->tn', samples.x, w), samples
    )
    supports.append(support[0])
  return out, jnp.stack(supports)


def numbers(found: Mapping[str, Array]) -> dict[str, float]:
  """Mean and lowest over tasks."""
  out = {}
  for name, area in found.items():
    area = np.asarray(area)
    out[f'mixture/{name}'] = float(area.mean())
    out[f'mixture/{name}_lowest'] = float(area.min())
  return out
