"""Rules that know the pass: LLaDA's, Dream's, KLASS, the reverse process."""

import fractions
import math

import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.sampling import rules
from tests.diffusion_sampler import support


def counts(rule, masks, passes):
  """How many of `masks` a rule writes at each pass, one row of a block."""
  rng = np.random.default_rng(masks)
  stats = support.confident(rng.permutation(np.linspace(0.5, 0.9, masks)))
  masked, out = np.ones((1, masks), bool), []
  for i in range(passes):
    action = support.act(rule, stats, masked, passes=i, begun=masks, nfe=i)
    out.append(int(action.sum()))
    masked &= ~action
  return out


def dream_counts(masks, steps):
  """The same in fractions: floor(m (1 - t_{i + 1} / t_i)), then the rest."""
  end = fractions.Fraction(1, 1000)
  t = [1 - (1 - end) * i / steps for i in range(steps + 1)]
  out = []
  for i in range(steps - 1):
    out.append(math.floor((masks - sum(out)) * (1 - t[i + 1] / t[i])))
  return [*out, masks - sum(out)]


class LladaTest(support.SamplerTestCase):
  def test_counts_of_the_spec(self):
    self.assertEqual(counts(rules.LladaSchedule(steps=4), 10, 4), [3, 3, 2, 2])
    self.assertEqual(
      counts(rules.LladaSchedule(steps=12), 32, 12), [3] * 8 + [2] * 4
    )

  @parameterized.parameters(1, 2, 3, 5, 8)
  def test_shares_out_evenly_the_larger_first(self, steps):
    # A row for each number of masks: rows do not know of one another.
    length = 8
    begun = np.arange(1, length + 1)
    got, left = [], begun
    for i in range(steps):
      stats = support.confident(np.full((length, length), 0.5))
      action = support.act(
        rules.LladaSchedule(steps=steps),
        stats,
        np.arange(length) < left[:, None],
        passes=i,
        begun=begun,
      )
      got.append(action.sum(-1))
      left = left - got[-1]
    want = [
      [len(part) for part in np.array_split(np.arange(masks), steps)]
      for masks in begun
    ]
    np.testing.assert_array_equal(np.stack(got, 1), want)

  def test_shares_what_the_block_began_with(self):
    # Half of the block was given: 3 masks in 2 passes.
    stats = support.confident([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    masked = [[False, True, False, True, False, True]]
    rule = rules.LladaSchedule(steps=2)
    got = support.act(rule, stats, masked, begun=3)
    self.assertEqual(support.chosen_set(got), [1, 3])

  def test_the_surest_come_first(self):
    p = [[0.5, 0.49, 0.01], [0.6, 0.2, 0.2], [0.34, 0.33, 0.33]]
    stats = support.stats_of(p)
    for by, want in (('confidence', [1]), ('margin', [1]), ('entropy', [0])):
      rule = rules.LladaSchedule(steps=3, by=by)
      got = support.act(rule, stats, [True] * 3, begun=3)
      self.assertEqual(support.chosen_set(got), want)


class DreamTest(support.SamplerTestCase):
  @parameterized.parameters(
    (16, 4, [3, 4, 4, 5]),
    (10, 4, [2, 2, 2, 4]),
    (8, 8, [0, 1, 1, 1, 1, 1, 1, 2]),
  )
  def test_counts_of_the_spec(self, masks, steps, want):
    self.assertEqual(dream_counts(masks, steps), want)
    rule = rules.DreamSchedule(steps=steps)
    self.assertEqual(counts(rule, masks, steps), want)

  def test_counts_equal_those_in_fractions(self):
    # All masks and passes in one batch: rows do not know of one another.
    length = 64
    for steps in (1, 3, 10, 20):
      left = np.arange(1, length + 1)
      got = []
      for i in range(steps):
        masked = np.arange(length) < left[:, None]
        stats = support.confident(np.full((length, length), 0.5))
        action = support.act(
          rules.DreamSchedule(steps=steps), stats, masked, passes=i
        )
        got.append(action.sum(-1))
        left = left - got[-1]
      want = [dream_counts(masks, steps) for masks in range(1, length + 1)]
      np.testing.assert_array_equal(np.stack(got, 1), want)

  def test_late_passes_write_all(self):
    stats = support.confident([0.5] * 5)
    for late in (2, 3, 9):
      got = support.act(
        rules.DreamSchedule(steps=3), stats, [True] * 5, passes=late
      )
      self.assertEqual(got.sum(), 5)

  def test_order_is_by_score(self):
    p = [
      [0.5, 0.49, 0.01],
      [0.6, 0.2, 0.2],
      [0.34, 0.33, 0.33],
      [0.4, 0.3, 0.3],
    ]
    stats = support.stats_of(p)
    for by, want in (('confidence', [1]), ('margin', [1]), ('entropy', [0])):
      rule = rules.DreamSchedule(steps=3, by=by)
      got = support.act(rule, stats, [True] * 4)  # floor(4 * .333) = 1
      self.assertEqual(support.chosen_set(got), want)

  def test_noise_draws_without_replacement_from_the_softmax(self):
    count, noise = 20_000, 0.2
    # The last one is next to never drawn.
    score = np.tile([0.9, 0.8, 0.5, 0.7, -9.0], (count, 1))
    stats = support.confident(score)
    rule = rules.DreamSchedule(steps=2, noise=noise)
    p = np.exp(score[0, :4] / noise)
    p /= p.sum()
    # floor(4 * .4995) = 1 of four.
    four = np.tile([True] * 4 + [False], (count, 1))
    got = support.act(rule, stats, four)
    self.assert_frequencies(got[:, :4].sum(0), p)
    # floor(5 * .4995) = 2 of five, in either order.
    got = support.act(rule, stats, np.ones((count, 5), bool), seed=1)
    self.assertTrue((got[:, :4].sum(-1) == 2).all())
    pairs = [(i, j) for i in range(4) for j in range(i)]
    seen = [(got[:, i] & got[:, j]).sum() for i, j in pairs]
    want = [
      p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j]) for i, j in pairs
    ]
    self.assert_frequencies(seen, want)


