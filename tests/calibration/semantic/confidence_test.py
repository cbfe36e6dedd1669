"""Confidences by hand, and the winner's curse by simulation."""

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration.semantic import confidence, experiment

# Votes 6 Paris, 3 Lyon, 1 Rome, in some order; and one of no doubt.
VOTES = np.array(
  [[0, 1, 0, 0, 1, 2, 0, 1, 0, 0], [0] * 10],
  jnp.int32,
)


class PlugInTest(absltest.TestCase):
  def test_votes_of_the_spec(self):
    found = confidence.plug_in(VOTES, classes=4)
    self.assertEqual(found.top.tolist(), [0, 0])
    np.testing.assert_allclose(found.value, [0.6, 1.0], rtol=1e-7)
    mass = confidence.counts(VOTES, classes=4)
    np.testing.assert_array_equal(mass, [[6, 3, 1, 0], [10, 0, 0, 0]])
    np.testing.assert_allclose(
      confidence.entropy(mass), [0.8979457, 0.0], atol=1e-6
    )

  def test_ties_go_to_the_class_seen_first(self):
    found = confidence.plug_in(
      np.array([[0, 1, 1, 0], [0, 1, 2, 1]]), classes=3
    )
    self.assertEqual(found.top.tolist(), [0, 1])
    self.assertEqual(found.value.tolist(), [0.5, 0.5])


class SplitHalfTest(absltest.TestCase):
  def test_chosen_on_one_half_and_read_on_the_other(self):
    numbers = np.array([[0, 0, 1, 1, 1, 2], [0, 1, 1, 0, 0, 0]])
    one, other = confidence.split_half(numbers, classes=3)
    # Halves 001|112 and 011|000.
    self.assertEqual(one.top.tolist(), [0, 1])
    np.testing.assert_allclose(one.value, [0, 0])
    self.assertEqual(other.top.tolist(), [1, 0])
    np.testing.assert_allclose(other.value, [1 / 3, 1 / 3])

  def test_of_an_odd_number_the_second_half_is_the_larger(self):
    one, other = confidence.split_half(np.array([[0, 1, 1]]), classes=2)
    self.assertEqual((one.top.item(), one.value.item()), (0, 0.0))
    self.assertEqual((other.top.item(), other.value.item()), (1, 0.0))

  def test_one_sample_cannot_be_split(self):
    with self.assertRaisesRegex(ValueError, 'two at least to be split, got 1'):
      confidence.split_half(jnp.zeros((3, 1), jnp.int32), classes=1)


class WinnersCurseTest(parameterized.TestCase):
  """Section 4.2 (b): a perfectly calibrated model, seen through M samples."""

  @parameterized.parameters((5, 0.179), (10, 0.104), (20, 0.045), (50, 0.035))
  def test_few_samples_fake_confidence_and_split_halves_do_not(self, m, gap):
    questions = 4000
    rng = np.random.default_rng(7)
    pi = rng.dirichlet(np.full(10, 0.3), questions)

    def drawn(count):
      below = rng.random((questions, count))[..., None] > pi.cumsum(-1)[:, None]
      return np.minimum(below.sum(-1), 9).astype(np.int32)

    numbers, truth = jnp.asarray(drawn(m)), drawn(1)
    right = np.arange(10) == truth
    found = confidence.plug_in(numbers, classes=10)
    correct = experiment.correct_of(found, right)
    # The numbers of the table are one draw, and have its error, too: 0.008
    # of accuracy, in each of the two.
    self.assertAlmostEqual(
      float(np.mean(found.value) - correct.mean()), gap, delta=0.025
    )
    self.assertLess(abs(experiment.split_gap(numbers, right)), 0.02)
    # Without the noise of the truth: the share is unbiased for the mass.
    for half in confidence.split_half(numbers, classes=10):
      mass = np.take_along_axis(pi, np.asarray(half.top)[:, None], 1)[:, 0]
      self.assertAlmostEqual(np.mean(half.value - mass), 0, delta=0.01)


class LikelihoodWeightedTest(absltest.TestCase):
  def test_mass_of_distinct_samples(self):
    # Masses .1 and .05 of one class, .12 of another; a repetition is none.
    numbers = np.array([[0, 1, 0, 1]])
    logprobs = np.log(np.array([[0.1, 0.12, 0.05, 0.12]]))
    unique = np.array([[True, True, True, False]])
    found = confidence.likelihood_weighted(numbers, logprobs, unique, classes=3)
    self.assertEqual(found.top.item(), 0)
    self.assertAlmostEqual(found.value.item(), 0.15 / 0.27, places=6)
    # Counted twice, the other would win.
    found = confidence.likelihood_weighted(
      numbers, logprobs, np.ones((1, 4), bool), classes=3
    )
    self.assertEqual(found.top.item(), 1)

  def test_long_answers_do_not_underflow(self):
    found = confidence.likelihood_weighted(
      np.array([[0, 1]]),
      np.array([[-900.0, -900.0 - np.log(3.0)]], np.float32),
      np.ones((1, 2), bool),
      classes=2,
    )
    self.assertAlmostEqual(found.value.item(), 0.75, places=4)

  def test_all_that_can_be_said_gives_the_exact_mass(self):
    # Once every sequence was drawn, shares are their probabilities.
    p = np.array([0.3462, 0.2100, 0.4157, 0.0281])
    found = confidence.likelihood_weighted(
      np.array([[0, 1, 0, 1]]),
      np.log(np.array([p], jnp.float32)),
      np.ones((1, 4), bool),
      classes=2,
    )
    self.assertAlmostEqual(found.value.item(), p[0] + p[2], places=5)


if __name__ == '__main__':
  absltest.main()
