"""Smooth calibration error, as relplot computes it, from one histogram.

smECE of Blasiok and Nakkiran (2023), section 4.1 of
docs/papers/semantic_calibration.md: the residuals c - a are smoothed by a
Gaussian that is reflected at 0 and 1, and its width is the smallest that the
error at this width does not exceed.

relplot 1.0.3 spreads the answers onto a grid again for every width it tries.
Here they are spread once, on a grid fine enough for the narrowest, as mass and
as mass of right answers: all else is Fourier transforms of that grid, whatever
the number of answers. The residual on the grid is x mass - right, x a grid
point's own place; spreading to both neighbours keeps a confidence's mean, and
with it every residual. Mass counts, so its float32 sums are exact.

The ends. A kernel that is reflected at 1 gives an answer at 1 its own bell and
the mirror's, which lie on one another. relplot mirrors its grid without the
end point, so that confidences of exactly 0 and 1 count half, which frequencies
k/M often are: 50 answers at 1 of which 30 are right, beside 50 at 1/2 of which
25 are, have smECE 0.135, and 0.196 if the former are moved to 0.99.
`ends='half'` is relplot's figure, and that of papers; `ends='whole'` counts
them as the definition does. Curves always do.

Shapes: N answers, G grid points, T points of a mesh. Leading axes broadcast.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from calibration.metrics import binned

Ends = Literal['half', 'whole']

# An eighth of the narrowest width apart.
CELLS = 4096
GRID = CELLS + 1
# Bisection: steps of 1/1024, and none below this counts (relplot's eps).
_STEPS = 10
_TOO_NARROW = 1e-3
NARROWEST = 1 / 512
# Points where the error is summed: 10 a width, never fewer than 200.
_FEWEST = 200
_MOST = round(10 / NARROWEST)
# Of the curve.
MESH = 200
# relplot's, against a density of zero.
_EPSILON = 1e-4


class Spread(NamedTuple):
  """Answers on the grid of confidences.

  Attributes:
    mass: weights of answers.
    right: weights of right answers.
  """

  mass: Float[Array, '... G']
  right: Float[Array, '... G']


class Error(NamedTuple):
  """Attributes:
  value: smECE, in [0, 1]; NaN where nothing counts.
  width: of the Gaussian, a multiple of 1/1024.
  """

  value: Float[Array, '...']
  width: Float[Array, '...']


class Curve(NamedTuple):
  """A smoothed reliability diagram on an even mesh of [0, 1].

  Residuals are smoothed, not labels, as relplot's figures have it: labels lean
  away from the diagonal wherever confidences are unevenly dense, calibrated or
  not, and the mean distance of this curve from it is smECE.

  Attributes:
    mesh: confidences.
    accuracy: smoothed, of answers near that confidence. Not clipped; it falls
      back to the diagonal where there are none.
    density: of confidences, 1 in the mean.
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
    return all_G - far_G + jnp.roll(far_G, 1)  # the last of `far` is zero

  return Spread(onto(weight_N), onto(weight_N * correct_N))


@jax.jit
def spread(
  conf: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  weights: binned.Weights = None,
) -> Spread:
  """Answers onto the two grid points beside their confidence.

  Args:
    conf: in [0, 1].
    correct: 0 or 1.
    weights: copies; 0 or False for padding.
  """
  return binned.batched(_spread, *binned.prepare(conf, correct, weights))


def _ring(value_G):
  """Mirrored at both ends: a period, on which a convolution is a product."""
  return jnp.concatenate([value_G, value_G[-2:0:-1]])


def _kernel(width):
  """The Gaussian around the ring's first point."""
  away = _ring(jnp.linspace(0.0, 1.0, GRID))
  kernel = jnp.exp(-0.5 * (away / width) ** 2) / (width * jnp.sqrt(2 * jnp.pi))
  # relplot's kernel is as long as the interval: nothing is reflected twice.
  return jnp.where(away <= 0.5, kernel, 0.0)


def residual(grid: Spread) -> Float[Array, '... G']:
  """Confidence less accuracy, times mass."""
  return jnp.linspace(0.0, 1.0, GRID) * grid.mass - grid.right


def _transform(grid, ends):
  """Of residual and mass; apart, as one is small beside the other."""
  both_G = jnp.stack([residual(grid), grid.mass])
  if ends == 'whole':
    both_G = both_G.at[:, jnp.array([0, CELLS])].multiply(2.0)
  return jnp.fft.rfft(jax.vmap(_ring)(both_G))


def _smooth(transform, width):
  """[residual, mass] on the grid, by the reflected Gaussian."""
  product = transform * jnp.fft.rfft(_kernel(width)).real
  return jnp.fft.irfft(product)[:, :GRID]


def places(conf):
  """Grid cells of confidences, and the shares of the cells' right ends.

  Exact: the cells are a power of two.
  """
  at = conf * CELLS
  cell = jnp.clip(at.astype(jnp.int32), 0, CELLS - 1)
  return cell, at - cell


def _at(value_G, mesh_T):
  """Linear interpolation at places in [0, 1]."""
  cell_T, share_T = places(mesh_T)
  left_T, right_T = value_G[:, cell_T], value_G[:, cell_T + 1]
  return left_T * (1 - share_T) + right_T * share_T


def _error(transform, width):
  points = jnp.maximum(jnp.round(10 / width), _FEWEST)
  at_T = jnp.arange(_MOST)
  both_T = _at(_smooth(transform, width), at_T / (points - 1))
  # The regression times its density is the smoothed residual.
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
  """smECE over the last axis, with the width it has found.

  Args:
    conf: in [0, 1].
    correct: 0 or 1.
    weights: copies; 0 or False for padding.
    ends: how confidences of 0 and 1 count, see above.
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
  """smECE at a given width: of use where widths must not differ.

  Args:
    conf: in [0, 1].
    correct: 0 or 1.
    width: of the Gaussian, in [1/512, 1].
    weights: copies.
    ends: how confidences of 0 and 1 count, see above.
  """
  _check(ends)

  def one(mass_G, right_G):
    error = _error(_transform(Spread(mass_G, right_G), ends), width)
    return jnp.where(mass_G.sum() > 0, error, jnp.nan)

  return binned.batched(one, *spread(conf, correct, weights))


def product(a, b):
  """Matrices, in float32 on every device."""
  return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


@jax.jit
def matrix(width: Float[Array, '']) -> Float[Array, 'G T']:
  """Of the curve: smooths what is on the grid, read off at the mesh.

  The same for all answers, so that many replicates are one product.
  """
  kernel = _kernel(width)
  grid_G1 = jnp.arange(GRID)[:, None]

  def at(cell_T):
    straight_GT = kernel[(cell_T - grid_G1) % kernel.size]
    return straight_GT + kernel[(cell_T + grid_G1) % kernel.size]

  cell_T, share_T = places(jnp.linspace(0.0, 1.0, MESH))
  return at(cell_T) * (1 - share_T) + at(cell_T + 1) * share_T


def accuracy(residual_T, mass_T):
  """Of a curve, from residual and mass times the `matrix`."""
  return jnp.linspace(0.0, 1.0, MESH) - residual_T / (mass_T + _EPSILON)


@jax.jit
def curve(
  conf: Float[Array, '... N'],
  correct: Shaped[Array, '... N'],
  width: Float[Array, ''],
  weights: binned.Weights = None,
) -> Curve:
  """Accuracy by confidence, smoothed, and the density of confidences.

  Args:
    conf: in [0, 1].
    correct: 0 or 1.
    width: of the Gaussian, in [1/512, 1]; usually that of `smece`.
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
