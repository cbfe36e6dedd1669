"""What one site says about one geometry of truth: every number beside another.

Cosines, overlaps and transfer of the probes of T tasks, in one shared basis.
A cosine near zero proves nothing by itself, and neither does an overlap at
chance: weights are full of directions that only one task's noise chose. So
all of it is measured together. docs/papers/probes.md section 4.

Shapes: T tasks, N samples, D features, L lambdas, K support sizes.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from probes.comparing import folds as selection
from probes.comparing import geometry, mixtures, overlap, transfer
from probes.fitting import solvers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """How probes are fitted and compared.

  `ridge_at` and `sparse_at` are lambdas; 0 chooses one a task by `folds`-fold
  AUROC. `supports` are the sizes at which supports are compared, beside those
  that the chosen lambdas give. `draws` replicates make an interval.
  """

  ridge_at: float = 0.0
  ridge_lambdas: int = 5
  ridge_ratio: float = 1e-4
  sparse_at: float = 0.0
  sparse_lambdas: int = 30
  sparse_ratio: float = 1e-2
  folds: int = 3
  supports: tuple[int, ...] = (10, 25, 50, 100)
  draws: int = 1000

  def __post_init__(self):
    for name in ('ridge_at', 'sparse_at'):
      if getattr(self, name) < 0:
        raise ValueError(
          f'probes.{name} must be a lambda, or 0 to choose one; got '
          f'{getattr(self, name)}'
        )
    if self.folds < 2:
      raise ValueError(f'probes.folds must be at least 2, got {self.folds}')
    if min(self.supports, default=1) < 1:
      raise ValueError(f'probes.supports must be positive, got {self.supports}')

  def penalty(self, kind: str) -> solvers.Penalty:
    """Of 'ridge' or 'sparse' probes."""
    return solvers.Penalty(
      share=1.0 if kind == 'sparse' else 0.0,
      lambdas=getattr(self, f'{kind}_lambdas'),
      ratio=getattr(self, f'{kind}_ratio'),
    )


KINDS = ('ridge', 'sparse')
_ENDS = ('', '_low', '_high')


@jax.jit
def shared_basis(
  samples: mixtures.Samples,
) -> tuple[mixtures.Samples, Float[Array, ' D']]:
  """Features standardised over all tasks' training samples, and their scales.

  Every task weighs the same.
  """
  m = samples.train / jnp.sum(samples.train, -1, keepdims=True)
  m, width = m.reshape(-1) / len(m), samples.x.shape[-1]
  mean, scale = solvers.standardise(samples.x.reshape(-1, width), m)
  return samples._replace(x=(samples.x - mean) / scale), scale


def fit(
  samples: mixtures.Samples, kind: str, settings: Settings, seed: int
) -> selection.Chosen:
  """One probe a task, in the basis that `samples` are in.

  Args:
    samples: in their shared basis.
    kind: of KINDS.
    settings: see there.
    seed: of the folds.
  """
  tasks, _, width = samples.x.shape
  basis = jax.device_put(
    (np.zeros((tasks, width), np.float32), np.ones((tasks, width), np.float32))
  )
  at, penalty = getattr(settings, f'{kind}_at'), settings.penalty(kind)
  if at:
    weights = jnp.asarray(np.asarray(samples.train)[:, None], jnp.float32)
    grid = solvers.grids(samples.x, samples.y, weights, penalty, basis=basis)
    # On the host, as are other small arrays: an operation is a program.
    grid = np.asarray(grid)
    at = np.full_like(grid[..., :1], at)
    grid = -np.sort(-np.concatenate([grid, at], -1), -1)
    path = solvers.fit_paths(
      samples.x,
      samples.y,
      weights,
      penalty,
      basis=basis,
      lambdas=jnp.asarray(grid),
    )
    here = np.argmax(grid[:, 0] == at[:, 0], -1)
    nothing = np.full(grid[:, 0].shape, np.nan, np.float32)
    return selection.chosen(path, jnp.asarray(here), jnp.asarray(nothing))
  left_out = selection.folds(
    np.random.default_rng(seed),
    samples.y,
    samples.train,
    settings.folds,
    None if samples.group is None else np.asarray(samples.group),
  )
  return selection.cross_validated(
    samples.x,
    samples.y,
    samples.train,
    jnp.array(left_out),
    penalty,
    basis=basis,
  )


def compare(
  key: Array,
  samples: mixtures.Samples,
  settings: Settings,
  *,
  seed: int = 0,
  brief: bool = False,
) -> dict[str, Array | np.ndarray]:
  """Everything but mixtures, as arrays by name; `numbers` reads them.

  Args:
    key: of bootstraps and permutations.
    samples: features as they came.
    settings: see there.
    seed: of the folds.
    brief: without what takes long: intervals are of own areas alone, overlaps
      have no p-value.

  Raises:
    ValueError: see `solvers.check`.
  """
  samples, scale = shared_basis(samples)
  held = transfer.Tasks(samples.x, samples.y, samples.test, samples.group)
  learned = transfer.Tasks(samples.x, samples.y, samples.train)
  cov = _covariance(samples)
  keys = jax.random.split(key, 3)
  out = {}
  for kind in KINDS:
    chosen = fit(samples, kind, settings, seed)
    w, b = chosen.w, chosen.b
    if brief:
      area = np.full((len(w), len(w), 3), np.nan, np.float32)
      area[..., 0] = transfer.transfer_matrix(w, b, held)
      own = transfer.own_intervals(keys[0], w, b, held, draws=settings.draws)
      area[np.arange(len(w)), np.arange(len(w))] = own
    else:
      area = transfer.transfer_intervals(
        keys[0], w, b, held, draws=settings.draws
      )
    found = _geometry(chosen, scale, cov, held, learned)
    found['transfer'] = area
    order = jnp.asarray(np.asarray(area)[..., 0])
    for name in ('cosine', 'mahalanobis'):
      found[f'by_{name}'] = (
        transfer.correlation(keys[1], found[name], order)
        if len(w) > 2
        else np.full(3, np.nan)
      )
    path = found.pop('path')
    if kind == 'sparse':
      found['path'] = path
      found |= _supports(keys[2], chosen, settings, brief)
    out |= {f'{kind}/{name}': value for name, value in found.items()}
  return out


@jax.jit
def _covariance(samples):
  """Over the training samples of all tasks."""
  everything = samples.x.reshape(-1, samples.x.shape[-1])
  return geometry.covariance(everything, samples.train.reshape(-1))


@jax.jit
def _geometry(chosen, scale, cov, held, learned):
  """What needs no draws, of the probes of one kind."""
  w, b, path = chosen.w, chosen.b, chosen.path
  rows = jnp.arange(len(w))
  lambdas, nnz = path.lambdas[:, 0], path.nnz[:, 0]
  return {
    'w': w,
    'lambda': lambdas[rows, chosen.at],
    'gap': jnp.max(path.gap),
    'kkt': jnp.max(path.kkt),
    'nnz': jnp.sum(w != 0, -1),
    'score': jnp.max(chosen.score, -1),
    'path': jnp.stack([lambdas, nnz, chosen.score], 1),  # [T, 3, L]
    'cosine': geometry.cosine(w),
    'cosine_raw': geometry.cosine(geometry.raw_basis(w, scale)),
    'mahalanobis': geometry.mahalanobis_cosine(w, cov),
    'span': geometry.span_recovery(w),
    'brier': transfer.brier_matrix(w, b, held),
    'brier_recalibrated': transfer.brier_matrix(w, b, held, learned),
  }


def _supports(key, chosen, settings, brief):
  """Overlaps at the chosen lambdas ('own') and at equal sizes."""
  out = {}
  width = chosen.w.shape[-1]
  wanted = {'own': jnp.asarray(np.asarray(chosen.w) != 0)}
  path = jnp.asarray(np.asarray(chosen.path.w)[:, 0])
  for size in settings.supports:
    if size < width:
      wanted[str(size)], _ = selection.at_sparsity(path, size)
  for name, support in wanted.items():
    sizes = np.asarray(support).sum(-1)
    out |= {
      f'jaccard@{name}': overlap.jaccard(support),
      f'overlap@{name}': overlap.overlap_coefficient(support),
      f'chance@{name}': overlap.chance_jaccard(sizes, width),
      f'size@{name}': sizes,
    }
    if not brief:
      out[f'p@{name}'] = overlap.permutation_p(key, support)
  return out


def numbers(
  found: Mapping[str, Array | np.ndarray], names: Sequence[str]
) -> dict[str, float]:
  """The flat figures of a comparison.

  Means over pairs of two tasks, and over tasks; each task's own AUROC has its
  interval. `recovered` is transfer above chance over own above chance, and
  `cosine_of_best_axis` what one axis can have with all tasks in the mean where
  they are orthogonal: less is no sign of sharing.

  Args:
    found: as `compare` gives it.
    names: of the tasks.
  """
  found = {name: np.asarray(value) for name, value in found.items()}
  tasks, width = found['ridge/w'].shape
  off = ~np.eye(tasks, dtype=bool)
  out = {
    'cosine_of_random': geometry.random_cosine(width),
    'cosine_of_best_axis': geometry.best_mean_cosine(tasks),
    'span_of_random': geometry.span_chance(tasks, width),
  }
  for kind in KINDS:
    area = found[f'{kind}/transfer']
    own = area[np.arange(tasks), np.arange(tasks)]
    across = area[..., 0][off]
    out |= {
      f'{kind}/own': own[:, 0].mean(),
      f'{kind}/transfer': across.mean(),
      f'{kind}/transfer_lowest': across.min(),
      f'{kind}/transfer_highest': across.max(),
      f'{kind}/recovered': _recovered(across.mean(), own[:, 0].mean()),
      f'{kind}/span': _mean(found[f'{kind}/span']),
      f'{kind}/gap': found[f'{kind}/gap'],
      f'{kind}/kkt': found[f'{kind}/kkt'],
      f'{kind}/score': found[f'{kind}/score'].mean(),
    }
    for name in ('cosine', 'cosine_raw', 'mahalanobis'):
      out[f'{kind}/{name}'] = _mean(found[f'{kind}/{name}'][off])
    out[f'{kind}/cosine_size'] = _mean(np.abs(found[f'{kind}/cosine'][off]))
    for name in ('brier', 'brier_recalibrated'):
      matrix = found[f'{kind}/{name}']
      out[f'{kind}/{name}_own'] = np.diag(matrix).mean()
      out[f'{kind}/{name}_transfer'] = matrix[off].mean()
    for name in ('by_cosine', 'by_mahalanobis'):
      for end, value in zip(_ENDS, found[f'{kind}/{name}'], strict=True):
        out[f'{kind}/{name}{end}'] = value
    for task, row in zip(names, own, strict=True):
      for end, value in zip(_ENDS, row, strict=True):
        out[f'{kind}/own{end}/{task}'] = value
  for name in found:
    kind, _, size = name.partition('@')
    if kind == 'sparse/jaccard':
      out |= {
        f'sparse/size@{size}': found[f'sparse/size@{size}'].mean(),
        name: _mean(found[name][off]),
      }
      if f'sparse/p@{size}' in found:
        p = found[f'sparse/p@{size}'][off]
        out[f'sparse/above_chance@{size}'] = np.mean(p < 0.05)
      for other in ('overlap', 'chance'):
        key = f'sparse/{other}@{size}'
        out[key] = _mean(found[key][off])
  return {name: float(value) for name, value in out.items()}


def _recovered(across, own):
  """Undefined where a task's own probe is at chance."""
  return (across - 0.5) / (own - 0.5) if own > 0.5 else np.nan


def _mean(values):
  """Of those that are defined: a probe without weights has no direction."""
  values = values[~np.isnan(values)]
  return values.mean() if len(values) else np.nan
