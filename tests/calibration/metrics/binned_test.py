"""Calibration by bins and losses, against hand counts and float64 loops."""

import fractions
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration.metrics import binned as metrics

# Sets A and B of section 9: without and with values on the edges of bins.
A = (0.97, 0.92, 0.83, 0.78, 0.66, 0.61, 0.54, 0.43, 0.31, 0.12)
B = (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.55, 0.4, 0.3, 0.1)
RIGHT = (1, 1, 1, 0, 1, 0, 1, 0, 1, 0)

# World: relplot 1.0.3 binnedECE (15), netcal 1.4.0 ECE (10, 15) of equal
# width and of equal mass, scikit-learn 1.9.1 brier_score_loss, log_loss of
# confidences clipped to [0.001, 0.999].
PEERS = (
  (
    (0, 60),
    0.1796125790859745,
    (0.13252279749778367, 0.17961257908597453),
    (0.12604745838727646, 0.17548839786286194),
    (0.15532623951723784, 0.4683158129677399),
  ),
  (
    (1, 300),
    0.1151171035586646,
    (0.10909006671573354, 0.1151171035586646),
    (0.11055515918969282, 0.12016660830262843),
    (0.15100863763408318, 0.4564734719312135),
  ),
)


def world(seed, size, samples=0):
  """Overconfident answers in float64; frequencies k/M if there are samples."""
  rng = np.random.default_rng(seed)
  p = rng.random(size)
  conf = np.round(p * samples) / samples if samples else p
  return conf, (rng.random(size) < p**1.5).astype(int)


def arrays(conf, correct):
  return np.asarray(conf, np.float32), np.asarray(correct)


def by_hand(conf, correct, weights, bin_, power=1):
  """Mean of |gap|^power over answers, in float64."""
  total = 0.0
  for k in set(bin_):
    here = np.asarray(bin_) == k
    w = np.asarray(weights, np.float64)[here]
    if w.sum() > 0:
      gap = np.sum(w * (np.asarray(conf)[here] - np.asarray(correct)[here]))
      total += w.sum() * abs(gap / w.sum()) ** power
  return total / np.sum(weights)


