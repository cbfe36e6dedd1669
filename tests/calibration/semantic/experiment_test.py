"""Cells whose calibration was made by hand are measured as they were made."""

import jax
import numpy as np
from absl.testing import absltest

from calibration.recording import cell
from calibration.semantic import experiment, probe
from tests.calibration import support

CONFIG = probe.ProbeConfig(penalty=0.01, iterations=40)


def measure(records, style='concise'):
  return experiment.measure(
    'made',
    jax.random.key(0),
    cell.of(records, style),
    style,
    CONFIG,
    draws=50,
  )


class MeasureTest(absltest.TestCase):
  def assertFigures(self, figures, want):
    for name, value in want.items():
      self.assertAlmostEqual(figures[name], value, places=5, msg=name)

  def test_a_calibrated_cell_is_found_so(self):
    found, drawn = measure(support.calibrated())
    self.assertFigures(
      found,
      dict(
        n=40,
        samples=20,
        right=0.7,
        confidence=0.7,
        gap=0,
        split_gap=0,
        ece=0,
        rms=0,
        # c (1 - c) at each level.
        brier=(0.24 + 0.16) / 2,
        loss_gap=0,
        entropy=-0.5
        * sum(p * np.log(p) for p in (0.6, 0.2, 0.2, 0.8, 0.1, 0.1)),
        unanswered=0,
        sample_right=(12 * 0.6 + 16 * 0.8) / 40,
        cut=0,
        greedy_right=0.7,
        # Every class has two samples at least.
        alone=0,
        collapse=0,
        # 28 right and 12 wrong: 16 x 8 pairs won, 12 x 8 + 16 x 4 tied.
        auroc=(128 + 160 / 2) / 336,
      ),
    )
    # As low as it can be, and far below what chance would give so few.
    self.assertLess(found['smece'], 0.005)
    self.assertGreater(found['floor'], 0.04)
    # Three texts of as many tokens at one half each: the first is the top.
    self.assertFigures(found, {'weighted/gap': 1 / 3 - 0.7})
    # A tilt learns how one half of so few differs, and the other differs the
    # other way.
    self.assertLess(found['tau/saved'], 0)
    # The state tells the level, and so all of the distribution by rank.
    # The constant lacks 0.0242 at least, KL to the mean of both levels.
    self.assertBetween(found['probe/constant'], 0.0241, 0.03)
    self.assertLess(found['probe/kl'], 0.2 * found['probe/constant'])
    self.assertEqual((drawn.answers, drawn.samples), (40, 20))
    self.assertFalse(any(name.startswith('exact/') for name in found))

  def test_the_gap_that_was_made_is_found(self):
    found, _ = measure(support.too_sure())
    kl = 0.5 * np.log(0.5 / 0.8) + 0.5 * np.log(0.5 / 0.2)
    self.assertFigures(
      found,
      dict(
        right=0.5,
        confidence=0.8,
        gap=0.3,
        split_gap=0.3,
        ece=0.3,
        rms=0.3,
        brier=0.5 * (0.04 + 0.64),
        loss_gap=kl,
        auroc=0.5,
      ),
    )
    # Confidences that are all one: the smoothed error is the gap.
    self.assertAlmostEqual(found['smece'], 0.3, delta=0.005)
    self.assertGreater(found['smece'], found['floor_high'])
    self.assertGreater(found['smece_low'], found['floor'])
    self.assertLess(found['smece_low'], 0.3)
    # A tilt learns the level, from which halves of the questions may differ.
    self.assertAlmostEqual(found['tau/saved'], kl, delta=0.1)
    self.assertLess(found['tau/smece'], 0.2)

  def test_no_answer_is_an_answer_that_is_wrong(self):
    records = tuple(
      support.said(support.question(i), [''] * 20, ended=np.arange(20) < 15)
      for i in range(40)
    )
    found, drawn = measure(records)
    self.assertFigures(
      found,
      dict(
        right=0, confidence=1, gap=1, unanswered=1, cut=0.25, greedy_right=0
      ),
    )
    # Not defined for one class, and without end for a 1 that was wrong.
    self.assertNoCommonElements(found, ('auroc', 'loss_gap', 'answered/n'))
    self.assertGreater(found['smece'], 0.9)
    for value in (*found.values(), *drawn.smece, *drawn.floor):
      self.assertTrue(np.isfinite(value))

  def test_those_that_answer_are_looked_at_by_themselves(self):
    """12 of 20 break off; of the rest three in four say the same."""

    def halves(i, right):
      first = '1' if right else '900'
      half = [''] * 6 + [first] * 3 + ['700']
      asked = support.question(i, answers=('1',))
      return support.said(asked, half * 2)

    # 40 questions with three classes at most, as in other tests: one program.
    records = [halves(i, i % 4 < 3) for i in range(36)]
    records += [
      support.said(support.question(i), [''] * 20) for i in range(50, 54)
    ]
    found, _ = measure(tuple(records))
    self.assertFigures(
      found,
      {
        'unanswered': (36 * 0.6 + 4) / 40,
        'right': 0,
        'confidence': (36 * 0.6 + 4) / 40,
        'answered/n': 36,
        'answered/right': 0.75,
        'answered/confidence': 0.75,
        'answered/gap': 0,
        'answered/split_gap': 0,
      },
    )
    self.assertLess(found['answered/smece'], 0.01)
    self.assertGreater(found['answered/floor'], found['answered/smece'])
    calibrated, _ = measure(support.calibrated())
    self.assertFalse(any(name.startswith('answered/') for name in calibrated))

  def test_closed_sets_are_scored_without_samples(self):
    # Samples say 0.8 and wrong; the model's own masses are 0.7 and right.
    records = tuple(
      support.votes(
        i,
        16,
        False,
        candidates=(str(100 + i), f'{100 + i}.0', '7'),
        candidate_logprobs=np.log(np.float32([0.5, 0.2, 0.1])),
      )
      for i in range(40)
    )
    found, _ = measure(records)
    self.assertFigures(
      found,
      {
        'right': 0,
        'exact/covered': 0.8,
        'exact/confidence': 0.7,
        'exact/right': 1,
        'exact/gap': -0.3,
      },
    )
    self.assertAlmostEqual(found['exact/smece'], 0.3, delta=0.005)


