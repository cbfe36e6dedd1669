"""Oracles O4 and O5 of docs/papers/lacy.md: the CALL objective."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lacy import objective, selection
from lm import losses

CALL = 3


def stats_of(z, targets):
  """Stats of given logits [B, T, V+]: an identity table passes them through."""
  return losses.vocab_stats(
    z, jnp.eye(z.shape[-1]), targets, excluded=CALL, block=2
  )


def loss_of(z, targets, call, *, drop=None, weights=None, **kw):
  call = jnp.asarray(call, bool)
  drop = jnp.zeros_like(call) if drop is None else jnp.asarray(drop, bool)
  weights = jnp.ones(call.shape) if weights is None else jnp.asarray(weights)
  choice = selection.Choice(call=call, drop=drop)
  mean = objective.call_loss(
    stats_of(z, jnp.asarray(targets)), choice, weights, **kw
  )
  return mean.compute()


Z = jnp.array([[[2.0, 1.0, 0.0, 3.0]]])


def random_problem():
  keys = jax.random.split(jax.random.key(0), 3)
  z = 2 * jax.random.normal(keys[0], (2, 5, 4))
  targets = jax.random.randint(keys[1], (2, 5), 0, 3)
  call = jax.random.bernoulli(keys[2], 0.4, (2, 5))
  return z, targets, call


class ObjectiveTest(parameterized.TestCase):
  def test_o4_values(self):
    self.assertAlmostEqual(loss_of(Z, [[1]], [[0]]), 1.407606, places=5)
    self.assertAlmostEqual(loss_of(Z, [[1]], [[1]]), 0.440190, places=5)
    both = jnp.concatenate([Z, Z], 1)
    mean = loss_of(both, [[1, 1]], [[0, 1]])
    self.assertAlmostEqual(mean, 0.923898, places=5)

  def test_o4_full_softmax_is_the_other_branch(self):
    loss = loss_of(Z, [[1]], [[0]], noncall_norm='full')
    self.assertAlmostEqual(loss, 2.440190, places=5)

  def test_o4_gradients(self):
    grad = jax.grad(loss_of)
    np.testing.assert_allclose(
      grad(Z, [[1]], [[0]])[0, 0],
      [0.665241, -0.755272, 0.090031, 0.0],
      atol=1e-6,
    )
    np.testing.assert_allclose(
      grad(Z, [[1]], [[1]])[0, 0],
      [0.236883, 0.087144, 0.032059, -0.356086],
      atol=1e-6,
    )

  def test_o5_without_calls_the_call_logit_does_not_matter(self):
    z, targets, call = random_problem()
    none = jnp.zeros_like(call)
    want = loss_of(z, targets, none)
    self.assertEqual(loss_of(z.at[..., CALL].add(17), targets, none), want)
    grad = jax.grad(loss_of)(z, targets, none)
    np.testing.assert_array_equal(grad[..., CALL], 0.0)

  def test_o5_without_calls_it_is_cross_entropy_over_v(self):
    z, targets, call = random_problem()
    none = jnp.zeros_like(call)
    plain = losses.vocab_stats(z[..., :3], jnp.eye(3), targets, block=2)
    want = (plain.lse - plain.target).sum() / 10
    self.assertEqual(loss_of(z, targets, none), want)

  def test_o5_all_calls_is_minus_log_p_call(self):
    z, targets, call = random_problem()
    want = -jax.nn.log_softmax(z)[..., CALL].mean()
    got = loss_of(z, targets, jnp.ones_like(call))
    np.testing.assert_allclose(got, want, rtol=1e-6)

  def test_o5_the_mask_carries_no_gradient(self):
    z, targets, facts = random_problem()
    config = selection.SelectionConfig()

    def choose(z):
      return selection.select(
        config,
        objective.token_loss(stats_of(z, targets)),
        facts,
        jnp.ones_like(facts),
        step=0,
        key=jax.random.key(0),
      ).call

    constant = choose(z)
    self.assertEqual(int(constant.sum()), 60 * int(facts.sum()) // 100)
    inside = jax.grad(lambda z: loss_of(z, targets, choose(z)))(z)
    given = jax.grad(lambda z: loss_of(z, targets, constant))(z)
    np.testing.assert_array_equal(inside, given)

  def test_weights_and_drops_leave_both_sum_and_count(self):
    z, targets, call = random_problem()
    weights = jnp.ones((2, 5)).at[0, 1].set(0.0)
    drop = jnp.zeros((2, 5), bool).at[1, 2].set(True)
    got = loss_of(z, targets, call, drop=drop, weights=weights)
    kept = [i for i in range(10) if i not in (1, 7)]
    pick = lambda a: a.reshape(1, 10, *a.shape[2:])[:, jnp.array(kept)]  # noqa: E731
    want = loss_of(pick(z), pick(targets), pick(call))
    np.testing.assert_allclose(got, want, rtol=1e-6)

  def test_extreme_call_logits_stay_finite(self):
    for value in (-1e4, 1e4):
      z = Z.at[..., CALL].set(value)
      for call in (0, 1):
        loss, grad = jax.value_and_grad(loss_of)(z, [[1]], [[call]])
        self.assertTrue(jnp.isfinite(loss))
        self.assertTrue(jnp.isfinite(grad).all())

  def test_log_odds_order_as_probabilities(self):
    z, targets, _ = random_problem()
    odds = objective.call_log_odds(stats_of(z, targets))
    want = jax.nn.softmax(z)[..., CALL]
    np.testing.assert_allclose(jax.nn.sigmoid(odds), want, rtol=1e-5)

  def test_unknown_norm(self):
    with self.assertRaisesRegex(ValueError, 'lacy.noncall_norm'):
      loss_of(Z, [[1]], [[0]], noncall_norm='half')


if __name__ == '__main__':
  absltest.main()
