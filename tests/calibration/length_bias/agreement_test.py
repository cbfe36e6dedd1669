"""Agreement by definition, over what both have."""

import itertools

import numpy as np
from absl.testing import absltest, parameterized

from calibration.correctness import ratings
from calibration.length_bias import agreement


def cohen(a, b):
  """By the definition, over what both have."""
  keep = ~(np.isnan(a) | np.isnan(b))
  a, b = a[keep], b[keep]
  agreed = np.mean(a == b)
  chance = sum(np.mean(a == c) * np.mean(b == c) for c in (0, 1))
  return (agreed - chance) / (1 - chance)


class AgreementTest(parameterized.TestCase):
  def test_number_of_the_spec(self):
    a, b = (np.array(list(s), float) for s in ('1101001011', '1001011011'))
    self.assertAlmostEqual(float(agreement.kappa(a, b)), 0.5833333, places=6)
    self.assertAlmostEqual(float(agreement.kappa(a, np.ones(10))), 0, places=6)
    holes = np.append(a, [1, np.nan]), np.append(b, [np.nan, 0])
    self.assertAlmostEqual(float(agreement.kappa(*holes)), 0.5833333, places=6)
    self.assertTrue(np.isnan(agreement.kappa(np.ones(3), np.ones(3))))

  def test_settings_with_each_other_and_with_people(self):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 90)

    def noisy(share):
      return np.where(rng.random(90) < share, 1 - truth, truth).astype(float)

    labels = dict(x=noisy(0.1), y=noisy(0.3), flat=np.zeros(90))
    people = ratings.Ratings(
      ['A', 'B', 'C'], np.stack([noisy(0.05) for _ in range(3)]), 0
    )
    people.labels[1, :40] = np.nan
    found = agreement.kappas(labels, people)
    self.assertAlmostEqual(
      found['kappa/x/y'], cohen(labels['x'], labels['y']), places=5
    )
    want = [cohen(labels['x'], row) for row in people.labels]
    np.testing.assert_allclose(
      found['kappa/x/people'],
      [np.mean(want), min(want), max(want)],
      rtol=1e-5,
    )
    self.assertAlmostEqual(found['kappa/x/people/B'], want[1], places=5)
    pairs = [cohen(*two) for two in itertools.combinations(people.labels, 2)]
    np.testing.assert_allclose(
      found['kappa/people/people'],
      [np.mean(pairs), min(pairs), max(pairs)],
      rtol=1e-5,
    )
    self.assertAlmostEqual(found['kappa/flat/people/A'], 0, places=6)

  def test_sweep_is_the_kappa_at_each_threshold(self):
    rng = np.random.default_rng(2)
    value = rng.random(50)
    value[3] = np.nan
    truth = (value > 0.4).astype(float)
    truth[:6] = [0, 1, 1, 1, 0, np.nan]
    found = agreement.sweep({'f': value}, truth)
    for step in (0.05, 0.4, 0.7):
      label = np.where(np.isnan(value), np.nan, value > step)
      self.assertAlmostEqual(
        found[f'sweep/f@{step:g}'], cohen(label, truth), places=5
      )
    self.assertAlmostEqual(found['sweep/f@1'], 0, places=6)  # none passes
    self.assertLen(found, 21)

  def test_spearman_over_what_both_have(self):
    x = np.array([1.0, 2, 3, 4, np.nan, 9])
    y = np.array([2.0, 1, 4, np.nan, 7, 5])
    # 1 2 3 9 against 2 1 4 5: one swap of neighbours, 1 - 6 * 2 / 60.
    got = agreement.spearman_matrix({'x': x, 'y': y, 'flat': np.ones(6)})
    self.assertAlmostEqual(float(got[0, 1]), 0.8, places=6)
    self.assertAlmostEqual(float(got[1, 1]), 1, places=6)
    self.assertTrue(np.isnan(got[0, 2]))


if __name__ == '__main__':
  absltest.main()