class AncestralTest(support.SamplerTestCase):
  @parameterized.parameters(0, 1, 2, 3)
  def test_each_is_written_by_chance_alone(self, at):
    rows, steps = 10_000, 4
    masked = np.tile([True, False, True, True], (rows, 1))
    stats = support.confident(np.tile([0.9, 0.9, 0.1, 0.5], (rows, 1)))
    got = support.act(
      rules.Ancestral(steps=steps), stats, masked, passes=at, seed=at
    )
    t = [1.0, 0.75025, 0.5005, 0.25075, 0.0]  # the last pass writes all
    chance = 1 - t[at + 1] / t[at]
    shown = got[:, [0, 2, 3]] @ [4, 2, 1]
    bits = [bin(i).count('1') for i in range(8)]
    self.assert_frequencies(
      np.bincount(shown, minlength=8),
      [chance**n * (1 - chance) ** (3 - n) for n in bits],
    )
    self.assertFalse(got[:, 1].any())

  def test_late_passes_write_all(self):
    stats = support.confident([0.5] * 50)
    got = support.act(rules.Ancestral(steps=2), stats, [True] * 50, passes=5)
    self.assertEqual(got.sum(), 50)


class MoreStepsThanPositionsTest(support.SamplerTestCase):
  """A block of B positions is left after B passes (2.4)."""

  @parameterized.parameters(
    rules.LladaSchedule(steps=9),
    rules.DreamSchedule(steps=9),
    rules.DreamSchedule(steps=9, noise=0.3),
    rules.Ancestral(steps=9),
  )
  def test_no_mask_is_left(self, rule):
    for positions in (1, 3):
      got = counts(rule, positions, positions)
      self.assertEqual(sum(got), positions, got)

  def test_dream_has_the_steps_that_the_block_allows(self):
    for positions, steps in ((3, 9), (5, 7), (2, 4)):
      got = counts(rules.DreamSchedule(steps=steps), positions, positions)
      self.assertEqual(got, dream_counts(positions, positions))

  def test_positions_count_and_not_masks(self):
    # Half of the block was given: two masks have four passes all the same.
    stats = support.confident([0.9, 0.8, 0.7, 0.6])
    masked = np.array([[True, False, True, False]])
    left = []
    for i in range(4):
      rule = rules.DreamSchedule(steps=9)
      masked = masked & ~support.act(rule, stats, masked, passes=i)
      left.append(int(masked.sum()))
    self.assertEqual(left, (2 - np.cumsum(dream_counts(2, 4))).tolist())


