"""GRPO end to end where the best policy is known (section 12.6).

Two tokens that agree with probability .8: a policy that unmasks both at once
with probability s earns E[R](s) = .5 s^2 + .8 .5^alpha (1 - s^2), so that it
should go to s = 0 below alpha* = log(.625) / log(.5) = .678 and to s = 1 above.
"""

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
  net = network.Policy(s.policy).init(
    jax.random.key(0),
    jnp.zeros((1, 2, 1)),
    jnp.zeros((1, 2), bool),
    jnp.zeros(1),
  )['params']
  net = nn.unbox(net)
  net['head'] = {
    'kernel': jnp.zeros_like(net['head']['kernel']),
    'bias': jnp.array([bias]),
  }
  optimiser, _ = optim.make(s.optim, 2 * s.steps)
  params = {'policy': net, 'denoiser': {}}
  state = experiment.TrainState(
    step=jnp.int32(0),
    params=params,
    opt_state=optimiser.init(SCALAR.take(params)),
  )
  return state, optimiser


def prompts(count):
  return {
    'prompt': jnp.zeros((count, 1), jnp.int32),
    'answer': jnp.zeros((count, 2), jnp.int32),
  }


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
    collect = jax.jit(
      lambda params, key: puzzle_policy.collect(
        s, world(), params, prompts(8192), key
      )
    )
    _, logged = collect(state.params, jax.random.key(7))
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
      made, _ = puzzle_policy.collect(
        s, world(), state.params, prompts(8192), jax.random.key(11)
      )
      grads, _ = grpo.gradients(
        s.grpo, s.policy, s.action, state.params['policy'], made
      )
      self.assertGreater(-sign * float(grads['head']['bias'][0]), 1e-3)


class RoundTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    jax.config.update('jax_debug_key_reuse', True)
    self.addCleanup(jax.config.update, 'jax_debug_key_reuse', False)

  def test_recomputed_log_probs_equal_the_stored_ones(self):
    s = settings(1.0, fallback=False)
    state, _ = start(s)
    made, _ = puzzle_policy.collect(
      s, world(), state.params, prompts(4), jax.random.key(0)
    )
    t = made.trajectory
    net = network.Policy(s.policy)
    for i in range(t.time.shape[0]):
      again = net.apply(
        {'params': state.params['policy']},
        t.confidence[i],
        t.masked[i],
        t.time[i],
      )
      log_prob = actions.log_prob(s.action, again, t.place[i], t.counted[i])
      np.testing.assert_allclose(log_prob, t.log_prob[i], atol=1e-6)
    # So that the first update has ratios of 1 everywhere and cuts nothing.
    _, terms = grpo.gradients(
      s.grpo, s.policy, s.action, state.params['policy'], made
    )
    self.assertEqual(float(terms.clipped), 0.0)

  def test_equal_rewards_change_nothing(self):
    s = settings(0.0)
    state, optimiser = start(s)
    same = world()._replace(
      right=lambda prompts, answers, targets: jnp.ones(len(answers), bool)
    )
    step = puzzle_policy.make_step(s, same, optimiser, SCALAR)
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
      puzzle_policy.collect(
        s, world(), state.params, prompts(16), jax.random.key(k)
      )[0].trajectory.place
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
    made, logged = puzzle_policy.collect(
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

  def test_a_round_compiles_once(self):
    s = settings(1.0)
    state, optimiser = start(s)
    step = jax.jit(puzzle_policy.make_step(s, world(), optimiser, SCALAR))
    for i in range(3):
      state, _ = step(state, prompts(4), jax.random.key(i))
    self.assertEqual(step._cache_size(), 1)


if __name__ == '__main__':
  absltest.main()
