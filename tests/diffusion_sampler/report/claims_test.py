"""Claims from summaries written by hand, where every margin is known."""

import math

import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.report import claims


def summary(**blocks):
  """`b8={'threshold(threshold=0.9)': (passes, accuracy)}`, and so on."""
  out = {}
  for block, found in blocks.items():
    for sampler, (passes, accuracy) in found.items():
      name = f'{sampler}@{block[1:]}'
      out[f'{name}/nfe'], out[f'{name}/accuracy'] = passes, accuracy
      out[f'{name}/rightwards'] = 0.25
  return out


LAX, STRICT = 'threshold(threshold=0.5)', 'threshold(threshold=0.9)'
HEURISTICS = summary(
  b2={LAX: (2.0, 0.6), STRICT: (4.0, 0.8), 'random(count=2)': (3.0, 0.3)},
  b8={
    LAX: (2.0, 0.4),
    STRICT: (4.0, 0.5),
    'random(count=2)': (3.0, 0.3),
    'left_to_right(count=1)': (3.0, 0.99),
  },
)


def policy(passes, accuracy, alone=0.5):
  return summary(
    b8={'policy': (passes, accuracy), claims.ALONE: (passes, alone)}
  )


class CurveTest(parameterized.TestCase):
  @parameterized.parameters(
    (2.0, 0.4), (3.0, 0.5), (4.0, 0.6), (5.0, 0.6), (7.0, 0.6), (9.0, 0.6)
  )
  def test_lines_between_points_and_never_down(self, passes, want):
    # From (2, .4) up to (4, .6), then down to (6, .2).
    line = [(2.0, 0.4), (4.0, 0.6), (6.0, 0.2)]
    self.assertAlmostEqual(claims.best_at(passes, line), want)

  def test_no_rule_is_quicker_than_its_first_point(self):
    self.assertTrue(math.isnan(claims.best_at(1.9, [(2.0, 0.4)])))
    self.assertTrue(math.isnan(claims.best_at(1.9, [])))

  def test_the_envelope_is_of_all_rules_but_oracles(self):
    found = claims.points(HEURISTICS, 8)
    self.assertAlmostEqual(claims.envelope(3.0, found), 0.45)
    self.assertAlmostEqual(claims.envelope(2.0, found), 0.4)

  def test_blocks_ascend(self):
    self.assertEqual(claims.blocks(HEURISTICS), [2, 8])


class ClaimsTest(absltest.TestCase):
  def test_of_rules(self):
    made = claims.claims({'heuristics': [HEURISTICS]})
    # In blocks of 2 the line of thresholds is at .7 for 3 passes and .8 for 4,
    # where random is at .3; at 2 there is no random.
    key = 'r1_threshold_minus_random_semi'
    np.testing.assert_allclose(made[key], [0.45, 0.45, 0.45])
    key = 'r2_threshold_short_blocks_minus_full'
    self.assertEqual(made[key], [0.3, 0.3, 0.3])
    # Nothing was measured by top_k.
    self.assertNotIn('r1_threshold_minus_top_k_semi', made)
    self.assertNotIn('r6_inversions_of_passes_in_alpha', made)

  def test_of_policies(self):
    made = claims.claims(
      {
        'heuristics': [HEURISTICS],
        'policy_a=3': [policy(2.0, 0.6, alone=0.0)],
        'policy_a=0.3': [policy(4.0, 0.7)],
        'policy_a=10': [policy(3.0, 0.4)],
        'steered_a=3': [policy(2.0, 0.65)],
        'additive_a=3': [policy(1.0, 0.1)],
        'dpls_a=3': [policy(2.5, 0.55)],
      }
    )

    def mean(name):
      return made[name][0]

    # Margins .7 - .5, .6 - .4, .4 - .45, and of the runs alone .5 - .5,
    # 0 - .4, .5 - .45.
    self.assertEqual(mean('r4_policy_levels_above_every_rule'), 3)
    third = 'r4_policy_minus_best_rule_full_third_level'
    self.assertAlmostEqual(mean(third), 0.05)
    # Passes by alpha: 4, 2, 3.
    self.assertEqual(mean('r6_inversions_of_passes_in_alpha'), 1)
    self.assertAlmostEqual(mean('r5_steered_minus_policy_accuracy'), 0.05)
    self.assertAlmostEqual(mean('r5_steered_writes_rightwards'), 0.25)
    self.assertEqual(mean('r7_additive_passes'), 1.0)
    self.assertAlmostEqual(mean('r8_dpls_minus_bernoulli_accuracy'), -0.05)
    self.assertAlmostEqual(mean('r8_dpls_minus_bernoulli_passes'), 0.5)
    # One has fallen silent.
    worst = 'r0_accuracy_of_the_worst_policy_without_fallback'
    self.assertEqual(mean(worst), 0.0)

  def test_in_blocks_and_elsewhere(self):
    semi = summary(b2={'policy': (3.0, 0.75)})
    far = summary(b8={'policy': (3.0, 0.5), LAX: (2.0, 0.4)})
    blind = summary(
      b8={
        'policy': (3.0, 0.5),
        'policy(blind=mask)': (3.0, 0.2),
        'policy(blind=time)': (3.0, 0.4),
      }
    )
    made = claims.claims(
      {
        'heuristics': [HEURISTICS],
        'semi_a=1': [semi],
        'transfer_wide': [far],
        'blind': [blind],
      }
    )
    key = 'r3_policy_minus_threshold_semi_mean'
    self.assertAlmostEqual(made[key][0], 0.05)
    key = 'r10_policy_minus_threshold_on_other_denoiser'
    self.assertAlmostEqual(made[key][0], 0.1)
    self.assertAlmostEqual(made['r9_accuracy_lost_without_mask'][0], 0.3)
    self.assertAlmostEqual(made['r9_accuracy_lost_without_time'][0], 0.1)

  def test_ranges_are_over_seeds(self):
    other = summary(
      b2={STRICT: (4.0, 0.9), LAX: (2.0, 0.7), 'random(count=2)': (3.0, 0.3)},
      b8={STRICT: (4.0, 0.4)},
    )
    made = claims.claims({'heuristics': [HEURISTICS, other]})
    key = 'r2_threshold_short_blocks_minus_full'
    self.assertEqual(made[key], [0.4, 0.3, 0.5])


if __name__ == '__main__':
  absltest.main()
