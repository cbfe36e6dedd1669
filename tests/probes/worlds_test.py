"""Three worlds are told apart, with the numbers of another implementation.

docs/papers/probes.md section 10: measured with scikit-learn, C = 0.01 of
ridge and 0.03 of l1, which at 800 samples are the lambdas below.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from probes import worlds
from probes.comparing import compare, pooling

SETTINGS = compare.Settings(
  ridge_at=1 / 8,
  sparse_at=1 / 24,
  ridge_lambdas=2,
  sparse_lambdas=2,
  sparse_ratio=0.5,
  supports=(),
  draws=20,
)


class WorldsTest(parameterized.TestCase):
  @parameterized.named_parameters(
    ('own', 0.0, 3.0, 0.970, 0.494, -0.006, 0.493, 0.098),
    ('part', 1.5, 2.5, 0.966, 0.680, 0.206, 0.797, 0.117),
    ('shared', 3.0, 0.0, 0.972, 0.971, 0.811, 0.981, 0.446),
  )
  def test_told_apart(self, a, b, own, transfer, cosine, mixture, jaccard):
    world = worlds.World(shared=a, specific=b)
    samples = worlds.draw(jax.random.key(0), world)
    found = compare.compare(jax.random.key(1), samples, SETTINGS)
    got = compare.numbers(found, [f'task{t}' for t in range(7)])
    self.assertAlmostEqual(got['ridge/own'], own, delta=0.01)
    self.assertAlmostEqual(got['ridge/transfer'], transfer, delta=0.03)
    self.assertAlmostEqual(got['ridge/cosine'], cosine, delta=0.03)
    self.assertAlmostEqual(got['sparse/jaccard@own'], jaccard, delta=0.02)
    self.assertBetween(got['sparse/size@own'], 35, 55)
    self.assertBetween(got['sparse/chance@own'], 0.08, 0.115)
    pooled = pooling.mixtures_of_tasks(samples, SETTINGS)['tasks_pooled']
    self.assertAlmostEqual(float(pooled.mean()), mixture, delta=0.03)

  def test_labels_and_shapes(self):
    world = worlds.World(
      shared=1.0, specific=1.0, tasks=3, train=20, test=10, width=6, rank=1
    )
    s = worlds.draw(jax.random.key(0), world)
    self.assertEqual(s.x.shape, (3, 30, 6))
    np.testing.assert_array_equal(s.train.sum(-1), [20] * 3)
    np.testing.assert_array_equal((s.train & s.test).sum(), 0)
    np.testing.assert_array_equal((s.y * s.train).sum(-1), [10] * 3)

  def test_truth_is_where_the_formula_says(self):
    def truths(shared, specific):
      """Mean of right less mean of wrong answers, [T, D]."""
      world = worlds.World(
        shared=shared,
        specific=specific,
        tasks=2,
        train=20_000,
        test=1,
        width=6,
        rank=1,
      )
      s = worlds.draw(jax.random.key(0), world)
      right, wrong = (
        jnp.sum(s.x * (s.y == v)[..., None], 1) / jnp.sum(s.y == v, 1)[:, None]
        for v in (1, 0)
      )
      return np.asarray(right - wrong)

    both, shared, own, none = (
      truths(*of) for of in ((3.0, 4.0), (3.0, 0.0), (0.0, 4.0), (0.0, 0.0))
    )
    length = functools.partial(np.linalg.norm, axis=-1)
    # Means of 10,000 with the nuisance along one direction.
    np.testing.assert_allclose(none, 0.0, atol=0.1)
    np.testing.assert_allclose(length(shared), 3.0, atol=0.1)
    np.testing.assert_allclose(length(own), 4.0, atol=0.1)
    # One for all, and each its own.
    np.testing.assert_allclose(shared[0], shared[1], atol=0.1)
    self.assertGreater(length(own[0] - own[1]), 1.0)
    # The key draws the same noise: what differs is the term alone.
    np.testing.assert_allclose(length(both - shared), 4.0, atol=1e-3)
    np.testing.assert_allclose(length(both - own), 3.0, atol=1e-3)
    cos = np.sum((shared - none) * (own - none), -1) / 12
    np.testing.assert_allclose(
      length(both - none) ** 2, 9 + 16 + 24 * cos, atol=1e-2
    )

  def test_a_world_of_nothing(self):
    with self.assertRaisesRegex(ValueError, 'world.tasks must be positive'):
      worlds.World(shared=1.0, specific=1.0, tasks=0)


if __name__ == '__main__':
  absltest.main()
