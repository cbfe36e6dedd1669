"""Blocked losses against full logits, and their memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lm import losses

B, T, D, V = 2, 5, 6, 23


def problem():
  rng = np.random.default_rng(0)
  hidden = rng.normal(size=(B, T, D)).astype(np.float32)
  table = rng.normal(size=(V, D)).astype(np.float32)
  return hidden, table, rng.integers(0, V, (B, T)).astype(np.int32)


def full(hidden, table, targets, excluded):
  z = hidden @ table.T
  rest = z if excluded is None else z.at[..., excluded].set(-jnp.inf)
  target = jnp.take_along_axis(z, targets[..., None], -1)[..., 0]
  apart = 0.0 * target if excluded is None else z[..., excluded]
  return jax.nn.logsumexp(rest, -1), target, apart


def weighted(parts, excluded):
  """One number a position that depends on every part."""
  lse, target, apart = parts
  apart = 0.0 * lse if excluded is None else apart
  weight = np.random.default_rng(9).normal(size=(3, B, T)).astype(np.float32)
  return sum(w * a for w, a in zip(weight, (lse, target, apart), strict=True))


@functools.partial(jax.jit, static_argnames=('excluded', 'block', 'keep'))
def blocked(hidden, table, targets, excluded, block, keep):
  """Values, and gradients of the sum of their sines."""

  def loss(hidden, table):
    s = losses.vocab_stats(
      hidden, table, targets, excluded=excluded, block=block, keep=keep
    )
    value = weighted((s.lse, s.target, s.excluded), excluded)
    return jnp.sin(value).sum(), value

  grads, value = jax.grad(loss, (0, 1), has_aux=True)(hidden, table)
  return value, grads


@functools.partial(jax.jit, static_argnames='excluded')
def plain(hidden, table, targets, excluded):
  """`blocked` by full logits."""

  def loss(hidden, table):
    value = weighted(full(hidden, table, targets, excluded), excluded)
    return jnp.sin(value).sum(), value

  grads, value = jax.grad(loss, (0, 1), has_aux=True)(hidden, table)
  return value, grads


class VocabStatsTest(parameterized.TestCase):
  # 160 bytes are one block of 4 columns, 640 four of the six.
  @parameterized.product(
    block=(4, 7, 23, 100), excluded=(None, 0, 22), keep=(0, 160, 640, 10**6)
  )
  def test_values_and_gradients_equal_full_logits(self, block, excluded, keep):
    given = problem()
    value, grads = blocked(*given, excluded, block, keep)
    want, want_grads = plain(*given, excluded)
    np.testing.assert_allclose(value, want, rtol=1e-4, atol=1e-5)
    for a, b in zip(grads, want_grads, strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)

  def test_huge_logits_stay_finite(self):
    hidden, table, targets = problem()
    stats = jax.jit(functools.partial(losses.vocab_stats, block=4))
    s = stats(1e4 * hidden, table, targets)
    z = np.asarray(1e4 * hidden, np.float64) @ np.asarray(table, np.float64).T
    np.testing.assert_allclose(s.lse, z.max(-1), rtol=1e-5)

  def test_bfloat16_sums_in_float32(self):
    hidden, table, targets = problem()
    half = hidden.astype(jnp.bfloat16)
    s = jax.jit(losses.vocab_stats)(half, table, targets)
    self.assertEqual(s.lse.dtype, jnp.float32)
    z = hidden.astype(np.float64) @ table.T
    want = np.log(np.exp(z).sum(-1))
    np.testing.assert_allclose(s.lse, want, rtol=0.03)

  @parameterized.parameters((4, 256, 0), (8, 512, losses.KEEP))
  def test_never_holds_all_logits(self, b, t, keep):
    """V = 49,152: the peak stays far below one [B, T, V] array."""
    d, v = 64, 49_152
    hidden = jax.ShapeDtypeStruct((b, t, d), jnp.float32)
    table = jax.ShapeDtypeStruct((v, d), jnp.float32)
    targets = jax.ShapeDtypeStruct((b, t), jnp.int32)

    def blocked(hidden, table, targets):
      s = losses.vocab_stats(hidden, table, targets, excluded=v - 5, keep=keep)
      return (s.lse - s.target).mean()

    def plain(hidden, table, targets):
      lse, target, _ = full(hidden, table, targets, v - 5)
      return (lse - target).mean()

    def peak(loss):
      grad = jax.jit(jax.grad(loss, (0, 1)))
      memory = grad.lower(hidden, table, targets).compile().memory_analysis()
      return memory.temp_size_in_bytes

    logits = 4 * b * t * v
    self.assertLess(peak(blocked), 0.35 * logits)
    self.assertGreater(peak(plain), logits)  # the yardstick measures


top = jax.jit(losses.vocab_top, static_argnames=('excluded', 'block'))


class VocabTopTest(parameterized.TestCase):
  @parameterized.product(block=(4, 23), excluded=(None, 1))
  def test_equals_argmax(self, block, excluded):
    hidden, table, _ = problem()
    z = hidden @ table.T
    self.assertIn(1, z.argmax(-1))  # so that excluding it matters
    if excluded is not None:
      z[..., excluded] = -np.inf
    high, best = top(hidden, table, excluded=excluded, block=block)
    np.testing.assert_array_equal(best, z.argmax(-1))
    np.testing.assert_allclose(high, z.max(-1), rtol=1e-5)

  def test_ties_go_to_the_lowest_id(self):
    ones = np.ones((1, 2, D), np.float32), np.ones((9, D), np.float32)
    _, best = top(*ones, excluded=0, block=2)
    np.testing.assert_array_equal(best, [[1, 1]])


if __name__ == '__main__':
  absltest.main()
