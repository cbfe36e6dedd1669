"""Rewards, advantages, the clipped loss: figures of sections 12.4, 12.5."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.policy import grpo

surrogate = jax.jit(grpo.surrogate, static_argnums=0)
reward = jax.jit(grpo.reward, static_argnums=(0, 3))
mixture = jax.jit(grpo.mixture, static_argnums=1)


def one_prompt(clip, **changes):
  """The example of 12.4: two rollouts, of two passes and of one."""
  fields = dict(
    log_prob=np.log(np.float32([[1.6, 0.3], [0.9, 1.0]])),
    old_log_prob=np.zeros((2, 2), np.float32),
    advantage=np.float32([0.5, -0.5]),
    active=np.array([[True, True], [True, False]]),
    expert=np.array([False, False]),
    passes=np.float32([2.0, 1.0]),
  )
  config = grpo.GrpoConfig(group=2, clip=clip)
  return surrogate(config, **(fields | changes))


class RewardTest(parameterized.TestCase):
  @parameterized.parameters(
    (1, (1.0, 1.0, 1.0, 1.0)),
    (64, (0.918745, 0.753906, 0.428501, 0.059316)),
    (128, (0.814151, 0.503906, 0.127953, 0.001056)),
    (256, (0.189465, 0.003906, 6.0e-8, 0.0)),
  )
  def test_right_answers_earn_less_the_more_passes(self, passes, wants):
    for alpha, want in zip((0.3, 1.0, 3.0, 10.0), wants, strict=True):
      config = grpo.GrpoConfig(alpha=alpha)
      got = reward(config, np.array([True, False]), np.array([passes] * 2), 256)
      np.testing.assert_allclose(got, [want, 0.0], atol=1e-6)

  def test_alpha_0_pays_for_right_alone(self):
    config = grpo.GrpoConfig(alpha=0.0)
    got = reward(config, np.array([True, True, False]), np.array([1, 9, 1]), 8)
    np.testing.assert_array_equal(got, [1.0, 1.0, 0.0])

  def test_additive(self):
    config = grpo.GrpoConfig(alpha=0.5, reward='additive')
    got = reward(config, np.array([True, False]), np.array([2, 8]), 8)
    np.testing.assert_allclose(got, [1 - 0.5 / 4, -0.5])


class AdvantageTest(absltest.TestCase):
  def test_less_the_mean_of_the_group_and_not_divided(self):
    rewards = np.float32([1.0, 0.0, 0.5, 0.5, 3.0, 3.0, 3.0, 3.0])
    got = jax.jit(grpo.advantages, static_argnums=1)(rewards, 4)
    np.testing.assert_allclose(got, [0.5, -0.5, 0, 0, 0, 0, 0, 0])


class SurrogateTest(parameterized.TestCase):
  @parameterized.parameters((0.5, -0.175), (0.2, -0.0625))
  def test_the_example_of_the_spec(self, clip, want):
    self.assertAlmostEqual(float(one_prompt(clip).loss), want, places=6)

  def test_at_first_the_loss_is_the_mean_advantage_but_it_has_a_gradient(self):
    def loss(log_prob):
      return one_prompt(
        0.5, log_prob=log_prob, old_log_prob=jax.lax.stop_gradient(log_prob)
      ).loss

    log_prob = np.float32([[-1.0, -2.0], [-3.0, -4.0]])
    value, grad = jax.jit(jax.value_and_grad(loss))(log_prob)
    self.assertAlmostEqual(float(value), 0.0, places=6)
    # -A / (T B) on active passes.
    want = [[-0.125, 0.25], [-0.125, 0.0]]
    np.testing.assert_allclose(grad, want, atol=1e-6)

  def test_an_inactive_pass_gives_neither_value_nor_gradient(self):
    def loss(log_prob):
      return one_prompt(0.5, log_prob=log_prob).loss

    wild = np.float32([[0.1, 0.2], [0.3, 1e30]])
    value, grad = jax.jit(jax.value_and_grad(loss))(wild)
    self.assertTrue(np.isfinite(value))
    self.assertTrue(np.isfinite(grad).all())
    self.assertEqual(float(np.asarray(grad)[1, 1]), 0.0)

  def test_passes_add_up(self):
    whole = one_prompt(0.2)
    log_prob = np.log(np.float32([[1.6, 0.3], [0.9, 1.0]]))
    active = np.array([[True, True], [True, False]])
    parts = [
      one_prompt(
        0.2,
        log_prob=log_prob[t : t + 1],
        old_log_prob=jnp.zeros((1, 2)),
        active=active[t : t + 1],
      )
      for t in range(2)
    ]
    total = sum(float(p.loss) for p in parts)
    self.assertAlmostEqual(total, float(whole.loss), places=6)
    # Of (1.6, .9, .3): 1.6 with A > 0 is cut; .3 with A < 0 is cut as well.
    self.assertEqual(float(whole.clipped), 2.0)


class MixtureTest(parameterized.TestCase):
  CONFIG = grpo.GrpoConfig(group=8, experts=(0.9,))

  @parameterized.parameters((-1.0, -0.825274), (-3.0, -1.861970))
  def test_values(self, log_prob, want):
    got = mixture(np.float32(log_prob), self.CONFIG)
    self.assertAlmostEqual(float(got), want, places=5)

  # exp(1.036696), the difference of the two values above.
  @parameterized.parameters((-3.0, -1.0, 2.819886), (-40.0, -50.0, 1.0))
  def test_ratios_are_bounded(self, old, new, want):
    f = np.asarray(mixture(np.float32([old, new]), self.CONFIG))
    self.assertAlmostEqual(float(np.exp(f[1] - f[0])), want, places=4)

  def test_never_below_one_of_nine(self):
    got = mixture(np.float32(-1e9), self.CONFIG)
    self.assertAlmostEqual(float(got), -2.197225, places=5)

  def test_only_experts_are_mixed(self):
    config = grpo.GrpoConfig(group=1, experts=(0.9,), clip=100.0)
    got = surrogate(
      config,
      log_prob=np.float32([[-1.0, -1.0]]),
      old_log_prob=np.float32([[-3.0, -3.0]]),
      advantage=np.float32([1.0, 1.0]),
      active=np.ones((1, 2), bool),
      expert=np.array([False, True]),
      passes=np.ones(2, np.float32),
    )
    mixed = (1 + np.exp(-1.0)) / (1 + np.exp(-3.0))
    want = -(np.exp(2.0) + mixed) / 2
    self.assertAlmostEqual(float(got.loss), want, places=5)


class ConfigTest(parameterized.TestCase):
  @parameterized.parameters(
    (dict(reward='mean'), 'grpo.reward must be one of'),
    (dict(group=1), 'grpo.group=1 must be at least 2'),
    (dict(clip=0.0), 'grpo.clip positive'),
  )
  def test_refuses(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      grpo.GrpoConfig(**fields)


if __name__ == '__main__':
  absltest.main()
