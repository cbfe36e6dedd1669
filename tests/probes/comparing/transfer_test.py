"""Transfer in closed form, recalibration by its gradient, pairs by hand."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from engine.stats import auroc
from probes.comparing import transfer


def normal_cdf(x):
  return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def small(seed=0):
  """Three probes and two tasks of five dimensions, with padding full of NaN."""
  rng = np.random.default_rng(seed)
  w, b = rng.standard_normal((3, 5)), rng.standard_normal(3)
  x = rng.standard_normal((2, 17, 5))
  y = rng.integers(0, 2, (2, 17))
  y[:, :2] = [0, 1]
  mask = np.arange(17) < np.array([[17], [12]])
  x[~mask] = np.nan
  tasks = transfer.Tasks(
    jnp.asarray(x, jnp.float32), jnp.asarray(y), jnp.asarray(mask)
  )
  return jnp.asarray(w, jnp.float32), jnp.asarray(b, jnp.float32), tasks


class MatrixTest(parameterized.TestCase):
  def test_gaussians_of_the_spec(self):
    # Section 9, oracle 5: the distance of the means is 2 standard deviations.
    rng, n = np.random.default_rng(0), 20_000
    y = np.arange(n) % 2
    mean = np.array([[2.0, 0, 0], [0, 2.0, 0]])
    x = rng.standard_normal((2, n, 3)) + y[:, None] * mean[:, None]
    cosines = [1.0, 0.73, 0.5, 0.39, 0.25, 0.0]
    w = [[c, 0.0, math.sqrt(1 - c * c)] for c in cosines]
    tasks = transfer.Tasks(
      jnp.asarray(x, jnp.float32),
      jnp.asarray(np.stack([y, y])),
      jnp.ones((2, n), bool),
    )
    got = transfer.transfer_matrix(
      jnp.asarray(w, jnp.float32), jnp.zeros(6), tasks
    )
    want = [normal_cdf(2 * c / math.sqrt(2)) for c in cosines]
    np.testing.assert_allclose(
      want, [0.92135, 0.8490, 0.7602, 0.7094, 0.6382, 0.5], atol=6e-5
    )
    np.testing.assert_allclose(got[:, 0], want, atol=0.012)
    # No probe has anything of the other task's direction.
    np.testing.assert_allclose(got[:, 1], 0.5, atol=0.012)

  def test_rows_are_sources_and_padding_is_ignored(self):
    w, b, tasks = small()
    got = transfer.transfer_matrix(w, b, tasks)
    self.assertEqual(got.shape, (3, 2))
    for s, t in itertools.product(range(3), range(2)):
      keep = np.asarray(tasks.mask[t])
      z = np.asarray(tasks.x[t], np.float64)[keep] @ np.asarray(w[s])
      y = np.asarray(tasks.y[t], bool)[keep]
      want = np.mean(z[y][:, None] > z[~y])
      self.assertAlmostEqual(float(got[s, t]), want, places=6)

  def test_offset_and_scale_of_a_probe_do_not_matter(self):
    w, b, tasks = small()
    np.testing.assert_array_equal(
      transfer.transfer_matrix(4 * w, b, tasks),
      transfer.transfer_matrix(w, jnp.zeros(3), tasks),
    )

  def test_intervals_hold_the_matrix_and_share_their_replicates(self):
    self.enter_context(jax.debug_key_reuse(True))
    w, b, tasks = small()
    w = w.at[2].set(8 * w[0])  # the same order
    got = transfer.transfer_intervals(
      jax.random.key(0), w, b, tasks, draws=150, level=0.9
    )
    self.assertEqual(got.shape, (3, 2, 3))
    np.testing.assert_array_equal(
      got[..., 0], transfer.transfer_matrix(w, b, tasks)
    )
    self.assertTrue((got[..., 1] < got[..., 0]).all())
    self.assertTrue((got[..., 2] > got[..., 0]).all())
    np.testing.assert_array_equal(got[0], got[2])

  def test_own_intervals_are_its_diagonal(self):
    w, b, tasks = small()
    group = jnp.asarray(np.arange(34).reshape(2, 17) % 17 // 2)
    for held in (tasks, tasks._replace(group=group)):
      key = jax.random.key(3)
      whole = transfer.transfer_intervals(key, w[:2], b[:2], held, draws=50)
      own = transfer.own_intervals(key, w[:2], b[:2], held, draws=50)
      np.testing.assert_allclose(
        own, np.asarray(whole)[[0, 1], [0, 1]], atol=1e-6
      )
      self.assertGreater(float(jnp.ptp(own)), 0.0)


class BrierTest(parameterized.TestCase):
  def test_hand_counts(self):
    z = jnp.log(jnp.array([[4.0, 0.25, 1.0, 4.0], [1.0, 1.0, 1.0, 9.0]]))
    y = jnp.array([[1, 0, 0, 0], [1, 0, 0, 1]])
    mask = jnp.array([[True, True, True, True], [True, True, True, False]])
    # Probabilities 0.8, 0.2, 0.5, 0.8; then a half thrice and padding.
    want = [(0.04 + 0.04 + 0.25 + 0.64) / 4, 0.25]
    np.testing.assert_allclose(transfer.brier(z, y, mask), want, atol=1e-6)

  def test_certainty_is_finite_and_padding_is_ignored(self):
    z = jnp.array([500.0, -500.0, 500.0, jnp.nan])
    y = jnp.array([1, 0, 0, 1])
    mask = jnp.arange(4) < 3
    self.assertAlmostEqual(float(transfer.brier(z, y, mask)), 1 / 3, places=6)
    self.assertTrue(np.isnan(transfer.brier(z, y, mask & False)))


class PlattTest(parameterized.TestCase):
  @parameterized.parameters((1.0, 0.0), (1000.0, -7000.0), (-0.01, 3.0))
  def test_gradient_vanishes_in_any_unit(self, factor, shift):
    rng = np.random.default_rng(0)
    y = rng.random(60) < 0.3
    z = factor * (rng.standard_normal(60) + y) + shift
    a, c = transfer.platt(
      jnp.asarray(z, jnp.float32), jnp.asarray(y), jnp.ones(60, bool)
    )
    p = 1 / (1 + np.exp(-(float(a) * z + float(c))))
    ones, zeros = y.sum(), (~y).sum()
    goal = np.where(y, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    unit = (z - z.mean()) / z.std()
    self.assertAlmostEqual(np.mean(p - goal), 0, delta=1e-5)
    self.assertAlmostEqual(np.mean((p - goal) * unit), 0, delta=1e-5)
    self.assertEqual(float(a) > 0, factor > 0)

  def test_recovers_the_line_of_many_samples(self):
    rng = np.random.default_rng(1)
    z = rng.standard_normal(20_000)
    y = rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * z - 0.5)))
    got = transfer.platt(
      jnp.asarray(z, jnp.float32), jnp.asarray(y), jnp.ones(20_000, bool)
    )
    np.testing.assert_allclose(got, [1.5, -0.5], atol=0.08)

  def test_separated_classes_reach_platts_targets(self):
    z = jnp.array([-3.0, -3.0, -3.0, 2.0, 2.0])
    y = jnp.array([0, 0, 0, 1, 1])
    a, c = transfer.platt(z, y, jnp.ones(5, bool))
    # Two values of z, two numbers to choose: both targets are met.
    np.testing.assert_allclose(
      jax.nn.sigmoid(a * z[2:4] + c), [1 / 5, 3 / 4], atol=1e-5
    )

  def test_scores_that_do_not_vary_give_the_base_rate(self):
    y = jnp.array([1, 0, 0, 0])
    a, c = transfer.platt(jnp.full(4, 7.0), y, jnp.ones(4, bool))
    rate = (2 / 3 + 3 * 1 / 5) / 4
    self.assertAlmostEqual(float(jax.nn.sigmoid(a * 7 + c)), rate, places=5)

  def test_batches_and_padding_equal_each_alone(self):
    rng = np.random.default_rng(2)
    z = rng.standard_normal((3, 2, 9)).astype(np.float32)
    y = rng.integers(0, 2, (2, 9))
    mask = np.arange(9) < np.array([[9], [6]])
    shown = np.where(mask, z, np.nan)
    got = transfer.platt(jnp.asarray(shown), jnp.asarray(y), jnp.asarray(mask))
    self.assertEqual(got.shape, (3, 2, 2))
    for s, t in itertools.product(range(3), range(2)):
      keep = slice(0, mask[t].sum())
      alone = transfer.platt(
        jnp.asarray(z[s, t, keep]),
        jnp.asarray(y[t, keep]),
        jnp.ones(mask[t].sum(), bool),
      )
      np.testing.assert_allclose(got[s, t], alone, rtol=1e-3, atol=1e-4)


class RecalibratedTest(absltest.TestCase):
  def test_threshold_is_repaired_and_direction_is_not(self):
    rng, n = np.random.default_rng(3), 600
    y = rng.random((1, 2 * n)) < 0.5
    x = rng.standard_normal((1, 2 * n, 3)) + 2 * y[..., None] * np.eye(3)[0]
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(y)
    mask = jnp.ones((1, n), bool)
    held = transfer.Tasks(x[:, :n], y[:, :n], mask)
    other = transfer.Tasks(x[:, n:], y[:, n:], mask)
    # The Bayes rule is 2 x1 - 2; then one that is far off, and one across.
    w = jnp.array([[2.0, 0, 0], [20.0, 0, 0], [0, 2.0, 0]])
    b = jnp.array([-2.0, 40.0, -2.0])
    plain = transfer.brier_matrix(w, b, held)[:, 0]
    mended = transfer.brier_matrix(w, b, held, other)[:, 0]
    self.assertGreater(plain[1], 0.4)
    self.assertGreater(plain[2], 0.3)
    self.assertAlmostEqual(float(mended[0]), float(plain[0]), delta=0.01)
    self.assertAlmostEqual(float(mended[1]), float(mended[0]), delta=1e-4)
    self.assertAlmostEqual(float(mended[2]), 0.25, delta=0.01)

  def test_the_line_is_of_the_calibration_samples(self):
    w, b, held = small()
    _, _, other = small(seed=7)
    got = transfer.brier_matrix(w, b, held, other)
    for s, t in itertools.product(range(3), range(2)):
      line = transfer.platt(
        transfer.scores(w, b, other.x)[s, t], other.y[t], other.mask[t]
      )
      keep = np.asarray(held.mask[t])
      z = np.asarray(held.x[t])[keep] @ np.asarray(w[s]) + float(b[s])
      p = 1 / (1 + np.exp(-(float(line[0]) * z + float(line[1]))))
      want = np.mean((p - np.asarray(held.y[t])[keep]) ** 2)
      self.assertAlmostEqual(float(got[s, t]), want, places=4)


class CorrelationTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.enter_context(jax.debug_key_reuse(True))

  def random(self, tasks):
    rng = np.random.default_rng(tasks)
    cosine = rng.standard_normal((tasks, tasks))
    cosine = cosine + cosine.T
    area = cosine + 2 * rng.standard_normal((tasks, tasks))
    # What stands on the diagonal must not matter.
    np.fill_diagonal(cosine, np.nan)
    np.fill_diagonal(area, 1e6)
    return cosine, area

  def correlate(self, cosine, area, **knobs):
    return transfer.correlation(
      jax.random.key(0),
      jnp.asarray(cosine, jnp.float32),
      jnp.asarray(area, jnp.float32),
      **knobs,
    )

  def test_all_ordered_pairs_count(self):
    cosine, area = self.random(5)
    off = ~np.eye(5, dtype=bool)
    want = np.corrcoef(cosine[off], area[off])[0, 1]
    got = self.correlate(cosine, area, draws=20)
    self.assertAlmostEqual(float(got[0]), want, places=5)

  def test_interval_is_that_of_all_draws_of_tasks(self):
    cosine, area = self.random(4)
    every = []
    for drawn in itertools.product(range(4), repeat=4):
      if len(set(drawn)) < 3:
        continue
      pairs = [(i, j) for i in drawn for j in drawn if i != j]
      a, b = zip(*[(cosine[p], area[p]) for p in pairs], strict=True)
      every.append(np.corrcoef(a, b)[0, 1])
    want = np.quantile(every, [0.25, 0.75], method='inverted_cdf')
    got = self.correlate(cosine, area, draws=2000, level=0.5)
    np.testing.assert_allclose(got[1:], want, atol=1e-4)

  def test_of_three_tasks_only_all_three_can_be_drawn(self):
    cosine, area = self.random(3)
    # Two would have a correlation of 1 or -1, by rounding alone.
    cosine += 1e-5 * np.random.default_rng(0).standard_normal((3, 3))
    got = self.correlate(cosine, area, draws=100)
    np.testing.assert_allclose(got, [got[0]] * 3, atol=1e-6)

  def test_a_line_is_one_and_a_falling_line_minus_one(self):
    cosine, _ = self.random(4)
    for sign in (1, -1):
      got = self.correlate(cosine, 0.5 + sign * 0.1 * cosine, draws=50)
      np.testing.assert_allclose(got, sign, atol=1e-5)

  def test_undefined_is_nan(self):
    cosine, area = self.random(4)
    flat = self.correlate(cosine, np.full((4, 4), 0.5), draws=10)
    self.assertTrue(np.isnan(flat).all())
    cosine[1, 2] = np.nan
    self.assertTrue(np.isnan(self.correlate(cosine, area, draws=10)).all())

  def test_nonsense_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'at least 3 tasks, got 2'):
      self.correlate(np.eye(2), np.eye(2))
    with self.assertRaisesRegex(ValueError, 'draws=0'):
      self.correlate(np.eye(3), np.eye(3), draws=0)


class LabelsTest(absltest.TestCase):
  def test_a_task_of_one_class_is_nan_in_its_column_only(self):
    w, b, tasks = small()
    tasks = tasks._replace(y=tasks.y.at[1].set(1))
    nan = np.isnan(transfer.transfer_matrix(w, b, tasks))
    np.testing.assert_array_equal(nan, [[False, True]] * 3)
    with self.assertRaisesRegex(ValueError, "'plurals'.*none of the other"):
      auroc.check_labels('plurals', tasks.y[1])


if __name__ == '__main__':
  absltest.main()