class BinsTest(parameterized.TestCase):
  @parameterized.parameters(
    (2, 0.045), (4, 0.107), (5, 0.217), (10, 0.303), (15, 0.303), (20, 0.371)
  )
  def test_numbers_of_the_spec_away_from_edges(self, bins, want):
    for edge in ('left', 'right'):
      binned = metrics.by_width(*arrays(A, RIGHT), bins=bins, edge=edge)
      self.assertAlmostEqual(float(metrics.ece(binned)), want, places=6)

  @parameterized.parameters((5, 0.297419), (10, 0.395828))
  def test_root_mean_square_of_the_spec(self, bins, want):
    binned = metrics.by_width(*arrays(A, RIGHT), bins=bins)
    self.assertAlmostEqual(float(metrics.rmsce(binned)), want, places=6)

  @parameterized.parameters(
    (10, 'left', 0.335), (10, 'right', 0.275), (5, 'left', 0.165),
    (5, 'right', 0.135),
  )  # fmt: skip
  def test_edges_belong_where_the_rule_says(self, bins, edge, want):
    binned = metrics.by_width(*arrays(B, RIGHT), bins=bins, edge=edge)
    self.assertAlmostEqual(float(metrics.ece(binned)), want, places=6)
    counts = np.asarray(np.round(np.array(B) * 20), jnp.int32)
    binned = metrics.by_counts(
      counts, jnp.array(20), np.asarray(RIGHT), bins=bins, edge=edge
    )
    self.assertAlmostEqual(float(metrics.ece(binned)), want, places=6)

  @parameterized.product(bins=[1, 10, 15], edge=['left', 'right'])
  def test_every_frequency_is_binned_as_a_fraction(self, bins, edge):
    every = [(k, m) for m in (7, 10, 20, 50, 333) for k in range(m + 1)]
    exact = [fractions.Fraction(k * bins, m) for k, m in every]
    if edge == 'left':
      bin_ = [min(int(f), bins - 1) for f in exact]
    else:
      bin_ = [max(-int(-f // 1) - 1, 0) for f in exact]
    counts, totals = np.asarray(every).T
    # One label a bin: whoever is elsewhere is seen.
    right = np.asarray(bin_) % 2
    whole = metrics.by_counts(counts, totals, right, bins=bins, edge=edge)
    conf = np.asarray([k / m for k, m in every], np.float32)
    real = metrics.by_width(conf, right, bins=bins, edge=edge)
    for found in (whole, real):
      np.testing.assert_array_equal(
        found.weight, np.bincount(bin_, minlength=bins)
      )
      np.testing.assert_array_equal(found.correct, np.arange(bins) % 2)

  def test_equal_mass_of_the_spec(self):
    binned = metrics.by_mass(*arrays(A, RIGHT), bins=5)
    self.assertAlmostEqual(float(metrics.ece(binned)), 0.159, places=6)
    np.testing.assert_array_equal(binned.weight, [2] * 5)

  def test_equal_mass_keeps_equals_together_in_any_order(self):
    conf, right = world(4, 40, 5)
    want = metrics.by_mass(*arrays(conf, right), bins=4)
    for value in np.unique(conf):
      held = np.sum(conf == value)
      self.assertLessEqual(held, float(want.weight.max()))
    order = np.random.default_rng(0).permutation(40)
    got = metrics.by_mass(*arrays(conf[order], right[order]), bins=4)
    for a, b in zip(got, want, strict=True):
      np.testing.assert_allclose(a, b, atol=1e-6)
    one = metrics.by_mass(*arrays([0.3] * 8, [1, 0] * 4), bins=4)
    np.testing.assert_array_equal(one.weight, [0, 0, 8, 0])

  @parameterized.parameters(*PEERS)
  def test_peers_agree_on_values_that_no_edge_meets(
    self, of, relplot, width, mass, losses
  ):
    conf, right = arrays(*world(*of))
    for bins, even, filled in zip((10, 15), width, mass, strict=True):
      got = metrics.ece(metrics.by_width(conf, right, bins=bins))
      self.assertAlmostEqual(float(got), even, places=6)
      got = metrics.ece(metrics.by_mass(conf, right, bins=bins))
      self.assertAlmostEqual(float(got), filled, places=6)
    got = metrics.ece(metrics.by_width(conf, right, bins=15))
    self.assertAlmostEqual(float(got), relplot, places=6)
    brier, nats = losses
    self.assertAlmostEqual(float(metrics.brier(conf, right)), brier, places=6)
    got = metrics.log_loss(conf, right, floor=1e-3)
    self.assertAlmostEqual(float(got), nats, places=6)

  def test_edges_in_floats_are_not_those_of_the_peers(self):
    # netcal 1.4.0 and relplot 1.0.3 both have 0.245 here.
    found = [
      float(metrics.ece(metrics.by_width(*arrays(B, RIGHT), edge=edge)))
      for edge in ('left', 'right')
    ]
    self.assertNotIn(0.245, np.round(found, 6))

  def test_special_cases_of_the_spec(self):
    for conf, right, want in (
      ([0.25] * 4 + [0.75] * 4, [1, 0, 0, 0, 1, 1, 1, 0], 0.0),
      ([0.9] * 10, [1, 0] * 5, 0.4),
      ([0.5] * 4, [1, 1, 0, 0], 0.0),
    ):
      binned = metrics.by_width(*arrays(conf, right))
      self.assertAlmostEqual(float(metrics.ece(binned)), want, places=6)

  @parameterized.parameters(1, 2, 1000)
  def test_levels_are_the_values_there_are(self, size):
    conf, right = world(size, size, 10)
    found = metrics.by_level(*arrays(conf, right))
    values, counts = np.unique(conf, return_counts=True)
    there = np.asarray(found.weight) > 0
    np.testing.assert_allclose(found.conf[there], values, atol=1e-6)
    np.testing.assert_array_equal(found.weight[there], counts)
    want = [right[conf == value].mean() for value in values]
    np.testing.assert_allclose(found.correct[there], want, atol=1e-6)

  def test_bad_knobs_are_refused(self):
    conf, right = arrays(A, RIGHT)
    with self.assertRaisesRegex(ValueError, 'bins must be positive, got 0'):
      metrics.by_width(conf, right, bins=0)
    with self.assertRaisesRegex(ValueError, "'left' or 'right', got 'both'"):
      metrics.by_width(conf, right, edge='both')
    with self.assertRaisesRegex(ValueError, r'floor must lie .* got 0\.5'):
      metrics.log_loss(conf, right, floor=0.5)


class LossesTest(parameterized.TestCase):
  def test_numbers_of_the_spec(self):
    conf, right = arrays(A, RIGHT)
    self.assertAlmostEqual(float(metrics.brier(conf, right)), 0.20193, places=6)
    found = metrics.log_loss(conf, right)
    self.assertAlmostEqual(float(found), 0.564874, places=6)
    self.assertAlmostEqual(float(metrics.gap(conf, right)), 0.017, places=6)

  def test_certainty_is_free_where_right_and_infinite_where_wrong(self):
    self.assertEqual(float(metrics.log_loss(*arrays([1.0, 0.0], [1, 0]))), 0)
    conf, right = arrays([1.0, 0.5], [0, 1])
    self.assertEqual(float(metrics.log_loss(conf, right)), np.inf)
    found = float(metrics.log_loss(conf, right, floor=0.05))
    want = -(np.log(0.05) + np.log(0.5)) / 2
    self.assertAlmostEqual(found, want, places=6)

  def test_gap_is_the_slope_of_the_loss_under_a_tilt(self):
    conf = np.array([0.7] * 4 + [0.9] * 2)
    right = np.array([1, 1, 0, 0, 1, 1])

    def loss(t):
      return np.mean(-t * right + np.log(1 - conf + conf * np.exp(t)))

    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    self.assertAlmostEqual(slope, 0.1, places=6)
    found = metrics.gap(*arrays(conf, right))
    self.assertAlmostEqual(float(found), slope, places=6)
    bend = (loss(1e-3) - 2 * loss(0.0) + loss(-1e-3)) / 1e-6
    self.assertAlmostEqual(bend, 0.17, places=5)

  def test_loss_gap_is_what_the_best_tilt_saves(self):
    # Level c = .7, accuracy .5: t* = -0.8472979, saved 0.0871767.
    tilts = np.linspace(-3, 3, 600_001)
    saved = 0.5 * tilts - np.log(0.3 + 0.7 * np.exp(tilts))
    self.assertAlmostEqual(tilts[saved.argmax()], -0.8472979, delta=1e-5)
    self.assertAlmostEqual(saved.max(), 0.0871767, places=7)
    bins = metrics.by_level(*arrays([0.7] * 4, [1, 1, 0, 0]))
    found = float(metrics.loss_gap(bins))
    self.assertAlmostEqual(found, 0.0871767, places=6)
    self.assertGreaterEqual(found, 2 * float(metrics.rmsce(bins)) ** 2)

  @parameterized.parameters(0, 1, 2)
  def test_loss_gap_is_at_least_twice_the_squared_error(self, seed):
    conf, right = arrays(*world(seed, 400, 10))
    levels = metrics.by_level(conf, right)
    error = float(metrics.rmsce(levels)) ** 2
    self.assertGreaterEqual(float(metrics.loss_gap(levels)), 2 * error)
    # The gap is what recalibration to each level's accuracy saves.
    counted = np.asarray(levels.weight) > 0
    to = np.asarray(levels.correct)[counted][
      np.searchsorted(np.asarray(levels.conf)[counted], conf)
    ]
    inside = (np.asarray(conf) > 0) & (np.asarray(conf) < 1)
    mask = np.asarray(inside)
    before = metrics.log_loss(conf, right, mask)
    after = metrics.log_loss(np.asarray(to), right, mask)
    want = float(before - after)
    found = float(metrics.loss_gap(metrics.by_level(conf, right, mask)))
    self.assertAlmostEqual(found, want, places=5)

  def test_loss_gap_at_the_ends(self):
    ends = metrics.by_level(*arrays([0.0, 0.0, 1.0], [0, 0, 1]))
    self.assertEqual(float(metrics.loss_gap(ends)), 0)
    ends = metrics.by_level(*arrays([0.0, 0.0, 1.0], [0, 1, 1]))
    self.assertEqual(float(metrics.loss_gap(ends)), np.inf)


FUNCTIONS = {
  'brier': metrics.brier,
  'log_loss': lambda *a: metrics.log_loss(*a, floor=0.01),
  'gap': metrics.gap,
  'width': lambda *a: metrics.ece(metrics.by_width(*a)),
  'right': lambda *a: metrics.ece(metrics.by_width(*a, bins=7, edge='right')),
  'rms': lambda *a: metrics.rmsce(metrics.by_width(*a)),
  'mass': lambda *a: metrics.ece(metrics.by_mass(*a, bins=6)),
  'level': lambda *a: metrics.ece(metrics.by_level(*a)),
  'loss_gap': lambda *a: metrics.loss_gap(metrics.by_width(*a)),
}


class WeightsTest(parameterized.TestCase):
  @parameterized.named_parameters(*((n, f) for n, f in FUNCTIONS.items()))
  def test_batched_and_padded_is_one_by_one(self, function):
    rng = np.random.default_rng(0)
    conf = np.round(rng.random((2, 3, 23)), 1).astype(np.float32)
    right = rng.integers(0, 2, (2, 3, 23))
    mask = rng.random((2, 3, 23)).argsort(axis=-1) < 16
    shown = np.asarray(np.where(mask, conf, np.nan))
    labels = np.asarray(np.where(mask, right, 7))
    found = function(shown, labels, np.asarray(mask))
    self.assertEqual(found.shape, (2, 3))
    for at in itertools.product(range(2), range(3)):
      keep = mask[at]
      want = function(np.asarray(conf[at][keep]), np.asarray(right[at][keep]))
      self.assertAlmostEqual(float(found[at]), float(want), places=6)

  @parameterized.named_parameters(*((n, f) for n, f in FUNCTIONS.items()))
  def test_weights_are_copies(self, function):
    conf, right = world(5, 31, 10)
    times = np.random.default_rng(1).integers(0, 4, 31)
    found = function(*arrays(conf, right), np.asarray(times, np.float32))
    want = function(*arrays(np.repeat(conf, times), np.repeat(right, times)))
    self.assertAlmostEqual(float(found), float(want), places=6)

  @parameterized.named_parameters(*((n, f) for n, f in FUNCTIONS.items()))
  def test_nothing_counted_is_nan(self, function):
    conf, right = arrays(A, RIGHT)
    self.assertTrue(np.isnan(function(conf, right, np.zeros(10, bool))))

  def test_no_answers_are_empty_bins_and_no_error(self):
    nothing = np.zeros(0)
    for find, kwargs in (
      (metrics.by_width, dict(bins=3)),
      (metrics.by_mass, dict(bins=3)),
      (metrics.by_level, {}),
    ):
      found = find(nothing, nothing, **kwargs)
      np.testing.assert_array_equal(found.weight, np.zeros(len(found.weight)))
      self.assertTrue(np.isnan(metrics.ece(found)))
    none = np.zeros(0, np.int32)
    found = metrics.by_counts(none, jnp.int32(9), none, bins=3)
    np.testing.assert_array_equal(np.stack(found), np.zeros((3, 3)))
    # Leading axes stay.
    found = metrics.by_width(np.zeros((2, 0)), np.zeros((2, 0)), bins=3)
    np.testing.assert_array_equal(found.weight, np.zeros((2, 3)))

  def test_float32_keeps_up_with_float64(self):
    conf, right = world(6, 300_000, 20)
    rng = np.random.default_rng(2)
    weights = rng.random(300_000).astype(np.float32)
    given = (*arrays(conf, right), np.asarray(weights))
    bin_ = np.minimum(np.round(conf * 20).astype(int) // 2, 9)
    for power, found in (
      (1, metrics.ece(metrics.by_width(*given))),
      (2, metrics.rmsce(metrics.by_width(*given)) ** 2),
    ):
      want = by_hand(conf, right, weights, bin_, power)
      self.assertAlmostEqual(float(found), want, delta=1e-6)
    want = np.average((conf - right) ** 2, weights=weights.astype(np.float64))
    found = metrics.brier(*given)
    self.assertAlmostEqual(float(found), want, delta=1e-6)

  def test_many_equal_answers_lose_nothing(self):
    size = 300_000
    right = np.arange(size) % 5 < 2
    found = metrics.ece(metrics.by_width(*arrays(np.full(size, 0.7), right)))
    self.assertAlmostEqual(float(found), 0.3, delta=1e-6)

  def test_gradients_reach_the_confidences(self):
    conf, right = arrays(A, RIGHT)
    slope = jax.grad(lambda c: metrics.brier(c, right))(conf)
    np.testing.assert_allclose(slope, 0.2 * (conf - right), atol=1e-6)


class CheckTest(parameterized.TestCase):
  def test_good_input_passes(self):
    metrics.check('capitals', A, RIGHT)
    metrics.check('capitals', [0.0, 1.0], [True, True])

  @parameterized.parameters(
    ([0.5, 1.2], [0, 1], r'lie in \[0, 1\], got 1.2'),
    ([0.5, np.nan], [0, 1], r'lie in \[0, 1\], got nan'),
    ([0.5, 0.5], [0, 2], r'labels must be 0 or 1, got \[0, 2\]'),
    ([0.5], [0, 1], r'shapes \(1,\) and \(2,\)'),
    ([], [], r'shapes \(0,\)'),
  )
  def test_bad_input_is_refused_by_name(self, conf, right, message):
    with self.assertRaisesRegex(ValueError, f"task 'capitals'.*{message}"):
      metrics.check('capitals', conf, right)


if __name__ == '__main__':
  absltest.main()
