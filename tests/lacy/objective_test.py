"""Oracles O4 and O5 of docs/papers/lacy.md: the CALL objective."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized
from scipy import special

from lacy import objective, selection
from lm import losses

CALL = 3
# Every problem fills so many positions up with ones of no weight: one program.
SHAPE = (2, 5)


def stats_of(z, targets):
  """Stats of given logits [B, T, V+]: an identity table passes them through."""
  return losses.vocab_stats(
    z, jnp.eye(z.shape[-1]), targets, excluded=CALL, block=2
  )


def _loss(z, targets, call, drop, weights, norm):
  choice = selection.Choice(call=call, drop=drop)
  mean = objective.call_loss(
    stats_of(z, targets), choice, weights, noncall_norm=norm
  )
  return mean.compute()


_value_and_grad = jax.jit(jax.value_and_grad(_loss), static_argnames='norm')


def _filled(array, dtype):
  """An array of at most ten positions as one of `SHAPE`, zeros behind."""
  array = np.asarray(array, dtype)
  rest = array.shape[2:]
  out = np.zeros((SHAPE[0] * SHAPE[1], *rest), dtype)
  out[: array.shape[0] * array.shape[1]] = array.reshape(-1, *rest)
  return out.reshape(*SHAPE, *rest)


def loss_and_grad(z, targets, call, *, drop=None, weights=None, norm='vocab'):
  """The objective, and its gradient in the logits [..., V+] of `z`."""
  shape = np.shape(z)[:2]
  weights = np.ones(shape) if weights is None else weights
  drop = np.zeros(shape) if drop is None else drop
  loss, grad = _value_and_grad(
    _filled(z, np.float32),
    _filled(targets, np.int32),
    _filled(call, bool),
    _filled(drop, bool),
    _filled(weights, np.float32),
    norm=norm,
  )
  grad = np.asarray(grad).reshape(-1, grad.shape[-1])
  return loss, grad[: shape[0] * shape[1]].reshape(np.shape(z))


def loss_of(*args, **kw):
  return loss_and_grad(*args, **kw)[0]


Z = np.array([[[2.0, 1.0, 0.0, 3.0]]])


@functools.cache
def random_problem():
  rng = np.random.default_rng(0)
  z = 2 * rng.normal(size=(*SHAPE, 4)).astype(np.float32)
  return z, rng.integers(0, 3, SHAPE), rng.random(SHAPE) < 0.4


class ObjectiveTest(parameterized.TestCase):
  def test_o4_values(self):
    self.assertAlmostEqual(loss_of(Z, [[1]], [[0]]), 1.407606, places=5)
    self.assertAlmostEqual(loss_of(Z, [[1]], [[1]]), 0.440190, places=5)
    both = np.concatenate([Z, Z], 1)
    mean = loss_of(both, [[1, 1]], [[0, 1]])
    self.assertAlmostEqual(mean, 0.923898, places=5)

  def test_o4_full_softmax_is_the_other_branch(self):
    loss = loss_of(Z, [[1]], [[0]], norm='full')
    self.assertAlmostEqual(loss, 2.440190, places=5)

  def test_o4_gradients(self):
    np.testing.assert_allclose(
      loss_and_grad(Z, [[1]], [[0]])[1][0, 0],
      [0.665241, -0.755272, 0.090031, 0.0],
      atol=1e-6,
    )
    np.testing.assert_allclose(
      loss_and_grad(Z, [[1]], [[1]])[1][0, 0],
      [0.236883, 0.087144, 0.032059, -0.356086],
      atol=1e-6,
    )

  def test_o5_without_calls_the_call_logit_does_not_matter(self):
    z, targets, call = random_problem()
    none = np.zeros_like(call)
    want, grad = loss_and_grad(z, targets, none)
    moved = z.copy()
    moved[..., CALL] += 17
    self.assertEqual(loss_of(moved, targets, none), want)
    np.testing.assert_array_equal(grad[..., CALL], 0.0)

  def test_o5_without_calls_it_is_cross_entropy_over_v(self):
    z, targets, call = random_problem()

    @jax.jit
    def cross_entropy(z, targets):
      plain = losses.vocab_stats(z, jnp.eye(3), targets, block=2)
      return (plain.lse - plain.target).sum() / 10

    want = cross_entropy(z[..., :3], targets)
    self.assertEqual(loss_of(z, targets, np.zeros_like(call)), want)

  def test_o5_all_calls_is_minus_log_p_call(self):
    z, targets, call = random_problem()
    want = -special.log_softmax(z, -1)[..., CALL].mean()
    got = loss_of(z, targets, np.ones_like(call))
    np.testing.assert_allclose(got, want, rtol=1e-6)

  def test_o5_the_mask_carries_no_gradient(self):
    z, targets, facts = map(jnp.asarray, random_problem())
    config = selection.SelectionConfig()
    ones = jnp.asarray(np.ones(SHAPE, np.float32))
    none = jnp.asarray(np.zeros(SHAPE, bool))
    key = jax.random.key(0)

    @jax.jit
    def chosen(z):
      return selection.select(
        config,
        objective.token_loss(stats_of(z, targets)),
        facts,
        ones > 0,
        step=0,
        key=key,
      ).call

    def loss(z, call):
      call = chosen(z) if call is None else call
      return _loss(z, targets, call, none, ones, 'vocab')

    constant = chosen(z)
    self.assertEqual(int(constant.sum()), 60 * int(facts.sum()) // 100)
    inside = jax.jit(jax.grad(lambda z: loss(z, None)))(z)
    given = jax.jit(jax.grad(loss))(z, constant)
    np.testing.assert_array_equal(inside, given)

  def test_weights_and_drops_leave_both_sum_and_count(self):
    z, targets, call = random_problem()
    weights, drop = np.ones(SHAPE), np.zeros(SHAPE, bool)
    weights[0, 1] = 0.0
    drop[1, 2] = True
    got = loss_of(z, targets, call, drop=drop, weights=weights)
    log_all = special.log_softmax(z.astype(float), -1)
    log_rest = special.log_softmax(z[..., :CALL].astype(float), -1)
    truth = np.take_along_axis(log_rest, targets[..., None], -1)[..., 0]
    each = -np.where(call, log_all[..., CALL], truth)
    want = np.delete(each.ravel(), [1, 7]).mean()
    np.testing.assert_allclose(got, want, rtol=1e-6)

  def test_extreme_call_logits_stay_finite(self):
    for value in (-1e4, 1e4):
      z = Z.copy()
      z[..., CALL] = value
      for call in (0, 1):
        loss, grad = loss_and_grad(z, [[1]], [[call]])
        self.assertTrue(np.isfinite(loss))
        self.assertTrue(np.isfinite(grad).all())

  def test_log_odds_order_as_probabilities(self):
    z, targets, _ = random_problem()
    odds = jax.jit(
      lambda z, targets: objective.call_log_odds(stats_of(z, targets))
    )(z, targets)
    want = special.softmax(z, -1)[..., CALL]
    np.testing.assert_allclose(special.expit(odds), want, rtol=1e-5)

  def test_unknown_norm(self):
    with self.assertRaisesRegex(ValueError, 'lacy.noncall_norm'):
      loss_of(Z, [[1]], [[0]], norm='half')


if __name__ == '__main__':
  absltest.main()
