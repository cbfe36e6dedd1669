"""Numbers of clustering, by hand and in worlds made to order."""

import itertools

import numpy as np
from absl.testing import absltest, parameterized

from probes.comparing import clusters


def world(*, by_task, by_label, tasks=3, each=40, width=6, seed=0):
  """x, task, y: centres of tasks far apart by `by_task`; likewise labels."""
  rng = np.random.default_rng(seed)
  task = np.repeat(np.arange(tasks), each)
  y = np.tile([0, 1], tasks * each // 2)
  axes = np.eye(width, dtype=np.float32)
  x = rng.standard_normal((tasks * each, width)).astype(np.float32)
  x = x + by_task * axes[task] + by_label * y[:, None] * axes[-1]
  order = rng.permutation(len(x))
  return x[order], task[order], y[order]


class ShareTest(absltest.TestCase):
  def test_hand_count(self):
    x = np.array([[0.0], [2.0], [4.0], [6.0]], np.float32)
    # 16 of 20 are between the means 1 and 5.
    got = clusters.between_share(x, np.array([7, 7, 9, 9]))
    self.assertAlmostEqual(got, 0.8)

  def test_mean_over_all_shuffles_is_chance(self):
    x = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    shares = [
      clusters.between_share(x, np.array(g))
      for g in set(itertools.permutations([0, 0, 1, 1, 1, 2]))
    ]
    self.assertAlmostEqual(np.mean(shares), clusters.chance_share(3, 6))

  def test_turned_moved_and_scaled_it_stays(self):
    x, task, _ = world(by_task=1.0, by_label=0.0)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0]
    moved = (3 * x @ turn + 50).astype(np.float32)
    want = clusters.between_share(x, task)
    self.assertAlmostEqual(clusters.between_share(moved, task), want, places=4)

  def test_nothing_to_share_is_nan(self):
    x = np.ones((4, 2), np.float32)
    self.assertTrue(np.isnan(clusters.between_share(x, np.array([0, 0, 1, 1]))))


class SilhouetteTest(absltest.TestCase):
  def test_hand_count(self):
    x = np.array([[0.0], [1.0], [10.0], [11.0]], np.float32)
    got = clusters.silhouette(x, np.array([0, 0, 1, 1]))
    self.assertAlmostEqual(got, 1 - (1 / 10.5 + 1 / 9.5) / 2, places=6)

  def test_a_sample_of_the_rows_is_near_the_whole(self):
    x, task, _ = world(by_task=3.0, by_label=0.0, each=200)
    want = clusters.silhouette(x, task)
    got = clusters.silhouette(x, task, limit=300)
    self.assertNotEqual(got, want)
    self.assertAlmostEqual(got, want, delta=0.05)


class ReportTest(parameterized.TestCase):
  def test_clusters_of_tasks(self):
    got = clusters.report(*world(by_task=20.0, by_label=1.0), seed=1)
    self.assertEqual((got.tasks, got.samples), (3, 120))
    self.assertEqual(got.task_accuracy, 1)
    self.assertEqual(got.task_centroid_accuracy, 1)
    self.assertEqual(got.task_rand, 1)
    self.assertGreater(got.task_silhouette, 0.7)
    self.assertGreater(got.task_share, 0.9)
    self.assertAlmostEqual(got.label_rand, 0, delta=0.03)
    self.assertAlmostEqual(got.label_silhouette, 0, delta=0.05)
    self.assertLess(got.label_share, 0.05)

  def test_clusters_of_labels(self):
    got = clusters.report(*world(by_task=0.0, by_label=20.0), seed=1)
    self.assertLess(abs(got.task_accuracy - 1 / 3), 0.15)
    self.assertGreater(got.label_share, 0.8)
    self.assertGreater(got.label_silhouette, 0.6)
    self.assertGreater(got.label_rand, 0.4)
    self.assertAlmostEqual(got.task_rand, 0, delta=0.05)
    self.assertLess(got.task_share, 0.1)

  def test_noise_has_chance_everywhere(self):
    x, task, y = world(by_task=0.0, by_label=0.0, each=100, seed=3)
    got = clusters.report(x, task, y)
    self.assertAlmostEqual(got.task_accuracy, 1 / 3, delta=0.1)
    self.assertAlmostEqual(got.task_centroid_accuracy, 1 / 3, delta=0.1)
    for name in ('task_silhouette', 'label_silhouette', 'task_rand'):
      self.assertAlmostEqual(getattr(got, name), 0, delta=0.05)
    chance = clusters.chance_share(3, 300)
    self.assertAlmostEqual(got.task_share, chance, delta=0.01)

  def test_one_seed_gives_one_report(self):
    x, task, y = world(by_task=1.0, by_label=0.5)
    a, b = (clusters.report(x, task, y, seed=3) for _ in range(2))
    self.assertEqual(a, b)

  def test_half_precision_goes_in(self):
    x, task, y = world(by_task=20.0, by_label=1.0)
    got = clusters.report(x.astype(np.float16), task, y)
    self.assertEqual(got.task_rand, 1)

  def test_what_is_missing_is_said(self):
    x, task, y = world(by_task=1.0, by_label=1.0)
    rare = np.where(np.arange(len(task)) < 4, 8, task % 2)
    broken = x.copy()
    broken[3, 1] = np.nan
    for message, arguments in {
      'at least two groups': (x, task * 0, y),
      'all 120 rows are of one': (x, task, y * 0),
      r'0 or 1, got \[0, 3\]': (x, task, y * 3),
      'task 8 has 4': (x, rare, y),
      'finite, 1 numbers are not': (broken, task, y),
    }.items():
      with self.assertRaisesRegex(ValueError, message):
        clusters.report(*arguments)
    with self.assertRaisesRegex(ValueError, r'120 rows, groups of shape \(9,'):
      clusters.between_share(x, task[:9])


class EmbeddingTest(absltest.TestCase):
  def test_neighbours_in_the_picture_are_of_one_task(self):
    x, task, _ = world(by_task=20.0, by_label=0.0, width=60)
    got = clusters.embedding_2d(x, perplexity=10.0)
    self.assertEqual(got.shape, (120, 2))
    apart = np.linalg.norm(got[:, None] - got, axis=-1)
    np.fill_diagonal(apart, np.inf)
    np.testing.assert_array_equal(task[apart.argmin(axis=1)], task)
    np.testing.assert_array_equal(
      clusters.embedding_2d(x, perplexity=10.0), got
    )

  def test_few_samples_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'at least 90 samples, got 89'):
      clusters.embedding_2d(np.zeros((89, 4), np.float32))


if __name__ == '__main__':
  absltest.main()
