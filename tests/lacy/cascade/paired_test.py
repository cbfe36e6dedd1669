"""Differences of two ways, article by article."""

import numpy as np
from absl.testing import absltest

from lacy.cascade import paired, support


def summary(counts):
  made = [support.Support(*pair) for pair in counts]
  return {'span 0.22/counts': paired.dumps(made)}


class PairedTest(absltest.TestCase):
  def test_counts_survive(self):
    counts = [support.Support(1, 2), support.Support(0, 0)]
    self.assertEqual(paired.dumps(counts), '1/2 0/0')
    np.testing.assert_array_equal(paired.loads('1/2 0/0'), [[1, 2], [0, 0]])

  def test_bad_counts(self):
    for text in ('1/2 3', 'x/y', '1/2/3'):
      with self.assertRaisesRegex(ValueError, 'supported/entities'):
        paired.loads(text)

  def test_hand_count(self):
    made = paired.claims(
      {
        'lacy': [summary([(1, 2), (2, 2)]), summary([(0, 1), (1, 1)])],
        'loss': [summary([(0, 2), (1, 2)]), summary([(0, 0), (1, 2)])],
      }
    )
    self.assertAlmostEqual(made['span 0.22: lacy'][0], 4 / 6, places=5)
    self.assertAlmostEqual(made['span 0.22: loss'][0], 2 / 6, places=5)
    value, low, high = made['span 0.22: lacy_minus_loss']
    self.assertAlmostEqual(value, 2 / 6, places=5)
    self.assertLessEqual(low, value)
    self.assertLessEqual(value, high)
    # Supported entities a seed: 4 less 2, over two seeds.
    more = made['span 0.22: supported_lacy_minus_loss']
    self.assertAlmostEqual(more[0], 1.0, places=5)

  def test_equal_articles_and_seeds_leave_no_doubt(self):
    runs = {
      'lacy': [summary([(1, 2)] * 5)] * 2,
      'loss': [summary([(1, 4)] * 5)] * 2,
    }
    got = paired.claims(runs)['span 0.22: lacy_minus_loss']
    self.assertEqual(got, [0.25, 0.25, 0.25])

  def test_pairs_are_narrower_than_two_samples(self):
    """Articles that are hard for both do not blur the difference."""
    rng = np.random.default_rng(0)
    hard = rng.integers(0, 9, (1, 200))
    entities = np.full_like(hard, 10)
    lacy = np.stack([hard + 1, entities], -1)
    loss = np.stack([hard, entities], -1)

    def less(a, b):
      return (a[..., 0] - b[..., 0]) / a[..., 1]

    value, low, high = paired.interval(less, lacy, loss)
    self.assertAlmostEqual(value, 0.1, places=5)
    self.assertLess(high - low, 1e-6)

  def test_is_about_two_standard_errors_of_a_share(self):
    rng = np.random.default_rng(1)
    hits = (rng.random((1, 400)) < 0.3).astype(int)
    counts = np.stack([hits, np.ones_like(hits)], -1)
    _, low, high = paired.interval(lambda a: a[..., 0] / a[..., 1], counts)
    error = np.sqrt(0.3 * 0.7 / 400)
    self.assertAlmostEqual((high - low) / (2 * 1.96 * error), 1.0, delta=0.1)


if __name__ == '__main__':
  absltest.main()
