"""Linear probes: paths of penalised logistic regressions, many at once.

l1, l2, elastic net and (group_lasso.py) one support over tasks; the intercept
is free. A fit is a set of samples by weight, so folds and seeds share the
features they are made from, and a sweep over tasks, layers, folds and lambdas
is one program: `fit_paths`. Sites are spread over the devices of a mesh.

docs/papers/probes.md section 3.

Shapes: S sites (a task at a layer), F fits of each (folds, seeds), N samples,
D features, L lambdas.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int

from probes.fitting import lasso, objective, ridge


@dataclasses.dataclass(frozen=True, kw_only=True)
class Penalty:
  """lambda (share ||w||_1 + (1 - share) / 2 ||w||^2).

  `share` 1 is the lasso, 0 ridge, between them the elastic net. The grid has
  `lambdas` values, geometric, from the one at which w is zero (ridge: at which
  the penalty is as steep as the loss ever is) down to `ratio` of it.
  """

  share: float = 1.0
  lambdas: int = 50
  ratio: float = 1e-2
  tolerance: float = 3e-6
  most_steps: int = 50

  def __post_init__(self):
    if not 0 <= self.share <= 1:
      raise ValueError(f'penalty.share must be in [0, 1], got {self.share}')
    if self.lambdas < 1:
      raise ValueError(f'penalty.lambdas must be positive, got {self.lambdas}')
    if not 0 < self.ratio <= 1:
      raise ValueError(f'penalty.ratio must be in (0, 1], got {self.ratio}')


L1 = Penalty()
L2 = Penalty(share=0.0, lambdas=20, ratio=1e-4)


class ProbePath(NamedTuple):
  """Fits [S, F] along lambdas. z = ((x - mean) / scale) w + b.

  `gap` and `kkt` are those of objective.py, `steps` counts Newton steps.
  """

  lambdas: Float[Array, 'S F L']
  mean: Float[Array, 'S F D']
  scale: Float[Array, 'S F D']
  w: Float[Array, 'S F L D']
  b: Float[Array, 'S F L']
  value: Float[Array, 'S F L']
  gap: Float[Array, 'S F L']
  kkt: Float[Array, 'S F L']
  steps: Int[Array, 'S F L']

  @property
  def nnz(self) -> Int[Array, 'S F L']:
    """How many features each fit uses."""
    return jnp.sum(self.w != 0, -1)

  def raw(self) -> tuple[Array, Array]:
    """(w [S, F, L, D], b [S, F, L]) for features as they came."""
    w = self.w / self.scale[:, :, None]
    return w, self.b - jnp.einsum('sfd,sfld->sfl', self.mean, w)


def standardise(x, m):
  """(mean, scale) over the samples of weight m; constant features scale 1."""
  mean = m @ x
  scale = jnp.sqrt(m @ (x - mean) ** 2)
  # A constant is one up to rounding of its own size.
  flat = scale <= 1e-6 * jnp.abs(mean)
  return mean, jnp.where(flat, 1.0, scale)


def fit_paths(
  x: Float[Array, 'S N D'],
  y: Float[Array, 'S N'],
  weights: Float[Array, 'S F N'],
  penalty: Penalty = L1,
  *,
  basis: tuple[Float[Array, 'S D'], Float[Array, 'S D']] | None = None,
  lambdas: Float[Array, 'S F L'] | None = None,
  batch: int = 1,
  mesh: jax.sharding.Mesh | None = None,
) -> ProbePath:
  """Fits a path for every site and every set of samples.

  Args:
    x: features, as they are.
    y: 0 or 1.
    weights: of the samples, not negative; zero leaves one out. Their scale
      does not matter.
    penalty: see there.
    basis: mean and scale of the features; those of a fit's own samples if
      absent.
    lambdas: descending; the grid of `penalty` if absent.
    batch: sites that go in lockstep. 1 keeps to one fit at a time, which is
      best on a CPU; an accelerator wants many.
    mesh: whose axis `data` the sites are spread over; one device if absent.

  Raises:
    ValueError: not finite, or samples of one label only; names the site.
  """
  check(x, y, weights)
  sites = len(x)
  devices = 1 if mesh is None else mesh.shape['data']
  fill = -sites % (batch * devices)

  def padded(a):
    if a is None or not fill:
      return a
    return jnp.concatenate([a, jnp.broadcast_to(a[:1], (fill, *a.shape[1:]))])

  args = jax.tree.map(padded, (x, y, weights, basis, lambdas))
  # An accelerator would else round products to ten bits or fewer, and what
  # the gaps and residuals say would not be so.
  with jax.default_matmul_precision('highest'):
    out = _sweep(mesh, penalty, batch, *args)
  return jax.tree.map(lambda a: a[:sites], out) if fill else out


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _sweep(mesh, penalty, batch, *args):
  def local(*args):
    def chunked(a):
      return a.reshape(-1, batch, *a.shape[1:])

    found = jax.lax.map(
      lambda part: _chunk(penalty, batch, *part), jax.tree.map(chunked, args)
    )
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found)

  if mesh is None:
    return local(*args)
  return jax.shard_map(
    local, mesh=mesh, in_specs=P('data'), out_specs=P('data'), check_vma=False
  )(*args)


def _chunk(penalty, batch, x, y, weights, basis, lambdas):
  """Leaves with a leading `batch`; all fits at once, or one at a time."""
  fits = weights.shape[1]
  lockstep = fits if batch > 1 else 1

  def group(part):
    weights, lambdas = part
    m = weights / jnp.sum(weights, -1, keepdims=True)
    if basis is None:
      mean, scale = jax.vmap(jax.vmap(standardise, (None, 0)))(x, m)
    else:
      mean, scale = (
        jnp.broadcast_to(a[:, None], (*m.shape[:2], x.shape[-1])) for a in basis
      )
    z = (x[:, None] - mean[:, :, None]) / scale[:, :, None]
    flat = jax.tree.map(
      lambda a: a.reshape(-1, *a.shape[2:]),
      objective.Problem(z, jnp.broadcast_to(y[:, None], m.shape), m),
    )
    if lambdas is None:
      lam = jax.vmap(functools.partial(_grid, penalty))(flat)
    else:
      lam = lambdas.reshape(-1, lambdas.shape[-1])
    options = dict(tolerance=penalty.tolerance, most_steps=penalty.most_steps)
    if penalty.share == 0:
      path = ridge.path(flat, lam, **options)
    else:
      share = penalty.share
      path = lasso.path(flat, share * lam, (1 - share) * lam, **options)
    out = jax.tree.map(
      lambda a: a.reshape(*m.shape[:2], *a.shape[1:]), (lam, path)
    )
    return ProbePath(out[0], mean, scale, *out[1])

  if lockstep == fits:
    return group((weights, lambdas))

  def one(a):
    return jnp.swapaxes(a, 0, 1)[:, :, None]

  found = jax.lax.map(group, jax.tree.map(one, (weights, lambdas)))
  return jax.tree.map(lambda a: jnp.swapaxes(a[:, :, 0], 0, 1), found)


@functools.partial(jax.jit, static_argnames=('penalty',))
def grids(
  x: Float[Array, 'S N D'],
  y: Float[Array, 'S N'],
  weights: Float[Array, 'S F N'],
  penalty: Penalty,
  *,
  basis: tuple[Float[Array, 'S D'], Float[Array, 'S D']] | None = None,
) -> Float[Array, 'S F L']:
  """The lambdas that `fit_paths` would take, descending."""

  def site(args):
    x, y, weights, basis = args

    def one(weights):
      m = weights / jnp.sum(weights)
      mean, scale = standardise(x, m) if basis is None else basis
      return _grid(penalty, objective.Problem((x - mean) / scale, y, m))

    return jax.lax.map(one, weights)

  return jax.lax.map(site, (x, y, weights, basis))


def _grid(penalty, problem):
  if penalty.share:
    top = objective.lambda_max(problem) / penalty.share
  else:
    # The curvature of the loss is at most a quarter of that of z.
    top = jnp.sum(problem.m[:, None] * problem.x**2) / 4
  return top * penalty.ratio ** (
    jnp.arange(penalty.lambdas) / max(penalty.lambdas - 1, 1)
  )


def check(x, y, weights, names=None) -> None:
  """Raises ValueError unless every fit has both labels and finite features.

  Args:
    x: [S, N, D].
    y: [S, N].
    weights: [S, F, N].
    names: of the sites, for the message; their numbers if absent.
  """
  x, y, weights = np.asarray(x), np.asarray(y), np.asarray(weights)
  used = (weights > 0).any(1)
  for s in range(len(x)):
    name = names[s] if names else s
    here = x[s] if used[s].all() else x[s][used[s]]
    if not np.isfinite(here).all():
      row, column = np.argwhere(~np.isfinite(here))[0]
      raise ValueError(
        f'site {name}: activations must be finite, sample {row} has '
        f'{here[row, column]} in feature {column}'
      )
    if not np.isin(y[s][used[s]], (0, 1)).all():
      raise ValueError(f'site {name}: labels must be 0 or 1')
    for f, w in enumerate(weights[s]):
      share = (w * y[s]).sum() / max(w.sum(), 1e-30)
      if not 0 < share < 1:
        raise ValueError(
          f'site {name}, fit {f}: both labels are needed, of its '
          f'{int((w > 0).sum())} samples a share of {share:.0f} is right; '
          'drop the task or ask questions that the model gets right more '
          'evenly'
        )


def predict(
  path_w: Float[Array, '*P D'],
  path_b: Float[Array, '*P'],
  x: Float[Array, 'N D'],
) -> Float[Array, '*P N']:
  """Scores z = x w + b, in the basis of w."""
  return path_w @ x.T + path_b[..., None]


def debiased(
  x: Float[Array, 'S N D'],
  y: Float[Array, 'S N'],
  weights: Float[Array, 'S F N'],
  path: ProbePath,
  support: Float[Array, 'S F D'],
  *,
  mu: float = 1e-3,
) -> ProbePath:
  """Fits anew on a support, without its penalty but for a little ridge.

  Where the support separates the labels, plain logistic regression has no
  least; `mu` gives it one.

  Args:
    x: as for `fit_paths`.
    y: as for `fit_paths`.
    weights: as for `fit_paths`.
    path: whose mean and scale are kept.
    support: 1 for features that may be used, else 0.
    mu: weight of the ridge.
  """

  @jax.jit
  def fit(x, y, weights, mean, scale, support):
    m = weights / jnp.sum(weights)
    z = (x - mean) / scale * support
    problem = jax.tree.map(lambda a: a[None], objective.Problem(z, y, m))
    found = ridge.path(problem, jnp.full((1, 1), mu))
    return jax.tree.map(lambda a: a[0], found)

  def site(args):
    x, y, *rest = args
    return jax.lax.map(lambda r: fit(x, y, *r), tuple(rest))

  found = jax.lax.map(site, (x, y, weights, path.mean, path.scale, support))
  lam = jnp.full(found.b.shape, mu)
  # What is not in the support stays exactly zero.
  w = found.w * support[:, :, None]
  return ProbePath(lam, path.mean, path.scale, w, *found[1:])


def certify(
  x: Float[Array, 'N D'],
  y: Float[Array, ' N'],
  weights: Float[Array, ' N'],
  path: ProbePath,
  site: int,
  fit: int,
  share: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """(value, gap, kkt), each [L], of one path in float64.

  The path is taken as it is: what the numbers say is true of its float32
  weights.
  """
  with jax.enable_x64(True):
    mean, scale, w, b, lam = (
      np.asarray(a[site, fit], np.float64)
      for a in (path.mean, path.scale, path.w, path.b, path.lambdas)
    )
    m = np.asarray(weights, np.float64)
    z = (np.asarray(x, np.float64) - mean) / scale
    problem = objective.Problem(
      jnp.array(z), jnp.array(np.asarray(y, np.float64)), jnp.array(m / m.sum())
    )
    found = jax.jit(objective.certificate)(
      problem, w, b, share * lam, (1 - share) * lam
    )
    return tuple(np.asarray(a) for a in found)
