"""The world of lengths: section 9's numbers, and what removes the inflation."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration.correctness import lexical, thresholds
from calibration.length_bias import controlled, theory
from calibration.length_bias import world as length_world
from engine.stats import auroc


def f32(x):
  return jnp.asarray(x, jnp.float32)


class SpecTest(parameterized.TestCase):
  @parameterized.parameters(
    (0.1, 0.5, 0.5), (0.3, 0.8333333, 0.25), (0.5, 0.9375, 2 / 18)
  )
  def test_numbers_of_the_spec_by_enumeration(self, t, observed, accepted):
    found = length_world.exact(length_world.World(threshold=t), 'length')
    self.assertAlmostEqual(found.true, 0.5)
    self.assertAlmostEqual(found.observed, observed, places=7)
    self.assertAlmostEqual(found.accepted, accepted)

  @parameterized.parameters((0.1, 0.5), (0.3, 0.8333333), (0.5, 0.9375))
  def test_and_through_rouge_on_sentences(self, threshold, want):
    # A right and a wrong sentence of every length: the world itself.
    rng = np.random.default_rng(0)
    world = length_world.World(threshold=threshold)
    every = [(h, words) for h in (0, 1) for words in range(3, 21)]
    sentences = [length_world.sentence(rng, world, *each) for each in every]
    words = np.array([len(text.split()) for text in sentences])
    np.testing.assert_array_equal(words, [each[1] for each in every])
    reference = length_world.draw(world, 1, seed=0).reference

    def area(function, t):
      values = lexical.scores(
        function, sentences, [[reference]] * len(sentences)
      )
      labels = thresholds.label(values, t, rule='>=')
      return float(auroc.auroc(f32(-words), jnp.asarray(labels)))

    self.assertAlmostEqual(area('rougel_f1', threshold), want, places=6)
    self.assertAlmostEqual(area('rougel_recall', 1.0), 0.5, places=6)
    self.assertAlmostEqual(area('alias', 1.0), 0.5, places=6)


class DialTest(parameterized.TestCase):
  @parameterized.parameters(*length_world.ESTIMATORS)
  def test_without_length_the_errors_are_case_1(self, name):
    found = length_world.exact(length_world.World(dial=0.0), name)
    self.assertAlmostEqual(found.observed, found.case1, places=12)

  def test_inflation_grows_with_the_dial_and_turns_with_the_sign_of_length(
    self,
  ):
    dials = (0.0, 0.25, 0.5, 0.75, 1.0)

    def observed(name):
      return [
        length_world.exact(length_world.World(dial=d), name).observed
        for d in dials
      ]

    for name in ('length', 'signal_and_length'):
      self.assertTrue(np.all(np.diff(observed(name)) > 0.05), name)
    self.assertTrue(np.all(np.diff(observed('signal_less_length')) < -0.05))
    # A signal that knows nothing of length is shrunk as ever.
    np.testing.assert_allclose(observed('signal'), 0.640625)

  def test_the_ranking_is_turned_over_and_set_right_again(self):
    found = {
      name: length_world.exact(length_world.World(), name)
      for name in length_world.ESTIMATORS
    }

    def order(field):
      return sorted(found, key=lambda name: getattr(found[name], field))

    self.assertEqual(order('true')[0], 'length')
    self.assertEqual(order('true')[-1], 'signal')
    self.assertIn('length', order('observed')[-2:])
    for name, exact in found.items():
      # Where length alone decides, h^ makes no error within a length that is
      # accepted: nothing is lost, and nothing gained.
      self.assertAlmostEqual(exact.within, exact.true_within, places=12)
      self.assertAlmostEqual(
        exact.within, 0.5 if name == 'length' else 0.75, places=12
      )

  @parameterized.product(
    dial=(0.0, 0.4, 1.0), name=tuple(length_world.ESTIMATORS)
  )
  def test_within_lengths_no_dial_inflates(self, dial, name):
    found = length_world.exact(length_world.World(dial=dial), name)
    # Between a half and the truth within lengths: shrunk, as in Case 1.
    self.assertGreaterEqual(found.within, 0.5 - 1e-12)
    self.assertLessEqual(found.within, found.true_within + 1e-12)
    if name == 'length':
      self.assertAlmostEqual(found.within, 0.5, places=12)
      self.assertAlmostEqual(found.partial, 0.5, places=12)

  def test_ranks_taken_out_leave_less_than_the_truth(self):
    found = length_world.exact(length_world.World(), 'signal_and_length')
    self.assertGreater(found.partial, 0.5)
    self.assertLess(found.partial, found.true_within)
    self.assertLess(abs(found.partial - found.case1), 0.05)

  def test_sweep_is_flat(self):
    found = length_world.sweep(length_world.World(), (0.0, 1.0))
    self.assertAlmostEqual(found['length/inflation@dial=1'], 0.4375)
    self.assertAlmostEqual(found['length/inflation@dial=0'], 0.0)
    self.assertTrue(all(isinstance(v, float) for v in found.values()))


class DrawnTest(parameterized.TestCase):
  @parameterized.parameters(0.5, 1.0)
  def test_samples_agree_with_the_enumeration(self, dial):
    world = length_world.World(dial=dial, threshold=0.3)
    drawn = length_world.draw(world, 20_000, seed=0)
    strata = jnp.asarray(controlled.strata(drawn.words))
    labels, truth = jnp.asarray(drawn.accepted), jnp.asarray(drawn.truth)
    for name, u in drawn.uncertainties.items():
      want = length_world.exact(world, name)
      bias = theory.bias(f32(u), labels, truth, strata)
      within = controlled.stratified_auroc(f32(-u), labels, strata)
      partial = controlled.partial_auroc(
        f32(-u), labels, jnp.asarray(drawn.words)
      )
      pairs = [
        (bias.true, want.true),
        (bias.observed, want.observed),
        (bias.case1, want.case1),
        # In this world the stratum is all there is to know.
        (bias.case2, want.observed),
        (within.area, want.within),
      ]
      if name != 'signal':  # of two values: chance gives the slope a sign
        pairs.append((partial, want.partial))
      for got, exact in pairs:
        self.assertAlmostEqual(float(got), exact, delta=0.015)

  def test_at_the_full_dial_labels_are_rouge(self):
    world = length_world.World(threshold=0.3, reference_words=3)
    drawn = length_world.draw(world, 300, seed=1)
    values = lexical.scores(
      'rougel_f1', drawn.answers, [[drawn.reference]] * 300
    )
    np.testing.assert_array_equal(values >= 0.3, drawn.accepted == 1)
    self.assertBetween(drawn.accepted.mean(), 0.1, 0.9)

  @parameterized.parameters(
    (dict(dial=1.5), r'world.dial must lie in \[0, 1\]'),
    (dict(correct=1.0), r'world.correct must lie in \(0, 1\)'),
    (dict(reference_words=4), 'world.reference_words must lie between'),
    (dict(longest=2), 'world.longest must be at least'),
    (dict(threshold=0.9), 'accepts no answer of 3 words'),
  )
  def test_nonsense_is_refused(self, change, message):
    with self.assertRaisesRegex(ValueError, message):
      dataclasses.replace(length_world.World(), **change)
    with self.assertRaisesRegex(ValueError, "estimator must be one of.*'x'"):
      length_world.exact(length_world.World(), 'x')


if __name__ == '__main__':
  absltest.main()
