"""Which lambda, and which features: chosen on training samples alone.

docs/papers/probes.md section 3: lambda by the AUROC of inner folds, and
supports of equal size, since overlaps depend on the size.

Shapes: S sites, F folds, N samples, D features, L lambdas.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from engine.stats import auroc
from probes.comparing import overlap
from probes.fitting import solvers


class Chosen(NamedTuple):
  """One probe a site, in the basis of `path`.

  Attributes:
    w: weights.
    b: intercepts.
    at: which lambda.
    score: AUROC of the left-out folds at every lambda, a mean over folds.
    path: fits on all training samples, F = 1.
  """

  w: Float[Array, 'S D']
  b: Float[Array, ' S']
  at: Int[Array, ' S']
  score: Float[Array, 'S L']
  path: solvers.ProbePath


def folds(
  rng: np.random.Generator,
  y_SN: np.ndarray,
  train_SN: np.ndarray,
  count: int,
  group_SN: np.ndarray | None = None,
) -> np.ndarray:
  """Left-out samples [S, F, N] of each fold, both labels in every one.

  Groups stay whole, where there are any: a fold must not know the answers to
  its own questions from other wordings.

  Raises:
    ValueError: a site with fewer than `count` training samples of a label, or
      whose groups leave a fold with one label.
  """
  y_SN, train_SN = np.asarray(y_SN) > 0.5, np.asarray(train_SN) > 0
  out = np.zeros((len(y_SN), count, y_SN.shape[1]), bool)
  for s in range(len(y_SN)):
    for label in (False, True):
      at = rng.permutation(np.flatnonzero(train_SN[s] & (y_SN[s] == label)))
      if len(at) < count:
        raise ValueError(
          f'site {s}: {count} folds need {count} training samples with label '
          f'{int(label)}, came {len(at)}; lower --config.probes.folds or ask '
          'more questions'
        )
      if group_SN is not None:
        continue
      out[s, np.arange(len(at)) % count, at] = True
    if group_SN is not None:
      out[s] = _by_group(rng, y_SN[s], train_SN[s], count, group_SN[s], s)
  return out


def _by_group(rng, y_N, train_N, count, group_N, site):
  """Whole groups, each to the fold that is shortest of its rarer label."""
  rare = (y_N[train_N].mean() < 0.5) == y_N  # of the label with fewer samples
  out = np.zeros((count, len(y_N)), bool)
  for group in rng.permutation(np.unique(group_N[train_N])):
    at = train_N & (group_N == group)
    held = [((out[f] & rare).sum(), out[f].sum()) for f in range(count)]
    # A group without the rare label goes where the fewest samples are.
    key = 0 if (at & rare).any() else 1
    out[min(range(count), key=lambda f: held[f][key])] |= at
  for fold in out:
    if not 0 < y_N[fold].sum() < fold.sum():
      raise ValueError(
        f'site {site}: {count} folds of whole groups do not each have both '
        f'labels; its samples are about {len(np.unique(group_N[train_N]))} '
        'things; lower --config.probes.folds or ask more questions'
      )
  return out


def cross_validated(
  x: Float[Array, 'S N D'],
  y: Float[Array, 'S N'],
  train: Bool[Array, 'S N'],
  left_out: Bool[Array, 'S F N'],
  penalty: solvers.Penalty,
  *,
  basis: tuple[Float[Array, 'S D'], Float[Array, 'S D']] | None = None,
  batch: int = 1,
  mesh: jax.sharding.Mesh | None = None,
) -> Chosen:
  """The probe of each site at the lambda whose folds order answers best.

  Folds share the grid of the whole; of equal lambdas the largest is taken.

  Args:
    x: features, as they are.
    y: labels.
    train: samples to learn from.
    left_out: those of `train` that each fold is scored on.
    penalty: see solvers.py.
    basis: see `solvers.fit_paths`.
    batch: see `solvers.fit_paths`.
    mesh: see `solvers.fit_paths`.
  """
  whole = np.asarray(train)[:, None]
  inner = whole & ~np.asarray(left_out)
  weights = jnp.asarray(np.concatenate([whole, inner], 1), jnp.float32)
  grid = solvers.grids(
    x, y, jnp.asarray(whole, jnp.float32), penalty, basis=basis
  )
  path = solvers.fit_paths(
    x,
    y,
    weights,
    penalty,
    basis=basis,
    lambdas=jnp.asarray(np.repeat(np.asarray(grid), weights.shape[1], 1)),
    batch=batch,
    mesh=mesh,
  )
  score = _fold_scores(x, y, left_out, _inner(path))
  return chosen(path, jnp.argmax(score, -1), score)


@jax.jit
def chosen(
  path: solvers.ProbePath, at: Int[Array, ' S'], score: Float[Array, 'S L']
) -> Chosen:
  """The probe of each site at lambda `at`, fitted on all training samples.

  Args:
    path: whose first fits (F = 0) are on all of them.
    at: which lambda.
    score: of every lambda.
  """
  whole = jax.tree.map(lambda a: a[:, :1], path)
  rows = jnp.arange(len(at))
  return Chosen(whole.w[rows, 0, at], whole.b[rows, 0, at], at, score, whole)


@jax.jit
def _inner(path):
  """The fits without the first, which is on all training samples."""
  return jax.tree.map(lambda a: a[:, 1:], path)


@jax.jit
def _fold_scores(x, y, left_out, path):
  def site(args):
    x, y, left_out, path = args

    def fold(left_out, path):
      z_LN = solvers.predict(path.w, path.b, (x - path.mean) / path.scale)
      return auroc.auroc(z_LN, y, left_out)

    return jnp.mean(jax.vmap(fold)(left_out, path), 0)

  return jax.lax.map(site, (x, y, left_out, path))


@functools.partial(jax.jit, static_argnames='count')
def at_sparsity(
  w: Float[Array, 'S L D'], count: int
) -> tuple[Bool[Array, 'S D'], Int[Array, ' S']]:
  """Supports of `count` features, and the lambda of each.

  The first fit with that many features, cut to its `count` largest weights.
  A path that ends with fewer keeps those.
  """
  nnz_SL = jnp.sum(w != 0, -1)
  enough = nnz_SL >= count
  at_S = jnp.where(enough.any(-1), jnp.argmax(enough, -1), w.shape[1] - 1)
  w_SD = w[jnp.arange(len(w)), at_S]
  return overlap.top_k(w_SD, count) & (w_SD != 0), at_S
