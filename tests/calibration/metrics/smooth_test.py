"""smECE against dense float64 sums of its definition, and against relplot."""

import itertools

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration.metrics import binned, smooth
from tests.calibration.metrics import binned_test

A, B, RIGHT = binned_test.A, binned_test.B, binned_test.RIGHT
arrays, world = binned_test.arrays, binned_test.world

# World, smECE with its width in 1024ths, at width 0.05: relplot 1.0.3.
RELPLOT = (
  ((0, 60, 0), 0.10645577235798719, 110, 0.12562812534370418),
  ((1, 300, 0), 0.10703746840390795, 110, 0.11031973542503272),
  ((2, 200, 20), 0.12295465353150671, 126, 0.12509782433670003),
  ((3, 500, 10), 0.09105252621896559, 94, 0.09101413302861538),
  ((4, 40, 5), 0.06234498331319971, 65, 0.06505719292681102),
)


def dense(conf, correct, width, cells=smooth.CELLS):
  """relplot's sums on a grid of `cells`, in float64, nothing transformed."""
  conf, residual = np.asarray(conf, np.float64), conf - np.asarray(correct)
  cell = np.minimum((conf * cells).astype(int), cells - 1)
  share = conf * cells - cell
  kernel = np.linspace(-0.5, 0.5, cells + 1)
  kernel = np.exp(-0.5 * (kernel / width) ** 2) / np.sqrt(2 * np.pi) / width
  points = max(round(10 / width), 200)
  at = np.linspace(0, 1, points) * cells
  out = []
  for value in (residual, np.ones(len(conf))):
    grid = np.zeros(cells + 1)
    np.add.at(grid, cell, (1 - share) * value)
    np.add.at(grid, cell + 1, share * value)
    mirrored = np.concatenate([grid[:0:-1], grid, grid[-2::-1]])
    smoothed = np.convolve(mirrored, kernel, 'valid')
    smoothed = smoothed[cells // 2 : -(cells // 2)]
    out.append(np.interp(at, np.arange(cells + 1), smoothed))
  return np.abs(out[0]).sum() / (out[1] + 1e-4).sum()


def dense_search(conf, correct):
  """(smECE, width): the bisection, in float64."""
  wide, narrow = 1.0, 0.0
  for _ in range(10):
    middle = (wide + narrow) / 2
    if middle < 1e-3 or middle < dense(conf, correct, middle):
      narrow = middle
    else:
      wide = middle
  return dense(conf, correct, wide), wide


class ErrorTest(parameterized.TestCase):
  def test_numbers_of_the_spec(self):
    for conf, value, width in (
      (A, 0.0956359, 0.0966797),
      (B, 0.0914016, 0.0927734),
    ):
      found = smooth.smece(*arrays(conf, RIGHT))
      self.assertAlmostEqual(float(found.value), value, delta=1e-5)
      self.assertAlmostEqual(float(found.width), width, places=6)

  @parameterized.parameters(
    (0.05, 0.167891, 0.168426),
    (0.1, 0.093598, 0.093844),
    (0.2, 0.061194, 0.060574),
  )
  def test_a_given_width_of_the_spec(self, width, relplot, integral):
    found = float(smooth.smece_at(*arrays(A, RIGHT), jnp.float32(width)))
    self.assertAlmostEqual(found, relplot, delta=5e-5)
    self.assertAlmostEqual(found, integral, delta=1.5e-3)

  @parameterized.parameters(*RELPLOT)
  def test_relplot_agrees(self, of, value, width, at):
    given = arrays(*world(*of))
    found = smooth.smece(*given)
    self.assertAlmostEqual(float(found.value), value, delta=1.5e-4)
    self.assertLessEqual(abs(float(found.width) * 1024 - width), 1)
    found = smooth.smece_at(*given, jnp.float32(0.05))
    self.assertAlmostEqual(float(found), at, delta=1.5e-4)

  @parameterized.parameters((0, 90, 0), (1, 400, 20))
  def test_dense_sums_in_float64_agree_closely(self, seed, size, samples):
    conf, right = world(seed, size, samples)
    conf = conf.astype(np.float32)
    value, width = dense_search(conf.astype(np.float64), right)
    found = smooth.smece(*arrays(conf, right))
    self.assertEqual(float(found.width), width)
    self.assertAlmostEqual(float(found.value), value, delta=1e-6)

  @parameterized.parameters(1 / 512, 0.004, 0.03, 0.4, 1.0)
  def test_so_they_do_at_every_width(self, width):
    conf, right = world(2, 150)
    conf, width = conf.astype(np.float32), float(np.float32(width))
    want = dense(conf.astype(np.float64), right, width)
    found = smooth.smece_at(*arrays(conf, right), jnp.float32(width))
    self.assertAlmostEqual(float(found), want, delta=1e-6)

  @parameterized.parameters(
    ([0.25] * 4 + [0.75] * 4, [1, 0, 0, 0, 1, 1, 1, 0], 0.0, 1 / 512),
    ([0.5] * 4, [1, 1, 0, 0], 0.0, 1 / 512),
    ([0.9] * 10, [1, 0] * 5, 0.399995, 0.400391),
  )
  def test_special_cases_of_the_spec(self, conf, right, value, width):
    found = smooth.smece(*arrays(conf, right))
    self.assertAlmostEqual(float(found.value), value, delta=1e-6)
    self.assertAlmostEqual(float(found.width), width, places=6)

  def test_answers_at_an_end_count_half_or_whole(self):
    # relplot 1.0.3 has 0.1346451 here, and 0.1958830 with 0.99 in place of 1.
    conf = np.array([1.0] * 50 + [0.5] * 50)
    right = np.array([1, 1, 1, 0, 0] * 10 + [1, 0] * 25)
    half = smooth.smece(*arrays(conf, right))
    self.assertAlmostEqual(float(half.value), 0.1346451, delta=1e-5)
    near = smooth.smece(*arrays(np.where(conf == 1, 0.99, conf), right))
    self.assertAlmostEqual(float(near.value), 0.1958830, delta=1e-5)
    for given in ((conf, right), (1 - conf, 1 - right)):
      whole = smooth.smece(*arrays(*given), ends='whole')
      # Half of the answers are 0.4 away; then there is relplot's mesh, whose
      # end points count as others do.
      self.assertBetween(float(whole.value), 0.2, 0.205)

  def test_ends_must_be_one_of_two(self):
    with self.assertRaisesRegex(ValueError, "'half' or 'whole', got 'none'"):
      smooth.smece(*arrays(A, RIGHT), ends='none')

  def test_many_equal_answers_lose_nothing(self):
    size = 200_000
    right = np.arange(size) % 5 < 2
    found = smooth.smece(*arrays(np.full(size, 0.7), right))
    self.assertAlmostEqual(float(found.value), 0.3, delta=1e-6)

  def test_no_mirror_image_differs(self):
    conf, right = world(3, 200, 50)
    found = smooth.smece(*arrays(conf, right))
    turned = smooth.smece(*arrays(1 - conf, 1 - right))
    self.assertEqual(found.width, turned.width)
    self.assertAlmostEqual(float(found.value), float(turned.value), places=6)

  def test_batched_and_padded_is_one_by_one(self):
    rng = np.random.default_rng(0)
    conf = np.round(rng.random((2, 3, 23)), 2).astype(np.float32)
    right = rng.integers(0, 2, (2, 3, 23))
    mask = rng.random((2, 3, 23)).argsort(axis=-1) < 16
    shown = (
      np.asarray(np.where(mask, conf, np.nan)),
      np.asarray(np.where(mask, right, 9)),
    )
    found = smooth.smece(*shown, np.asarray(mask))
    at = smooth.smece_at(*shown, jnp.float32(0.1), np.asarray(mask))
    for row in itertools.product(range(2), range(3)):
      one = arrays(conf[row][mask[row]], right[row][mask[row]])
      want = smooth.smece(*one)
      self.assertAlmostEqual(float(found.value[row]), float(want.value), 6)
      self.assertEqual(found.width[row], want.width)
      want = smooth.smece_at(*one, jnp.float32(0.1))
      self.assertAlmostEqual(float(at[row]), float(want), places=6)

  def test_weights_are_copies(self):
    conf, right = world(5, 31, 10)
    times = np.random.default_rng(1).integers(0, 4, 31)
    found = smooth.smece(*arrays(conf, right), np.asarray(times, np.float32))
    want = smooth.smece(
      *arrays(np.repeat(conf, times), np.repeat(right, times))
    )
    self.assertAlmostEqual(float(found.value), float(want.value), places=6)

  def test_nothing_counted_is_nan(self):
    conf, right = arrays(A, RIGHT)
    none = np.zeros(10, bool)
    self.assertTrue(np.isnan(smooth.smece(conf, right, none).value))
    found = smooth.smece_at(conf, right, jnp.float32(0.1), none)
    self.assertTrue(np.isnan(found))

  def test_calibrated_answers_show_the_floor_of_the_spec(self):
    # Section 4.2 (a), 200 questions: 0.053 +- 0.010; 0.070 +- 0.018 by bins.
    rng = np.random.default_rng(0)
    conf = rng.random((100, 200)).astype(np.float32)
    right = rng.random((100, 200)) < conf
    for found, mean, spread in (
      (smooth.smece(*arrays(conf, right)).value, 0.053, 0.010),
      (binned.ece(binned.by_width(*arrays(conf, right))), 0.070, 0.018),
    ):
      # Five standard errors of the mean, and the table's own rounding.
      delta = 5 * spread / np.sqrt(100) + 0.0005
      self.assertAlmostEqual(float(found.mean()), mean, delta=delta)
      self.assertAlmostEqual(float(found.std()) / spread, 1.0, delta=0.35)


class SpreadTest(absltest.TestCase):
  def test_mass_and_mean_stay(self):
    conf, right = world(7, 500)
    grid = smooth.spread(*arrays(conf, right))
    places = np.linspace(0, 1, smooth.GRID)
    self.assertAlmostEqual(float(grid.mass.sum()), 500, places=3)
    self.assertAlmostEqual(float(grid.right.sum()), right.sum(), places=3)
    for part, held in ((grid.mass, conf), (grid.right, conf[right > 0])):
      mean = np.asarray(part, np.float64) @ places
      self.assertAlmostEqual(mean, held.sum(), delta=1e-3)

  def test_an_answer_lies_between_its_neighbours(self):
    grid = smooth.spread(*arrays([1.25 / smooth.CELLS, 1.0], [1, 0]))
    mass = np.asarray(grid.mass)
    np.testing.assert_array_equal(mass[:4], [0, 0.75, 0.25, 0])
    self.assertEqual(mass[-1], 1)
    np.testing.assert_array_equal(grid.right[:3], [0, 0.75, 0.25])


class CurveTest(absltest.TestCase):
  def test_relplot_smooths_residuals_alike(self):
    # relplot 1.0.3, ReflectedGaussianKernel(0.1).smooth(f, y - f, t), of
    # confidences away from the ends.
    conf, right = world(1, 300)
    found = smooth.curve(*arrays(0.1 + 0.8 * conf, right), jnp.float32(0.1))
    np.testing.assert_allclose(
      found.accuracy[::33],
      [-0.148069, 0.003387, 0.160084, 0.306954, 0.597878, 0.874466, 1.094327],
      atol=2e-5,
    )
    np.testing.assert_allclose(
      found.density[::33],
      [0.412274, 0.988731, 1.274975, 1.203548, 1.229759, 0.923185, 0.376184],
      atol=2e-5,
    )

  def test_sums_over_answers_agree(self):
    conf, right = world(8, 40)
    conf[:4] = 0, 1, 1, 0.5
    width = 0.07
    found = smooth.curve(*arrays(conf, right), jnp.float32(width))
    mesh = np.linspace(0, 1, smooth.MESH)
    np.testing.assert_allclose(found.mesh, mesh, atol=1e-6)

    def bell(away):
      height = np.exp(-0.5 * (away / width) ** 2) / np.sqrt(2 * np.pi) / width
      return np.where(np.abs(away) <= 0.5, height, 0.0)

    at = mesh[:, None]
    near = bell(at - conf) + bell(at + conf) + bell(2 - at - conf)
    want = mesh - near @ (conf - right) / (near.sum(1) + 1e-4)
    np.testing.assert_allclose(found.accuracy, want, atol=1e-4)
    np.testing.assert_allclose(found.density, near.mean(1), atol=1e-4)

  def test_error_is_the_curve_away_from_the_diagonal(self):
    given = arrays(*world(9, 300, 5))
    width = jnp.float32(0.08)  # as many points for both
    found = smooth.curve(*given, width)
    away = np.abs(found.accuracy - found.mesh) * found.density
    want = smooth.smece_at(*given, width, ends='whole')
    self.assertAlmostEqual(
      float(away.sum() / found.density.sum()), float(want), places=5
    )

  def test_rows_are_smoothed_apart(self):
    conf, right = world(10, 60)
    rows = arrays(conf.reshape(2, 30), right.reshape(2, 30))
    found = smooth.curve(*rows, jnp.float32(0.2))
    for row in range(2):
      one = smooth.curve(rows[0][row], rows[1][row], jnp.float32(0.2))
      np.testing.assert_allclose(found.accuracy[row], one.accuracy, atol=1e-5)
      np.testing.assert_allclose(found.density[row], one.density, atol=1e-5)


if __name__ == '__main__':
  absltest.main()