class HalvesTest(absltest.TestCase):
  def test_groups_stay_together_and_order_does_not_count(self):
    groups = np.array([f'g{i % 10}' for i in range(40)])
    half = experiment.halves(groups)
    self.assertEqual(half.sum(), 20)
    for name in set(groups):
      self.assertLen(set(half[groups == name]), 1)
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_array_equal(experiment.halves(groups[order]), half[order])


class ClaimsTest(absltest.TestCase):
  def test_means_of_cells_by_hand(self):
    run = {
      'a/concise/smece': 0.1,
      'b/concise/smece': 0.2,
      'a/sentence/smece': 0.3,
      'a/cot/smece': 0.6,
      'a/concise/floor': 0.1,
      'b/concise/floor': 0.1,
      'a/sentence/floor': 0.1,
      'a/cot/floor': 0.2,
      'a/concise/split_gap': 0.0,
      'b/concise/split_gap': 0.3,
      'a/sentence/split_gap': 0.0,
      'a/cot/split_gap': -0.4,
      # Of other depth, or a style's own mean.
      'a/concise/exact/smece': 9.0,
      'concise/smece': 9.0,
    }
    other = run | {'a/cot/smece': 0.8}
    found = experiment.claims({'m': [run, other]})
    got = {
      name.partition(': ')[2].split(' (')[0]: v for name, v in found.items()
    }
    for name, want in (
      ('direct answers above the floor', (0.1, 0.1, 0.1)),
      ('chains of thought above the floor', (0.5, 0.4, 0.6)),
      ('chains of thought are worse than direct answers', (0.4, 0.3, 0.5)),
      ('too sure when answering directly', (0.1, 0.1, 0.1)),
      ('too sure after a chain of thought', (-0.4, -0.4, -0.4)),
    ):
      np.testing.assert_allclose(got[name], want, atol=1e-9, err_msg=name)

  def test_a_style_that_was_not_asked_makes_no_claim(self):
    run = {f'a/concise/{key}': 0.1 for key in ('smece', 'floor', 'split_gap')}
    found = experiment.claims({'m': [run]})
    self.assertLen(found, 2)
    self.assertTrue(all('direct' in name for name in found))


if __name__ == '__main__':
  absltest.main()
