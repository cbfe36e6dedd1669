"""What stands in for a task's own probe: none but bounds may know its labels."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from probes import compare, mixtures, pooling, solvers, worlds

SETTINGS = compare.Settings(
  ridge_at=0.1, ridge_lambdas=2, sparse_lambdas=8, folds=2, supports=(4,)
)
RIDGE = solvers.Penalty(share=0.0, lambdas=5, ratio=1e-4)
TARGET = 1


def world():
  made = worlds.World(
    shared=1.5, specific=2.0, tasks=3, train=40, test=30, width=12, rank=2
  )
  return worlds.draw(jax.random.key(4), made)


def flipped(samples, side):
  """The target's labels are turned on one side, 'train' or 'test'."""
  turn, y = getattr(samples, side)[TARGET], samples.y[TARGET]
  return samples._replace(
    y=samples.y.at[TARGET].set(jnp.where(turn, 1 - y, y))
  )


def with_right(samples, share):
  """The target is right that often, on both sides."""
  right = jnp.floor(jnp.arange(70) * share) < jnp.floor(
    jnp.arange(1, 71) * share
  )
  return samples._replace(y=samples.y.at[TARGET].set(right))


class TargetTest(parameterized.TestCase):
  @parameterized.parameters('train', 'test')
  def test_probes_are_combined_without_its_labels(self, side):
    z = 2 * jax.random.normal(jax.random.key(5), (3, 70, 3))
    want, got = (
      {
        'stacked': mixtures.stacked(z, samples, steps=50)[0],
        'gated': mixtures.gated(z, samples, steps=50),
        'routed': mixtures.routed(z, samples),
      }
      for samples in (world(), flipped(world(), side))
    )
    for name, scores in want.items():
      np.testing.assert_array_equal(scores[TARGET], got[name][TARGET], name)
    # The other tasks learn from its held-out labels, and from those alone.
    for name in ('stacked', 'gated'):
      moved = float(jnp.abs(want[name] - got[name]).max())
      self.assertEqual(moved > 1e-3, side == 'test', name)

  @parameterized.parameters(*mixtures.ALIGNMENTS)
  def test_lambda_is_chosen_without_its_labels(self, how):
    want, train, test = (
      mixtures.left_out(mixtures.mixtures_of_tasks(samples, RIDGE, how=how))
      for samples in (
        world(),
        flipped(world(), 'train'),
        flipped(world(), 'test'),
      )
    )
    self.assertAlmostEqual(
      float(train[TARGET]), float(want[TARGET]), places=6
    )
    # The same scores, on the opposite labels.
    self.assertAlmostEqual(
      float(test[TARGET]), 1 - float(want[TARGET]), places=6
    )
    self.assertGreater(abs(float(want[TARGET]) - 0.5), 0.05)
    self.assertGreater(float(jnp.abs(train - want).max()), 0.01)


class PoolTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.found = cls.pool(world())

  @staticmethod
  def pool(samples):
    return pooling.pool(jax.random.key(6), samples, SETTINGS, seed=7)

  def test_only_bounds_and_its_own_probe_know_the_target(self):
    turned = self.pool(flipped(world(), 'train'))
    moved = {
      name
      for name, area in self.found.items()
      if abs(float(area[TARGET] - turned[name][TARGET])) > 1e-5
    }
    knows = {name for name in self.found if name.startswith('bound/')}
    # The best of the others' probes is known by its held-out labels.
    knows = (knows | {'own'}) - {'bound/best_single'}
    self.assertContainsSubset(moved, knows)
    self.assertContainsSubset({'own', 'bound/with_target'}, moved)
    # All that has a name is measured for every task.
    for name, area in self.found.items():
      self.assertEqual(area.shape, (3,), name)

  def test_figures_do_not_depend_on_how_often_a_task_is_right(self):
    for share in (0.2, 0.9):
      samples = with_right(world(), share)
      self.assertAlmostEqual(float(samples.y[TARGET].mean()), share, places=2)
      found = self.pool(samples)
      self.assertEqual(found.keys(), self.found.keys())
      for name, area in found.items():
        self.assertTrue(bool(jnp.isfinite(area).all()), name)
    self.assertContainsSubset(
      {
        *(f'tasks_{how}' for how in (*mixtures.ALIGNMENTS, 'by_sample')),
        *(f'probes_{form}' for form in ('stacked', 'gated', 'routed')),
        *(f'bound/few_{n}{end}' for n in (8, 32) for end in ('', '_alone')),
        *(f'bound/rank_{rank}' for rank in (1, 2, 3)),
      },
      self.found,
    )
    # No task has as many to learn from.
    self.assertNotIn('bound/few_128', self.found)

  def test_numbers(self):
    got = pooling.numbers({'own': np.array([0.5, 0.75, 1.0])})
    self.assertEqual(got, {'mixture/own': 0.75, 'mixture/own_lowest': 0.5})


class SupportsTest(absltest.TestCase):
  def areas(self, where):
    """AUROC of own supports and of one; features `where` carry the truth."""
    rng = np.random.default_rng(8)
    y = np.broadcast_to(np.arange(120) % 2, (3, 120)).astype(np.float32)
    x = rng.normal(size=(3, 120, 20)).astype(np.float32)
    for t, features in enumerate(where):
      x[t, :, features] += 1.4 * (y[t] - 0.5)
    x += 4 * rng.normal(size=(3, 1, 20))
    train = jnp.broadcast_to(jnp.arange(120) < 80, (3, 120))
    samples = mixtures.Samples(
      jnp.array(x, jnp.float32), jnp.array(y), train, ~train
    )
    settings = compare.Settings(
      sparse_at=0.05, sparse_lambdas=12, supports=(4, 20)
    )
    found = pooling.supports(samples, settings)
    # A support of all features is none.
    self.assertEqual(set(found), {'own_support_4', 'bound/one_support_4'})
    return found['own_support_4'], found['bound/one_support_4']

  def test_one_support_does_where_all_share_it(self):
    own, one = self.areas([[2, 3, 5, 7]] * 3)
    # Four features, each 1.4 deviations apart: Phi(2.8 / sqrt 2) = 0.976.
    np.testing.assert_allclose(own, 0.976, atol=0.03)
    np.testing.assert_allclose(one, 0.976, atol=0.03)

  def test_one_support_does_not_where_each_has_its_own(self):
    own, one = self.areas([[0, 1, 2, 3], [6, 7, 8, 9], [12, 13, 14, 15]])
    np.testing.assert_allclose(own, 0.976, atol=0.03)
    self.assertLess(float(one.mean()), 0.85)


if __name__ == '__main__':
  absltest.main()
