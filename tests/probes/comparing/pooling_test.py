"""What stands in for a task's own probe: only bounds may know its labels."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from probes import worlds
from probes.comparing import compare, mixtures, pooling

SETTINGS = compare.Settings(
  ridge_lambdas=4, sparse_at=0.05, sparse_lambdas=12, folds=2, supports=(4, 20)
)
TARGET = 1


def world():
  made = worlds.World(
    shared=1.0, specific=2.0, tasks=3, train=80, test=40, width=20, rank=2
  )
  return worlds.draw(jax.random.key(4), made)


def flipped(samples, side):
  """The target's labels are turned on one side, 'train' or 'test'."""
  turn, y = getattr(samples, side)[TARGET], samples.y[TARGET]
  return samples._replace(y=samples.y.at[TARGET].set(jnp.where(turn, 1 - y, y)))


def rarely_right(samples):
  """The target is right every fifth time, on both sides."""
  right = (jnp.arange(120) % 5 == 2).astype(jnp.float32)
  return samples._replace(y=samples.y.at[TARGET].set(right))


class ProbesTest(parameterized.TestCase):
  @parameterized.parameters('train', 'test')
  def test_are_combined_without_labels_of_the_target(self, side):
    z = 2 * jax.random.normal(jax.random.key(5), (3, 120, 3))
    want, got = (
      {
        'stacked': mixtures.stacked(z, samples)[0],
        'gated': mixtures.gated(z, samples),
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


class PoolTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.found = cls.pool(world())

  @staticmethod
  def pool(samples):
    return pooling.pool(jax.random.key(6), samples, SETTINGS, seed=7)

  def of_target(self, found):
    """Its areas by those that claim not to know its labels."""
    return {
      name: float(area[TARGET])
      for name, area in found.items()
      if not name.startswith('bound/') and name != 'own'
    }

  def test_training_labels_of_the_target_are_for_bounds(self):
    found = self.pool(flipped(world(), 'train'))
    want, got = self.of_target(self.found), self.of_target(found)
    for name, area in want.items():
      self.assertAlmostEqual(got[name], area, places=5, msg=name)
    for name in ('own', 'bound/with_target', 'bound/few_32', 'bound/rank_3'):
      moved = abs(float(found[name][TARGET] - self.found[name][TARGET]))
      self.assertGreater(moved, 0.05, name)
    # The best of the others' probes is known by held-out labels alone.
    name = 'bound/best_single'
    self.assertEqual(float(found[name][TARGET]), self.found[name][TARGET])

  def test_held_out_labels_of_the_target_choose_nothing(self):
    # The same scores on the opposite labels: one less the area.
    found = self.pool(flipped(world(), 'test'))
    want, got = self.of_target(self.found), self.of_target(found)
    for name, area in want.items():
      self.assertAlmostEqual(got[name], 1 - area, places=5, msg=name)

  def test_figures_do_not_depend_on_how_often_a_task_is_right(self):
    found = self.pool(rarely_right(world()))
    self.assertEqual(found.keys(), self.found.keys())
    for name, area in found.items():
      self.assertEqual(area.shape, (3,), name)
      self.assertTrue(bool(jnp.isfinite(area).all()), name)
    self.assertEqual(
      set(found),
      {
        'own',
        *(f'tasks_{how}' for how in (*mixtures.ALIGNMENTS, 'by_sample')),
        *(f'probes_{form}' for form in ('stacked', 'gated', 'routed')),
        'bound/best_single',
        'bound/with_target',
        # No task has 128 to learn from.
        *(f'bound/few_{n}{end}' for n in (8, 32) for end in ('', '_alone')),
        *(f'bound/rank_{rank}' for rank in (1, 2, 3)),
      },
    )

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
    found = pooling.supports(samples, SETTINGS)
    # A support of all features is none.
    self.assertEqual(set(found), {'own_support_4', 'bound/one_support_4'})
    return found['own_support_4'], found['bound/one_support_4']

  def test_one_support_does_where_all_share_it(self):
    own, one = self.areas([[2, 3, 5, 7]] * 3)
    # Four features, each 1.4 deviations apart: Phi(2.8 / sqrt 2) = 0.976.
    np.testing.assert_allclose(own, 0.976, atol=0.04)
    np.testing.assert_allclose(one, 0.976, atol=0.04)

  def test_one_support_does_not_where_each_has_its_own(self):
    own, one = self.areas([[0, 1, 2, 3], [6, 7, 8, 9], [12, 13, 14, 15]])
    np.testing.assert_allclose(own, 0.976, atol=0.04)
    # Two features of one task and one of each other are the best that four
    # can do: Phi(1.4) = 0.919, Phi(0.99) = 0.839 twice, 0.866 in the mean.
    self.assertLess(float(one.mean()), 0.9)


if __name__ == '__main__':
  absltest.main()
