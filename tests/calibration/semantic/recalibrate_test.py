"""The learned tilt, against formulas, scikit-learn and known truths."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized
from jax.scipy import special
from sklearn import linear_model

from calibration.metrics import binned
from calibration.semantic import recalibrate, tilt


def draw(seed, count, truth):
  """Confidences, and answers that are right with probability truth(conf)."""
  rng = np.random.default_rng(seed)
  conf = rng.uniform(0.05, 0.95, count).astype(np.float32)
  correct = (rng.random(count) < truth(conf)).astype(np.float32)
  return jnp.asarray(conf), jnp.asarray(correct)


def logistic(a, b):
  return lambda c: 1 / (1 + np.exp(-(a + b * np.log(c / (1 - c)))))


class FitTest(parameterized.TestCase):
  def test_one_piece_is_logistic_regression(self):
    conf, correct = draw(0, 800, logistic(-0.4, 0.5))
    fitted = recalibrate.fit(conf, correct, pieces=1, penalty=1e-9)
    x = np.log(conf / (1 - conf))[:, None]
    peer = linear_model.LogisticRegression(C=np.inf, tol=1e-10)
    peer.fit(x, np.asarray(correct))
    np.testing.assert_allclose(
      recalibrate.apply(fitted, conf), peer.predict_proba(x)[:, 1], atol=1e-4
    )

  @parameterized.parameters((-0.4, 0.5), (0.7, 1.6), (0.0, 1.0))
  def test_finds_the_tilt_that_was_planted_beyond_the_split_too(self, a, b):
    conf, correct = draw(1, 20_000, logistic(a, b))
    fitted = recalibrate.fit(conf, correct)
    at = jnp.array([0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98])
    want = a + (b - 1) * special.logit(at)
    np.testing.assert_allclose(recalibrate.tau(fitted, at), want, atol=0.25)
    np.testing.assert_allclose(
      recalibrate.tau(fitted, at[2:5]), want[2:5], atol=0.08
    )

  def test_monotone_whatever_the_labels(self):
    conf, correct = draw(2, 500, lambda c: 1 - c)  # the order turned round
    fitted = recalibrate.fit(conf, correct, pieces=6)
    got = recalibrate.apply(fitted, jnp.linspace(0.0, 1.0, 300))
    self.assertGreaterEqual(float(jnp.diff(got).min()), -1e-6)
    self.assertTrue(np.all(np.isfinite(got)))

  def test_frequencies_on_a_few_levels(self):
    # All answers at 0, 1/2 and 1; a half, three quarters and all are right.
    conf = jnp.repeat(jnp.array([0.0, 0.5, 1.0]), 40)
    correct = jnp.concatenate(
      [jnp.arange(40) % 2, jnp.arange(40) % 4 > 0, jnp.ones(40)]
    ).astype(jnp.float32)
    fitted = recalibrate.fit(conf, correct, pieces=4, penalty=1e-6)
    got = recalibrate.apply(fitted, jnp.array([0.0, 0.5, 1.0]))
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
    fitted = recalibrate.fit(conf, correct)
    moved = recalibrate.apply(fitted, conf)
    got = recalibrate.recovered(fitted, conf, correct)
    want = binned.log_loss(conf, correct) - binned.log_loss(moved, correct)
    self.assertAlmostEqual(float(got), float(want), places=5)
    # Answers of three classes, the first the top one; gold is right or in a
    # class of its own share.
    log_f = jnp.log(jnp.stack([conf, 0.7 * (1 - conf), 0.3 * (1 - conf)], 1))
    hit = jnp.array([1.0, 0.0, 0.0])
    tilted = tilt.tilted(log_f, recalibrate.tau(fitted, conf)[:, None] * hit)
    gold = jnp.where(correct > 0, 0, 1 + jnp.arange(400) % 2)[:, None]
    saved = jnp.take_along_axis(tilted - log_f, gold, axis=1).mean()
    self.assertAlmostEqual(float(got), float(saved), places=5)

  def test_what_is_saved_on_others_is_the_divergence(self):
    conf, correct = draw(4, 20_000, logistic(-1.0, 1.0))
    fitted = recalibrate.fit(conf[:10_000], correct[:10_000])
    got = recalibrate.recovered(fitted, conf[10_000:], correct[10_000:])
    acc = special.expit(special.logit(conf[10_000:]) - 1.0)
    want = tilt.bernoulli_kl(acc, conf[10_000:]).mean()
    self.assertAlmostEqual(float(got), float(want), delta=0.01)

  def test_nothing_is_saved_on_what_is_calibrated(self):
    conf, correct = draw(5, 4000, lambda c: c)
    fitted = recalibrate.fit(conf[:2000], correct[:2000])
    got = recalibrate.recovered(fitted, conf[2000:], correct[2000:])
    self.assertBetween(float(got), -0.005, 0.002)


class LevelTest(absltest.TestCase):
  def test_equal_confidences_have_the_tilt_of_the_formula(self):
    conf = jnp.array([0.7] * 4 + [0.9] * 5 + [0.2] * 3)
    correct = jnp.array([1.0, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 0])
    level = jnp.array([0] * 4 + [1] * 5 + [3] * 3)
    got = recalibrate.tilt_by_level(conf, correct, level, levels=4)
    self.assertAlmostEqual(float(got[0]), -0.8472979, delta=1e-5)
    want = tilt.best_tilt(jnp.array([0.9, 0.2]), jnp.array([0.8, 1 / 3]))
    np.testing.assert_allclose(got[jnp.array([1, 3])], want, atol=1e-4)
    self.assertEqual(float(got[2]), 0.0)

  def test_different_confidences_have_the_least_loss_of_a_grid(self):
    conf, correct = draw(6, 300, logistic(1.0, 0.5))
    level = (conf * 2).astype(jnp.int32)
    got = recalibrate.tilt_by_level(conf, correct, level, levels=2)
    grid = jnp.linspace(-3, 3, 6001)[:, None]
    for which in (0, 1):
      here = level == which
      losses = tilt.loss_change(grid, conf[here], correct[here]).mean(1)
      self.assertAlmostEqual(
        float(got[which]), float(grid[losses.argmin(), 0]), delta=2e-3
      )

  def test_a_level_without_a_wrong_answer_stays_finite(self):
    got = recalibrate.tilt_by_level(
      jnp.array([0.5, 1.0]), jnp.ones(2), jnp.array([0, 0]), levels=1
    )
    self.assertBetween(float(got[0]), 10, recalibrate.MOST)

  def test_gradient_vanishes_there(self):
    conf, correct = draw(7, 100, logistic(0.3, 2.0))
    level = jnp.zeros(100, jnp.int32)
    t = recalibrate.tilt_by_level(conf, correct, level, levels=1)[0]
    slope = jax.grad(lambda t: tilt.loss_change(t, conf, correct).mean())(t)
    self.assertAlmostEqual(float(slope), 0.0, places=5)


if __name__ == '__main__':
  absltest.main()