class KlassTest(support.SamplerTestCase):
  rule = rules.Klass(confidence=0.6, divergence=0.015, passes=2, steps=4)

  def take(self, confidence, divergence, *, passes=2, rule=None, masked=None):
    stats = support.confident(confidence)
    stats = stats.replace(divergence=np.float32(divergence)[:, None])
    masked = [True] * len(confidence) if masked is None else masked
    action = support.act(
      rule or self.rule, stats, masked, passes=passes, begun=len(confidence)
    )
    return support.chosen_set(action)

  def test_takes_the_confident_that_have_settled_twice(self):
    #               ready  unsure  moved  moved before  ready
    confidence = [0.70, 0.50, 0.95, 0.99, 0.61]
    now = [0.001, 0.001, 0.1, 0.001, 0.0149]
    before = [0.014, 0.001, 0.001, 0.1, 0.0]
    self.assertEqual(self.take(confidence, [now, before]), [0, 4])
    # Of three passes asked for, what is older does not count ...
    self.assertEqual(self.take(confidence, [now, before, [9.0] * 5]), [0, 4])
    # ... and where one is asked for, only the newest does.
    once = rules.Klass(confidence=0.6, divergence=0.015, passes=1, steps=4)
    self.assertEqual(self.take(confidence, [now, before], rule=once), [0, 3, 4])

  def test_both_bounds_are_strict(self):
    rule = rules.Klass(confidence=0.5, divergence=0.25, passes=1, steps=9)
    divergence = [[0.0, 0.25, 0.2499]]
    # Not the first, as sure as the bound; not the second, as far as it.
    self.assertEqual(self.take([0.5, 0.99, 0.51], divergence, rule=rule), [2])

  def test_the_numbers_of_the_spec(self):
    # [.9 .05 .05] -> [.905 .05 .045], and -> [.7 .2 .1].
    divergence = [[0.000273, 0.170653]] * 2
    rule = rules.Klass(confidence=0.6, divergence=0.001, passes=2, steps=9)
    self.assertEqual(self.take([0.905, 0.7], divergence, rule=rule), [0])

  def test_otherwise_follows_the_schedule(self):
    # 5 masks in 4 passes: 2 1 1 1, the surest first.
    unsettled = np.full((2, 5), 0.5)
    confidence = [0.7, 0.5, 0.95, 0.99, 0.61]
    self.assertEqual(self.take(confidence, unsettled, passes=0), [2, 3])
    self.assertEqual(self.take(confidence, unsettled, passes=2), [3])

  def test_the_first_passes_of_a_block_are_never_ready(self):
    confidence, settled = [0.7, 0.5, 0.95, 0.99, 0.61], np.zeros((2, 5))
    self.assertEqual(self.take(confidence, settled, passes=0), [2, 3])
    self.assertEqual(self.take(confidence, settled, passes=1), [3])
    self.assertEqual(self.take(confidence, settled, passes=2), [0, 2, 3, 4])

  def test_takes_no_written_position(self):
    settled = np.zeros((2, 3))
    masked = [True, False, True]
    self.assertEqual(self.take([0.9, 0.99, 0.5], settled, masked=masked), [0])

  def test_needs_its_divergences(self):
    with self.assertRaisesRegex(ValueError, 'as many divergences, came 1'):
      self.take([0.9, 0.8], np.zeros((1, 2)))


if __name__ == '__main__':
  absltest.main()
