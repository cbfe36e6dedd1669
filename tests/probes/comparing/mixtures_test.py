"""Tests of probes.mixtures: small worlds in which the answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from engine.stats import auroc
from probes import worlds
from probes.comparing import mixtures
from probes.fitting import solvers

RIDGE = solvers.Penalty(share=0.0, lambdas=4, ratio=1e-3)


def world(shared, specific, **options):
  sizes = dict(tasks=4, train=80, test=80, width=24, rank=2) | options
  return worlds.draw(
    jax.random.key(1), worlds.World(shared=shared, specific=specific, **sizes)
  )


def probes_of(samples):
  w = samples.train.astype(jnp.float32)[:, None]
  path = solvers.fit_paths(
    samples.x, samples.y, w, solvers.L2, lambdas=jnp.full((len(w), 1, 1), 0.1)
  )
  w, b = path.raw()
  return w[:, 0, 0], b[:, 0, 0]


def areas(z, samples):
  return np.asarray(auroc.auroc(z, samples.y, samples.test))


class TaskMixtureTest(parameterized.TestCase):
  @parameterized.product(how=mixtures.ALIGNMENTS, balanced=(True, False))
  def test_shared_truth(self, how, balanced):
    found = mixtures.mixtures_of_tasks(
      world(4.0, 0.0), RIDGE, how=how, balanced=balanced
    )
    self.assertGreater(float(mixtures.left_out(found).min()), 0.95)

  def test_own_truths(self):
    samples = world(0.0, 4.0)
    alone = mixtures.mixtures_of_tasks(samples, RIDGE)
    at = jnp.arange(len(alone))
    without = alone[at, :, at]
    self.assertLess(float(jnp.abs(without.mean(0) - 0.5).max()), 0.15)
    whole = mixtures.mixtures_of_tasks(samples, RIDGE, with_target=True)
    self.assertGreater(float(whole[0].mean(-1).max()), 0.75)
    # Tasks that a mixture has seen, it answers.
    self.assertGreater(float(alone[0, :, 1:].mean(-1).max()), 0.75)

  def test_weights(self):
    samples = world(1.0, 1.0)
    # The second task has half as many samples to learn from.
    train = samples.train.at[1, 40:].set(False)
    samples = samples._replace(train=train)
    use = jnp.array([[True, True, False, False]])
    w = mixtures.task_weights(samples, use).reshape(4, -1)
    np.testing.assert_allclose(w.sum(-1), [1, 1, 0, 0], rtol=1e-5)
    w = mixtures.task_weights(samples, use, balanced=False).reshape(4, -1)
    np.testing.assert_array_equal(w.sum(-1), [80, 40, 0, 0])

  def test_the_target_is_never_seen(self):
    samples = world(2.0, 2.0)
    found = mixtures.mixtures_of_tasks(samples, RIDGE)
    flipped = samples.y.at[2].set(
      jnp.where(samples.train[2], 1 - samples.y[2], samples.y[2])
    )
    other = mixtures.mixtures_of_tasks(samples._replace(y=flipped), RIDGE)
    np.testing.assert_allclose(found[2, :, 2], other[2, :, 2], atol=1e-6)
    self.assertGreater(float(jnp.abs(found - other).max()), 0.01)

  def test_the_target_does_not_choose_its_lambda(self):
    # Without task 0 the first lambda is best for task 1, the other for it.
    area = jnp.array([[[0.6, 0.9], [0.8, 0.7]], [[0.5, 0.6], [0.7, 0.4]]])
    np.testing.assert_allclose(mixtures.left_out(area), [0.6, 0.4])

  def test_aligned(self):
    found = mixtures.aligned(world(1.0, 1.0), 'scaled')
    x = np.asarray(found.x)[np.asarray(found.train)].reshape(4, 80, 24)
    np.testing.assert_allclose(x.mean(1), 0.0, atol=1e-5)
    np.testing.assert_allclose(x.std(1), 1.0, atol=1e-5)
    with self.assertRaisesRegex(ValueError, 'alignment must be one of'):
      mixtures.aligned(found, 'whitened')


class ProbeMixtureTest(absltest.TestCase):
  def test_stacking_finds_the_expert_that_is_right(self):
    # Expert 1 answers every task, the others toss coins.
    samples = world(0.0, 0.0)
    noise = jax.random.normal(jax.random.key(3), (4, 160, 4))
    z = noise.at[..., 1].set(8 * (samples.y - 0.5))
    scores, alpha = mixtures.stacked(z, samples)
    np.testing.assert_allclose(alpha.sum(-1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(jnp.diag(alpha), 0.0)
    found = areas(scores, samples)
    self.assertTrue((found[[0, 2, 3]] == 1.0).all())
    # Its own expert is left out, and none of the rest knows anything.
    self.assertLess(abs(found[1] - 0.5), 0.15)

  def test_experts(self):
    samples = world(4.0, 0.0)
    z = mixtures.experts(*probes_of(samples), samples.x)
    by_hand = (
      probes_of(samples)[0][2] @ samples.x[1, 5] + (probes_of(samples)[1][2])
    )
    self.assertAlmostEqual(float(z[1, 5, 2]), float(by_hand), places=3)
    for scores in (
      mixtures.stacked(z, samples)[0],
      mixtures.gated(z, samples),
      mixtures.routed(z, samples),
    ):
      self.assertGreater(areas(scores, samples).min(), 0.9)

  def test_gate_reads_the_features(self):
    # Tasks 0 and 2 look alike and share an answer, as do 1 and 3: the gate
    # can tell which expert to trust, a fixed mixture cannot.
    samples = world(0.0, 0.0, apart=0.0)
    side = jnp.array([4.0, -4.0, 4.0, -4.0])
    x = samples.x.at[..., 0].set(side[:, None])
    samples = samples._replace(x=x)
    right = 6 * (samples.y - 0.5)
    z = jnp.stack([jnp.sign(side)[:, None] * right * s for s in (1, -1, 1, -1)])
    z = jnp.moveaxis(z, 0, -1)
    gated = areas(mixtures.gated(z, samples, steps=200), samples)
    self.assertGreater(gated.min(), 0.95)
    stacked = areas(mixtures.stacked(z, samples)[0], samples)
    self.assertLess(stacked.min(), 0.6)

  def test_routing_is_to_the_nearest_other(self):
    samples = world(0.0, 0.0)
    centre = jnp.array([0.0, 1.0, 10.0, 11.5])
    x = jnp.zeros_like(samples.x).at[..., 0].set(centre[:, None])
    z = jnp.broadcast_to(jnp.arange(4.0), (4, 160, 4))
    found = mixtures.routed(z, samples._replace(x=x))
    np.testing.assert_array_equal(found[:, 0], [1, 0, 3, 2])


class BoundTest(absltest.TestCase):
  def test_few_labels_help_more_the_more_there_are(self):
    samples = world(0.0, 4.0)
    found = mixtures.few_shot(
      np.random.default_rng(0), samples, (4, 64), with_sources=False
    )
    self.assertGreater(float(found[:, 1].min()), 0.85)
    self.assertGreater(float(found[:, 1].mean()), float(found[:, 0].mean()))

  def test_too_few(self):
    with self.assertRaisesRegex(ValueError, 'task 0: 100 labels of both kinds'):
      mixtures.few_shot(np.random.default_rng(0), world(1.0, 1.0), (100,))

  def test_low_rank(self):
    one = world(4.0, 0.0)
    w, b = mixtures.low_rank(jax.random.key(0), one, 1)
    self.assertEqual(int(np.linalg.matrix_rank(w, tol=1e-4)), 1)
    z = jnp.einsum('td,tnd->tn', w, one.x) + b[:, None]
    self.assertGreater(areas(z, one).min(), 0.9)
    # One direction serves four truths by half (the sum of four orthogonal unit
    # vectors has cosine 1/2 with each), four serve them whole.
    own = world(0.0, 2.5)
    found = []
    for rank in (1, 4):
      w, _ = mixtures.low_rank(jax.random.key(0), own, rank)
      found.append(areas(jnp.einsum('td,tnd->tn', w, own.x), own).mean())
    self.assertGreater(found[1], found[0] + 0.05)
    with self.assertRaisesRegex(ValueError, r'rank must be in \[1, 4\]'):
      mixtures.low_rank(jax.random.key(0), own, 5)


if __name__ == '__main__':
  absltest.main()
