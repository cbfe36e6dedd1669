"""Smooth calibration error, as relplot computes it, from one histogram.

smECE of Blasiok and Nakkiran (2023), section 4.1 of
docs/papers/semantic_calibration.md. A Gaussian kernel that is reflected at 0
and 1 smooths the residuals c - a. Its width is the smallest width that is at
least the error at that width.

relplot 1.0.3 spreads the answers onto a new grid for every width that it tries.
This file spreads them once, onto a grid fine enough for the narrowest width, as
the mass of all answers and the mass of correct answers. The rest is Fourier
transforms of the grid, so their cost does not depend on N. The residual at grid
point x is x mass - right. Each answer is spread to its two neighbouring grid
points such that its mean position stays, and so does its residual. The mass of
a grid cell is a number of answers, which float32 adds exactly.

Ends: a kernel reflected at 1 gives an answer at 1 two coinciding Gaussians, its
own and the mirror image. relplot mirrors its grid without the end point, so
confidences of exactly 0 and 1, which are common among frequencies k/M, count
half. Example: of 50 answers at 1, 30 are correct; of 50 answers at 1/2, 25 are
correct. Their smECE is 0.135, but 0.196 if the former move to 0.99.
`ends='half'` gives relplot's value, which papers report; `ends='whole'` follows
the definition. Curves always follow the definition.

Shapes: N answers, G grid points, T points of a mesh. Leading axes broadcast.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from calibration.metrics import binned

Ends = Literal['half', 'whole']

# The grid spacing is an eighth of the narrowest width.
CELLS = 4096
GRID = CELLS + 1
# Bisection narrows the width to a multiple of 1/1024. A width below _TOO_NARROW
# (relplot's eps) always counts as too narrow.
_STEPS = 10
_TOO_NARROW = 1e-3
NARROWEST = 1 / 512
# The error is summed over 10 points per width, and at least 200.
_FEWEST = 200
_MOST = round(10 / NARROWEST)
# Points of a curve.
MESH = 200
# relplot adds this to a density before it divides by it.
_EPSILON = 1e-4


class Spread(NamedTuple):
  """Answers on the grid of confidences.

  Attributes:
    mass: weight of all answers.
    right: weight of correct answers.
  """

  mass: Float[Array, '... G']
  right: Float[Array, '... G']


class Error(NamedTuple):
  """A smooth calibration error.

  Attributes:
    value: smECE, in [0, 1]; NaN if all weights are 0.
    width: standard deviation of the Gaussian, a multiple of 1/1024.
  """

  value: Float[Array, '...']
  width: Float[Array, '...']


class Curve(NamedTuple):
  """A smoothed reliability diagram on an even mesh of [0, 1].

  The curve smooths residuals, not labels, as relplot's figures do. Smoothed
  labels leave the diagonal wherever the density of confidences is uneven, even
  for a calibrated model. The mean distance of this curve from the diagonal,
  weighted by density, is smECE.

  Attributes:
    mesh: confidences.
    accuracy: smoothed accuracy at each confidence. It is not clipped to [0, 1],
      and returns to the diagonal where no answers are near.
    density: density of confidences; its mean is 1.
  """

  mesh: Float[Array, ' T']
  accuracy: Float[Array, '... T']
  density: Float[Array, '... T']


def _spread(conf_N, correct_N, weight_N):
  cell_N, share_N = places(conf_N)
  none_G = jnp.zeros(GRID)

  def onto(weight_N):
    all_G = none_G.at[cell_N].add(weight_N)
    far_G = none_G.at[cell_N].add(weight_N * share_N)
    return all_G - far_G + jnp.roll(far_G, 1)  # the last value of far_G is 0

  return Spread(onto(weight_N), onto(weight_N * correct_N))


@jax.jit
def spread(
  conf: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: binned.Weights = None,
) -> Spread:
  """Spreads each answer onto the two grid points next to its confidence.

  Args:
    conf: in [0, 1].
    correct: 0 or 1.
    weights: copies; 0 or False for padding.
  """
  return binned.batched(_spread, *binned.prepare(conf, correct, weights))


def _ring(value_G):
  """One period of the grid mirrored at both ends, for Fourier transforms."""
  return jnp.concatenate([value_G, value_G[-2:0:-1]])


def _kernel(width):
  """The Gaussian on the ring, centred at its first point."""
  away = _ring(jnp.linspace(0.0, 1.0, GRID))
  kernel = jnp.exp(-0.5 * (away / width) ** 2) / (width * jnp.sqrt(2 * jnp.pi))
  # relplot's kernel spans one unit, so it is never reflected twice.
  return jnp.where(away <= 0.5, kernel, 0.0)


def residual(grid: Spread) -> Float[Array, '... G']:
  """The residual at each grid point: (confidence - accuracy) times mass."""
  return jnp.linspace(0.0, 1.0, GRID) * grid.mass - grid.right


def _transform(grid, ends):
  """Fourier transforms of residual and mass.

  They stay separate because the residual is small compared to the mass.
  """
  both_G = jnp.stack([residual(grid), grid.mass])
  if ends == 'whole':
    both_G = both_G.at[:, jnp.array([0, CELLS])].multiply(2.0)
  return jnp.fft.rfft(jax.vmap(_ring)(both_G))


def _smooth(transform, width):
  """[residual, mass] on the grid, smoothed by the reflected Gaussian."""
  product = transform * jnp.fft.rfft(_kernel(width)).real
  return jnp.fft.irfft(product)[:, :GRID]


def places(conf):
  """(grid cell, share of the cell's right end) for each confidence.

  The result is exact, because the number of cells is a power of two.
  """
  at = conf * CELLS
  cell = jnp.clip(at.astype(jnp.int32), 0, CELLS - 1)
  return cell, at - cell


def _at(value_G, mesh_T):
  """Linear interpolation of grid values at points in [0, 1]."""
  cell_T, share_T = places(mesh_T)
  left_T, right_T = value_G[:, cell_T], value_G[:, cell_T + 1]
  return left_T * (1 - share_T) + right_T * share_T


def _error(transform, width):
  points = jnp.maximum(jnp.round(10 / width), _FEWEST)
  at_T = jnp.arange(_MOST)
  both_T = _at(_smooth(transform, width), at_T / (points - 1))
  # relplot's regression times its density is the smoothed residual.
  residual, mass = jnp.sum(jnp.where(at_T < points, jnp.abs(both_T), 0.0), -1)
  return residual / (mass + _EPSILON * points)


def _check(ends):
  if ends not in ('half', 'whole'):
    raise ValueError(f"ends must be 'half' or 'whole', got {ends!r}")


def _search(ends, mass_G, right_G):
  transform = _transform(Spread(mass_G, right_G), ends)

  def step(_, ends):
    wide, narrow = ends
    middle = 0.5 * (wide + narrow)
    error = _error(transform, middle)
    small = (middle < _TOO_NARROW) | (middle < error)
    return jnp.where(small, wide, middle), jnp.where(small, middle, narrow)

  width, _ = jax.lax.fori_loop(
    0, _STEPS, step, (jnp.float32(1.0), jnp.float32(0.0))
  )
  error = _error(transform, width)
  return Error(jnp.where(mass_G.sum() > 0, error, jnp.nan), width)


@functools.partial(jax.jit, static_argnames='ends')
def smece(
  conf: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: binned.Weights = None,
  *,
  ends: Ends = 'half',
) -> Error:
  """smECE over the last axis, and the width of its kernel.

  Args:
    conf: in [0, 1].
    correct: 0 or 1.
    weights: copies; 0 or False for padding.
    ends: how confidences of exactly 0 and 1 count, see above.

  Raises:
    ValueError: `ends` is neither 'half' nor 'whole'.
  """
  _check(ends)
  grid = spread(conf, correct, weights)
  return binned.batched(functools.partial(_search, ends), *grid)


@functools.partial(jax.jit, static_argnames='ends')
def smece_at(
  conf: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  width: Float[Array, ''],
  weights: binned.Weights = None,
  *,
  ends: Ends = 'half',
) -> Float[Array, '...']:
  """smECE at a given width, to compare errors at the same width.

  Args:
    conf: in [0, 1].
    correct: 0 or 1.
    width: standard deviation of the Gaussian, in [1/512, 1].
    weights: copies.
    ends: how confidences of exactly 0 and 1 count, see above.

  Raises:
    ValueError: `ends` is neither 'half' nor 'whole'.
  """
  _check(ends)

  def one(mass_G, right_G):
    error = _error(_transform(Spread(mass_G, right_G), ends), width)
    return jnp.where(mass_G.sum() > 0, error, jnp.nan)

  return binned.batched(one, *spread(conf, correct, weights))


def product(a, b):
  """The matrix product, in full float32 precision on every device."""
  return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


@jax.jit
def matrix(width: Float[Array, '']) -> Float[Array, 'G T']:
  """The linear map from grid values to smoothed values on the curve's mesh.

  It does not depend on the answers, so one product serves many replicates.

  Args:
    width: standard deviation of the Gaussian, in [1/512, 1].
  """
  kernel = _kernel(width)
  grid_G1 = jnp.arange(GRID)[:, None]

  def at(cell_T):
    straight_GT = kernel[(cell_T - grid_G1) % kernel.size]
    return straight_GT + kernel[(cell_T + grid_G1) % kernel.size]

  cell_T, share_T = places(jnp.linspace(0.0, 1.0, MESH))
  return at(cell_T) * (1 - share_T) + at(cell_T + 1) * share_T


def accuracy(residual_T, mass_T):
  """The accuracy of a `Curve`, from residual and mass times the `matrix`."""
  return jnp.linspace(0.0, 1.0, MESH) - residual_T / (mass_T + _EPSILON)


@jax.jit
def curve(
  conf: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  width: Float[Array, ''],
  weights: binned.Weights = None,
) -> Curve:
  """Smoothed accuracy and density by confidence.

  Args:
    conf: in [0, 1].
    correct: 0 or 1.
    width: standard deviation of the Gaussian, in [1/512, 1]; usually the width
      that `smece` found.
    weights: copies.
  """
  grid = spread(conf, correct, weights)
  matrix_GT = matrix(width)
  mass_T = product(grid.mass, matrix_GT)
  return Curve(
    jnp.linspace(0.0, 1.0, MESH),
    accuracy(product(residual(grid), matrix_GT), mass_T),
    mass_T / grid.mass.sum(-1, keepdims=True),
  )
