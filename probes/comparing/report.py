"""The figures of an experiment: one site after the other, then the best ones.

A summary has '<site>/<figure>' for every site, and for every group of sites
(those that differ by their layer) '<group>/<figure>' of the one where probes
answer best on left-out training samples: no test label chooses it. Mixtures,
bounds and clusters are measured there alone.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from engine import progress, stop
from probes.comparing import clusters, compare, mixtures, pooling

# Of a site's arrays, those that figures are drawn from.
_KEPT = {
  *('transfer', 'cosine', 'cosine_raw', 'mahalanobis', 'brier'),
  *('path', 'size', 'jaccard', 'chance'),
}
# What a summary has of every site; the best have everything.
_EVERYWHERE = re.compile(
  r'ridge/(own|own_low|own_high|transfer|cosine|cosine_raw|mahalanobis|'
  r'recovered|by_cosine|by_mahalanobis|span|brier_own)(/.*)?|'
  r'sparse/(own|transfer|cosine|jaccard@50|chance@50)|mixture/tasks_pooled'
)
# Features of the supports that are compared at every site.
_SIZE = 50
# Points of the picture that shows clusters.
_SHOWN = 1500


def site(
  key: Array,
  samples: mixtures.Samples,
  names: Sequence[str],
  settings: compare.Settings,
  seed: int,
  *,
  brief: bool = False,
) -> tuple[dict[str, float], dict[str, Array | np.ndarray]]:
  """Numbers and arrays of a site.

  Args:
    key: of bootstraps and permutations.
    samples: features as they came.
    names: of the tasks.
    settings: see `compare.Settings`.
    seed: of the folds.
    brief: see `compare.compare`.
  """
  if brief:
    at = tuple(size for size in settings.supports if size == _SIZE)
    settings = dataclasses.replace(settings, supports=at)
  found = compare.compare(key, samples, settings, seed=seed, brief=brief)
  pooled = pooling.mixtures_of_tasks(samples, settings)
  figures = compare.numbers(found, names) | pooling.numbers(pooled)
  kept = {
    name: value
    for name, value in found.items()
    if name.partition('/')[2].partition('@')[0] in _KEPT
  }
  return figures, kept


def deep(
  key: Array,
  samples: mixtures.Samples,
  settings: compare.Settings,
  seed: int,
) -> tuple[dict[str, float], dict[str, Array | np.ndarray]]:
  """What else is measured where probes answer best.

  Args:
    key: of low-rank fits.
    samples: features as they came.
    settings: see `compare.Settings`.
    seed: of folds, draws and clusters.
  """
  found = pooling.pool(key, samples, settings, seed=seed)
  found |= pooling.supports(samples, settings, seed=seed)
  figures = pooling.numbers(found)
  arrays = {f'mixture/{name}': value for name, value in found.items()}
  use = np.asarray(samples.train | samples.test)
  x = np.asarray(compare.shared_basis(samples)[0].x)[use]
  task = np.broadcast_to(np.arange(len(use))[:, None], use.shape)[use]
  y = np.asarray(samples.y)[use].astype(int)
  groups = clusters.report(x, task, y, seed=seed)
  figures |= {f'clusters/{k}': float(v) for k, v in groups._asdict().items()}
  some = np.random.default_rng(seed).permutation(len(x))[:_SHOWN]
  arrays |= {
    'embedding': clusters.embedding_2d(x[some], seed=seed),
    'embedding_task': task[some],
    'embedding_label': y[some],
  }
  return figures, arrays


def measure(
  key: Array,
  load: Callable[[str], mixtures.Samples],
  sites: Mapping[str, str],
  names: Sequence[str],
  settings: compare.Settings,
  *,
  seed: int,
  enabled: bool = True,
) -> dict[str, Any]:
  """All sites, then the best of every group.

  Args:
    key: of everything random.
    load: the samples of a site, by its name.
    sites: {site: its group}.
    names: of the tasks.
    settings: see `compare.Settings`.
    seed: of folds, draws and clusters.
    enabled: show progress.

  Returns:
    Figures and arrays, flat; a figure that is not defined (the cosine of a
    probe without weights) is the string 'undefined'.
  """
  figures, arrays, best = {}, {}, {}
  with progress.Progress(
    'sites', len(sites), unit='sites', enabled=enabled
  ) as bar:
    for number, (name, group) in enumerate(sites.items()):
      stop.check()
      with jax.default_matmul_precision('highest'):
        found, _ = site(
          jax.random.fold_in(key, number),
          load(name),
          names,
          settings,
          seed,
          brief=True,
        )
      figures |= {
        f'{name}/{k}': v for k, v in found.items() if _EVERYWHERE.fullmatch(k)
      }
      score = found['ridge/score']
      if np.isnan(score) and list(sites.values()).count(group) > 1:
        raise ValueError(
          f'{group} has several sites, of which the best can only be told by '
          'folds; set --config.probes.ridge_at=0'
        )
      if group not in best or score > best[group][0]:
        best[group] = score, number, name
      bar.update(1)
  for group, (_, number, name) in best.items():
    samples = load(name)
    with jax.default_matmul_precision('highest'):
      found, kept = site(
        jax.random.fold_in(key, number), samples, names, settings, seed
      )
      more, drawn = deep(
        jax.random.fold_in(key, len(sites) + number), samples, settings, seed
      )
    figures |= {f'{group}/{k}': v for k, v in (found | more).items()}
    figures[f'{group}/site'] = name
    arrays |= {
      f'{group}/array/{k}': np.asarray(v) for k, v in (kept | drawn).items()
    }
  arrays['names'] = np.array(names)
  clean = {
    name: 'undefined' if isinstance(v, float) and np.isnan(v) else v
    for name, v in figures.items()
  }
  return clean | arrays
