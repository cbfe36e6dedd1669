"""The learned tilt, against formulas, scikit-learn and known truths."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized
from scipy import special
from sklearn import linear_model

from calibration.metrics import binned
from calibration.semantic import recalibrate, tilt


def draw(seed, count, truth):
  """Confidences, and answers that are right with probability truth(conf)."""
  rng = np.random.default_rng(seed)
  conf = rng.uniform(0.05, 0.95, count).astype(np.float32)
  correct = (rng.random(count) < truth(conf)).astype(np.float32)
  return conf, correct


def fit(conf, correct, **knobs):
  return recalibrate.fit(jnp.asarray(conf), jnp.asarray(correct), **knobs)


def logistic(a, b):
  return lambda c: 1 / (1 + np.exp(-(a + b * np.log(c / (1 - c)))))


class FitTest(parameterized.TestCase):
  def test_one_piece_is_logistic_regression(self):
    conf, correct = draw(0, 800, logistic(-0.4, 0.5))
    fitted = fit(conf, correct, pieces=1, penalty=1e-9)
    x = np.log(conf / (1 - conf))[:, None]
    peer = linear_model.LogisticRegression(C=np.inf, tol=1e-10)
    peer.fit(x, np.asarray(correct))
    np.testing.assert_allclose(
      recalibrate.apply(fitted, conf), peer.predict_proba(x)[:, 1], atol=1e-4
    )

  @parameterized.parameters((-0.4, 0.5), (0.7, 1.6), (0.0, 1.0))
  def test_finds_the_tilt_that_was_planted_beyond_the_split_too(self, a, b):
    conf, correct = draw(1, 20_000, logistic(a, b))
    fitted = fit(conf, correct)
    at = np.array([0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98], np.float32)
    want = a + (b - 1) * special.logit(at)
    got = np.asarray(recalibrate.tau(fitted, at))
    np.testing.assert_allclose(got, want, atol=0.25)
    np.testing.assert_allclose(got[2:5], want[2:5], atol=0.08)

  def test_monotone_whatever_the_labels(self):
    conf, correct = draw(2, 500, lambda c: 1 - c)  # the order turned round
    fitted = fit(conf, correct, pieces=6)
    got = recalibrate.apply(fitted, np.linspace(0, 1, 300, dtype=np.float32))
    self.assertGreaterEqual(float(np.diff(got).min()), -1e-6)
    self.assertTrue(np.all(np.isfinite(got)))

  def test_frequencies_on_a_few_levels(self):
    # All answers at 0, 1/2 and 1; a half, three quarters and all are right.
    conf = np.repeat(np.float32([0.0, 0.5, 1.0]), 40)
    correct = np.concatenate(
      [np.arange(40) % 2, np.arange(40) % 4 > 0, np.ones(40)]
    ).astype(np.float32)
    fitted = fit(conf, correct, pieces=4, penalty=1e-6)
    got = np.asarray(recalibrate.apply(fitted, np.float32([0.0, 0.5, 1.0])))
    np.testing.assert_allclose(got[:2], [0.5, 0.75], atol=0.01)
    self.assertGreater(float(got[2]), 0.99)

  @parameterized.parameters(dict(pieces=0), dict(penalty=0.0))
  def test_nonsense_is_refused(self, **knobs):
    with self.assertRaisesRegex(ValueError, 'pieces must be at least 1'):
      recalibrate.fit(jnp.array([0.5]), jnp.array([1.0]), **knobs)

  def test_what_is_no_confidence_is_refused(self):
    with self.assertRaisesRegex(ValueError, r'must lie in \[0, 1\], got 1.5'):
      recalibrate.fit(jnp.array([0.5, 1.5]), jnp.array([1.0, 0.0]))


class RecoveredTest(parameterized.TestCase):
  def test_equals_the_change_of_the_log_loss_and_of_whole_answers(self):
    conf, correct = draw(3, 400, logistic(-1.0, 1.0))
    fitted = fit(conf, correct)
    moved = recalibrate.apply(fitted, conf)
    got = recalibrate.recovered(fitted, conf, correct)
    want = binned.log_loss(conf, correct) - binned.log_loss(moved, correct)
    self.assertAlmostEqual(float(got), float(want), places=5)
    # Answers of three classes, the first the top one; gold is right or in a
    # class of its own share.
    c = conf
    log_f = np.log(np.stack([c, 0.7 * (1 - c), 0.3 * (1 - c)], 1))
    hit = np.float32([1.0, 0.0, 0.0])
    t = np.asarray(recalibrate.tau(fitted, conf))
    tilted = np.asarray(tilt.tilted(log_f, t[:, None] * hit))
    gold = np.where(np.asarray(correct) > 0, 0, 1 + np.arange(400) % 2)
    saved = np.take_along_axis(tilted - log_f, gold[:, None], axis=1).mean()
    self.assertAlmostEqual(float(got), float(saved), places=5)

  def test_what_is_saved_on_others_is_the_divergence(self):
    conf, correct = draw(4, 20_000, logistic(-1.0, 1.0))
    fitted = fit(conf[:10_000], correct[:10_000])
    got = recalibrate.recovered(fitted, conf[10_000:], correct[10_000:])
    acc = special.expit(special.logit(conf[10_000:]) - 1.0)
    want = np.mean(tilt.bernoulli_kl(acc, conf[10_000:]))
    self.assertAlmostEqual(float(got), float(want), delta=0.01)

  def test_nothing_is_saved_on_what_is_calibrated(self):
    conf, correct = draw(5, 4000, lambda c: c)
    fitted = fit(conf[:2000], correct[:2000])
    got = recalibrate.recovered(fitted, conf[2000:], correct[2000:])
    self.assertBetween(float(got), -0.005, 0.002)


class LevelTest(absltest.TestCase):
  def test_equal_confidences_have_the_tilt_of_the_formula(self):
    conf = np.float32([0.7] * 4 + [0.9] * 5 + [0.2] * 3)
    correct = np.float32([1.0, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 0])
    level = np.int32([0] * 4 + [1] * 5 + [3] * 3)
    got = np.asarray(recalibrate.tilt_by_level(conf, correct, level, levels=4))
    self.assertAlmostEqual(float(got[0]), -0.8472979, delta=1e-5)
    want = tilt.best_tilt(np.float32([0.9, 0.2]), np.float32([0.8, 1 / 3]))
    np.testing.assert_allclose(got[[1, 3]], want, atol=1e-4)
    self.assertEqual(float(got[2]), 0.0)

  def test_different_confidences_have_the_least_loss_of_a_grid(self):
    conf, correct = draw(6, 300, logistic(1.0, 0.5))
    level = (conf * 2).astype(np.int32)
    got = np.asarray(recalibrate.tilt_by_level(conf, correct, level, levels=2))
    grid = np.linspace(-3, 3, 6001, dtype=np.float32)[:, None]
    losses = np.asarray(tilt.loss_change(grid, conf, correct))
    for which in (0, 1):
      least = losses[:, level == which].mean(1).argmin()
      self.assertAlmostEqual(got[which], grid[least, 0], delta=2e-3)

  def test_a_level_without_a_wrong_answer_stays_finite(self):
    got = recalibrate.tilt_by_level(
      np.float32([0.5, 1.0]), np.ones(2, np.float32), np.int32([0, 0]), levels=1
    )
    self.assertBetween(float(got.item()), 10, recalibrate.MOST)

  def test_gradient_vanishes_there(self):
    conf, correct = draw(7, 100, logistic(0.3, 2.0))
    level = np.zeros(100, np.int32)
    t = recalibrate.tilt_by_level(conf, correct, level, levels=1).item()
    slope = jax.jit(
      jax.grad(lambda t: tilt.loss_change(t, conf, correct).mean())
    )(t)
    self.assertAlmostEqual(float(slope), 0.0, places=5)


if __name__ == '__main__':
  absltest.main()
