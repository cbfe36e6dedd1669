"""GRPO end to end where the best policy is known (section 12.6).

Two tokens that agree with probability .8: a policy that unmasks both at once
with probability s earns E[R](s) = .5 s^2 + .8 .5^alpha (1 - s^2), so that it
should go to s = 0 below alpha* = log(.625) / log(.5) = .678 and to s = 1 above.
"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.policy import actions, grpo, network
from diffusion_sampler.sampling import canvas, denoiser
from diffusion_sampler.training import puzzle_policy
from engine import experiment, optim

MASK = 2
LAYOUT = canvas.Layout(prompt=1, answer=2, block=2, mask_id=MASK)
# Of a policy network only the bias of the head is trained, and its kernel is
# zero: one logit, the same everywhere.
SCALAR = optim.Part(
  take=lambda params: params['policy']['head']['bias'],
  put=lambda params, bias: {
    **params,
    'policy': {
      **params['policy'],
      'head': {**params['policy']['head'], 'bias': bias},
    },
  },
)


def logits(tokens):
  """Of P(00) = P(11) = .4: the other token, where it is known, has .8."""
  other = tokens[:, :0:-1]
  agree = jax.nn.one_hot(other, 3) * jnp.log(4.0)
  agree = jnp.where((other == MASK)[..., None], 0.0, agree)
  return jnp.pad(agree, ((0, 0), (1, 0), (0, 0)))


@functools.cache
def world():
  return puzzle_policy.World(
    denoiser=lambda params: denoiser.of_logits(logits, 3),
    layout=LAYOUT,
    right=lambda prompts, answers, targets: (
      (answers[:, 0] == answers[:, 1]) & (answers[:, 0] != MASK)
    ),
  )


def settings(alpha, fallback=True, steps=60):
  return puzzle_policy.Settings(
    policy=network.PolicyConfig(
      width=4, mlp_width=4, heads=1, time_features=2, bias=0.0
    ),
    action=actions.ActionConfig(),
    grpo=grpo.GrpoConfig(
      alpha=alpha, temperature=1.0, fallback=fallback, clip=0.2
    ),
    optim=optim.OptimConfig(
      peak_lr=0.1, warmup_steps=0, schedule='constant', weight_decay=0.0
    ),
    steps=steps,
    seed=0,
  )


def start(s, bias=0.0):
  net = jax.jit(network.Policy(s.policy).init)(
    jax.random.key(0),
    np.zeros((1, 2, 1), np.float32),
    np.zeros((1, 2), bool),
    np.zeros(1, np.float32),
  )['params']
  net = nn.unbox(net)
  net['head'] = {
    'kernel': np.zeros(net['head']['kernel'].shape, np.float32),
    'bias': np.float32([bias]),
  }
  optimiser, _ = optim.make(s.optim, 2 * s.steps)
  params = jax.device_put({'policy': net, 'denoiser': {}})
  state = experiment.TrainState(
    step=jnp.int32(0),
    params=params,
    opt_state=jax.jit(optimiser.init)(SCALAR.take(params)),
  )
  return state, optimiser


def prompts(count):
  return {
    'prompt': np.zeros((count, 1), np.int32),
    'answer': np.zeros((count, 2), np.int32),
  }


@functools.partial(jax.jit, static_argnums=0)
def gradients(s, params, made):
  return grpo.gradients(s.grpo, s.policy, s.action, params['policy'], made)


# Compiled for each of the settings and worlds.
collect = jax.jit(puzzle_policy.collect, static_argnums=(0, 1))


class OracleTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    jax.config.update('jax_debug_key_reuse', True)
    self.addCleanup(jax.config.update, 'jax_debug_key_reuse', False)

  @parameterized.parameters((0.3, 0), (1.0, 1))
  def test_goes_to_the_right_corner_on_each_side_of_alpha_star(
    self, alpha, corner
  ):
    s = settings(alpha)
    state, optimiser = start(s)
    step = jax.jit(puzzle_policy.make_step(s, world(), optimiser, SCALAR))
    batch = prompts(128)
    for i in range(s.steps):
      state, _ = step(state, batch, jax.random.key(i))
    s_end = float(jax.nn.sigmoid(SCALAR.take(state.params)[0]))
    self.assertLess(abs(s_end - corner), 0.1)
    self.assertEqual(int(state.step), s.steps)

  @parameterized.parameters((0.3, True), (1.0, True), (0.0, False))
  def test_rewards_of_a_policy_that_is_not_trained(self, alpha, fallback):
    # s = .5; without fallback, horizon 2, alpha = 0, .35625.
    s = settings(alpha, fallback=fallback)
    state, _ = start(s)
    _, logged = collect(
      s, world(), state.params, prompts(8192), jax.random.key(7)
    )
    got = float(logged['reward'].compute())
    want = 0.35625
    if fallback:
      want = 0.5 * 0.25 + 0.8 * 0.5**alpha * 0.75
    # 65,536 rollouts of a reward in [0, 1].
    self.assertAlmostEqual(got, want, delta=4.5 * 0.5 / 256)

  def test_gradient_is_that_of_the_expected_reward(self):
    # dE/ds = s - 1.6 .5^alpha s by hand, times ds/db = s (1 - s); the loss
    # divides by passes, so compare at alpha where both passes weigh alike: the
    # sign alone is invariant.
    for alpha, sign in ((0.3, -1.0), (1.0, 1.0)):
      s = settings(alpha)
      state, _ = start(s, bias=0.5)
      made, _ = collect(
        s, world(), state.params, prompts(8192), jax.random.key(11)
      )
      grads, _ = gradients(s, state.params, made)
      self.assertGreater(-sign * float(grads['head']['bias'][0]), 1e-3)


class RoundTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    jax.config.update('jax_debug_key_reuse', True)
    self.addCleanup(jax.config.update, 'jax_debug_key_reuse', False)

  def test_recomputed_log_probs_equal_the_stored_ones(self):
    s = settings(1.0, fallback=False)
    state, _ = start(s)
    made, _ = collect(s, world(), state.params, prompts(4), jax.random.key(0))
    t = made.trajectory

    @jax.jit
    def again(confidence, masked, time, place, counted):
      logits = network.Policy(s.policy).apply(
        {'params': state.params['policy']}, confidence, masked, time
      )
      return actions.log_prob(s.action, logits, place, counted)

    for i in range(t.time.shape[0]):
      inputs = t.confidence, t.masked, t.time, t.place, t.counted
      got = again(*(np.asarray(x)[i] for x in inputs))
      np.testing.assert_allclose(got, t.log_prob[i], atol=1e-6)
    # So that the first update has ratios of 1 everywhere and cuts nothing.
    _, terms = gradients(s, state.params, made)
    self.assertEqual(float(terms.clipped), 0.0)

  def test_equal_rewards_change_nothing(self):
    s = settings(0.0)
    state, optimiser = start(s)
    same = world()._replace(
      right=lambda prompts, answers, targets: jnp.ones(len(answers), bool)
    )
    step = jax.jit(puzzle_policy.make_step(s, same, optimiser, SCALAR))
    after, logged = step(state, prompts(4), jax.random.key(0))
    np.testing.assert_array_equal(
      SCALAR.take(after.params), SCALAR.take(state.params)
    )
    self.assertEqual(float(logged['grad_norm']), 0.0)
    self.assertEqual(int(after.step), 1)

  def test_the_same_key_gives_the_same_rollouts(self):
    s = settings(1.0)
    state, _ = start(s)
    one, two, other = (
      collect(s, world(), state.params, prompts(4), jax.random.key(k))[
        0
      ].trajectory.place
      for k in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, two)
    self.assertFalse(np.array_equal(one, other))

  def test_an_expert_joins_every_group_and_counts_all_masks(self):
    s = settings(1.0)._replace(
      grpo=grpo.GrpoConfig(
        group=3, experts=(2.0,), expert_block=1, temperature=1.0
      )
    )
    state, _ = start(s)
    made, logged = collect(
      s, world(), state.params, prompts(2), jax.random.key(0)
    )
    np.testing.assert_array_equal(made.expert, [0, 0, 0, 1] * 2)
    t = made.trajectory
    for row in (3, 7):
      # Left to right, one at a time; the second position counts as kept.
      np.testing.assert_array_equal(t.place[:, row], [[0, -1], [-1, 0]])
      np.testing.assert_array_equal(t.counted[:, row], [[1, 1], [0, 1]])
    # Not among what is logged of the policy.
    self.assertEqual(float(logged['nfe'].count), 6.0)
    grouped = np.asarray(made.advantage).reshape(2, 4)
    np.testing.assert_allclose(grouped.sum(-1), 0.0, atol=1e-6)

  def test_every_rollout_is_paid_for_its_own_passes(self):
    # Nothing is right and each pass costs 1 / 2. The policy writes all at
    # once; the expert writes one at a time.
    s = settings(1.0)._replace(
      grpo=grpo.GrpoConfig(
        group=3, experts=(2.0,), expert_block=1, reward='additive'
      )
    )
    state, _ = start(s, bias=100.0)
    never = world()._replace(
      right=lambda prompts, answers, targets: jnp.zeros(len(answers), bool)
    )
    made, _ = collect(s, never, state.params, prompts(2), jax.random.key(0))
    # Rewards -1/2 three times and -1, less their mean of -5/8.
    want = [0.125, 0.125, 0.125, -0.375]
    np.testing.assert_allclose(made.advantage, want * 2, atol=1e-6)

  def test_the_time_goes_on_from_block_to_block(self):
    s = settings(1.0)
    state, _ = start(s)
    apart = world()._replace(layout=dataclasses.replace(LAYOUT, block=1))
    made, _ = collect(s, apart, state.params, prompts(4), jax.random.key(0))
    rows = made.trajectory.time.shape[1]
    np.testing.assert_array_equal(
      made.trajectory.time, [[0.0] * rows, [0.5] * rows]
    )

  def test_an_expert_beside_dpls_is_scored_as_a_set(self):
    # Both positions at once, by a threshold of 0: the only set of two.
    s = settings(1.0)._replace(
      action=actions.ActionConfig(kind='dpls'),
      grpo=grpo.GrpoConfig(group=3, experts=(0.0,), expert_block=2),
    )
    state, _ = start(s)
    made, _ = collect(s, world(), state.params, prompts(2), jax.random.key(0))
    t = made.trajectory
    np.testing.assert_array_equal(t.place[0, [3, 7]], [[0, 0]] * 2)
    # One of two equals, then the other before STOP: 1 x 1/2.
    np.testing.assert_allclose(t.log_prob[0, [3, 7]], np.log(0.5), atol=1e-5)

  def test_a_round_compiles_once(self):
    s = settings(1.0)
    state, optimiser = start(s)
    step = jax.jit(puzzle_policy.make_step(s, world(), optimiser, SCALAR))
    for i in range(3):
      state, _ = step(state, prompts(4), jax.random.key(i))
    self.assertEqual(step._cache_size(), 1)


if __name__ == '__main__':
  absltest.main()
