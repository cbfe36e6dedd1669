"""Intervals, bands and floors, against all draws, formulas and simulation."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration.metrics import binned, reliability, resampling, smooth
from engine.stats import rejection
from tests.calibration.metrics import binned_test

arrays, world = binned_test.arrays, binned_test.world


def ece(conf, correct, weights):
  return binned.ece(binned.by_width(conf, correct, weights))


def weight(conf, correct, weights):
  del conf, correct
  return weights.sum()


class BootstrapTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.enter_context(jax.debug_key_reuse(True))

  @parameterized.parameters(0.5, 0.9)
  def test_quantiles_are_those_of_all_answers_drawn_again(self, level):
    conf, right = np.array([0.9, 0.6, 0.3, 0.8]), np.array([1, 0, 1, 0])
    every = [
      np.mean((conf - right)[list(drawn)] ** 2)
      for drawn in itertools.product(range(4), repeat=4)
    ]
    tail = (1 - level) / 2
    low, high = np.quantile(every, [tail, 1 - tail])
    found = resampling.bootstrap(
      binned.brier,
      jax.random.key(0),
      *arrays(conf, right),
      draws=4000,
      level=level,
    )
    np.testing.assert_allclose(
      found, [np.mean((conf - right) ** 2), low, high], atol=0.012
    )

  def test_width_is_that_of_the_standard_error(self):
    conf, right = world(0, 400)
    found = resampling.bootstrap(
      binned.gap, jax.random.key(1), *arrays(conf, right)
    )
    error = (conf - right).std() / np.sqrt(400)
    self.assertAlmostEqual(
      float(found[2] - found[1]) / (2 * 1.96 * error), 1, delta=0.1
    )

  def test_replicates_have_as_many_answers_and_no_padding(self):
    # Padding between answers as well as behind them.
    mask = jnp.arange(30) % 3 > 0
    conf, right = arrays(np.where(mask, 0.5, np.nan), [1] * 30)
    found = resampling.bootstrap(
      weight, jax.random.key(2), conf, right, mask, draws=100
    )
    np.testing.assert_array_equal(found, 20)
    found = resampling.bootstrap(
      ece, jax.random.key(2), conf, right, mask, draws=100
    )
    np.testing.assert_allclose(found, 0.5, atol=1e-6)

  def test_any_metric_with_weights_will_do(self):
    given = arrays(*world(3, 50, 10))
    for metric in (rejection.prr, reliability.smece):
      found = resampling.bootstrap(
        metric, jax.random.key(3), *given, draws=50, level=0.5
      )
      self.assertAlmostEqual(
        float(found[0]), float(metric(*given, jnp.ones(50))), places=5
      )
      self.assertLess(found[1], found[2])

  def test_undefined_is_nan(self):
    found = resampling.bootstrap(
      rejection.prr, jax.random.key(4), *arrays([0.3, 0.4], [1, 1]), draws=5
    )
    self.assertTrue(np.isnan(found).all())

  @parameterized.parameters(
    dict(draws=0), dict(draws=5, level=1.0), dict(draws=5, level=0.0)
  )
  def test_nonsense_is_refused(self, **knobs):
    given = arrays(*world(0, 5))
    key = jax.random.key(0)
    with self.assertRaisesRegex(ValueError, 'draws must be positive and level'):
      resampling.bootstrap(ece, key, *given, **knobs)
    with self.assertRaisesRegex(ValueError, 'draws must be positive and level'):
      resampling.band(key, *given, jnp.float32(0.1), **knobs)


class FloorTest(absltest.TestCase):
  def test_floor_is_that_of_calibrated_answers(self):
    conf, _ = world(1, 150, 20)
    found = resampling.null_floor(
      ece, jax.random.key(0), jnp.asarray(conf, jnp.float32), draws=400
    )
    rng = np.random.default_rng(0)
    bin_ = np.minimum(np.round(conf * 20).astype(int) // 2, 9)
    every = []
    for _ in range(2000):
      gap = np.bincount(bin_, conf - (rng.random(150) < conf))
      every.append(np.abs(gap).sum() / 150)
    self.assertAlmostEqual(float(found[0]), np.mean(every), delta=0.004)
    low, high = np.quantile(every, [0.025, 0.975])
    self.assertAlmostEqual(float(found[1]), low, delta=0.008)
    self.assertAlmostEqual(float(found[2]), high, delta=0.012)

  def test_padding_shows_nothing(self):
    conf, _ = world(2, 40)
    mask = np.arange(60) < 40
    shown = np.concatenate([conf, np.full(20, np.nan)])
    found = resampling.null_floor(
      binned.gap,
      jax.random.key(1),
      jnp.asarray(shown, jnp.float32),
      jnp.asarray(mask),
      draws=2000,
    )
    error = np.sqrt(np.sum(conf * (1 - conf))) / 40
    self.assertAlmostEqual(float(found[0]), 0, delta=4 * error / np.sqrt(2000))
    self.assertAlmostEqual(float(found[2]) / (1.96 * error), 1, delta=0.1)


class BandTest(parameterized.TestCase):
  @parameterized.parameters(120, 6000)
  def test_band_holds_the_curves_of_redrawn_answers(self, size):
    # Fewer answers than grid points, and more: two ways to one product.
    conf, right = world(3, size)
    width = jnp.float32(0.15)
    found = resampling.band(
      jax.random.key(0), *arrays(conf, right), width, draws=400
    )
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, size, (200, size))
    every = smooth.curve(*arrays(conf[drawn], right[drawn]), width).accuracy
    spread = np.asarray(every).std(0)
    low, high = np.quantile(every, [0.025, 0.975], axis=0)
    self.assertLess(np.abs(found.low - low).max(), 0.9 * spread.max())
    apart = (np.asarray(found.high) - found.low).mean() / (high - low).mean()
    self.assertAlmostEqual(apart, 1.0, delta=0.08)
    own = smooth.curve(*arrays(conf, right), width).accuracy
    self.assertTrue(((found.low < own) & (own < found.high)).all())

  def test_both_ways_agree(self):
    conf, right = world(4, 6000, 50)
    given, width = arrays(conf, right), jnp.float32(0.1)
    for size in (6000, 4000):
      rows = [a[:size] for a in given]

      @jax.jit
      def found(conf, right, width):
        curve = resampling.curves(conf, width)
        return curve(jnp.ones(conf.size), right.astype(jnp.float32))

      want = smooth.curve(*rows, width).accuracy
      found = found(*rows, width)
      np.testing.assert_allclose(found, want, atol=2e-5)

  @parameterized.parameters(1, 2, 7, 100, 1000)
  def test_tails_are_quantiles(self, draws):
    values = np.random.default_rng(0).random((draws, 3)).astype(np.float32)
    for level in (0.5, 0.95):
      tail = (1 - level) / 2
      want = np.quantile(values, [tail, 1 - tail], axis=0)
      found = jax.jit(resampling.tails, static_argnums=1)(values, level)
      np.testing.assert_allclose(found, want, atol=1e-6)

  def test_padding_is_never_drawn(self):
    conf, right = world(5, 60)
    mask = jnp.arange(60) % 3 > 0
    width = jnp.float32(0.2)
    found = [
      resampling.band(
        jax.random.key(1),
        *arrays(np.where(mask, conf, filler), np.where(mask, right, label)),
        width,
        mask,
        draws=50,
      )
      for filler, label in ((np.nan, 7), (0.5, 1))
    ]
    np.testing.assert_array_equal(found[0], found[1])

  def test_null_band_surrounds_the_diagonal(self):
    conf, right = world(6, 500)
    width = jnp.float32(0.1)
    found = resampling.null_band(
      jax.random.key(2), arrays(conf, right)[0], width
    )
    mesh = np.linspace(0, 1, smooth.MESH)
    self.assertTrue(((found.low < mesh) & (mesh < found.high)).all())
    # Labels of the square of confidence leave it.
    own = smooth.curve(*arrays(conf, right), width).accuracy
    self.assertLess(float(own[100]), float(found.low[100]))
    # Its width is that of a weighted mean of coins, at the middle.
    near = np.exp(-0.5 * ((conf - mesh[100]) / 0.1) ** 2)
    error = np.sqrt(np.sum(near**2 * conf * (1 - conf))) / near.sum()
    half = float(found.high[100] - found.low[100]) / 2
    self.assertAlmostEqual(half / (1.96 * error), 1.0, delta=0.2)


if __name__ == '__main__':
  absltest.main()
