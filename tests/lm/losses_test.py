"""Blocked losses against full logits, and their memory."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lm import losses

B, T, D, V = 2, 5, 6, 23


def problem():
  keys = jax.random.split(jax.random.key(0), 3)
  hidden = jax.random.normal(keys[0], (B, T, D))
  table = jax.random.normal(keys[1], (V, D))
  targets = jax.random.randint(keys[2], (B, T), 0, V)
  return hidden, table, targets


def full(hidden, table, targets, excluded):
  z = hidden @ table.T
  rest = z if excluded is None else z.at[..., excluded].set(-jnp.inf)
  target = jnp.take_along_axis(z, targets[..., None], -1)[..., 0]
  apart = 0.0 * target if excluded is None else z[..., excluded]
  return jax.nn.logsumexp(rest, -1), target, apart


class VocabStatsTest(parameterized.TestCase):
  # 160 bytes are one block of 4 columns, 640 four of the six.
  @parameterized.product(
    block=(4, 7, 23, 100), excluded=(None, 0, 22), keep=(0, 160, 640, 10**6)
  )
  def test_values_and_gradients_equal_full_logits(self, block, excluded, keep):
    hidden, table, targets = problem()
    weight = jax.random.normal(jax.random.key(9), (3, B, T))

    def blocked(hidden, table):
      s = losses.vocab_stats(
        hidden, table, targets, excluded=excluded, block=block, keep=keep
      )
      apart = 0.0 * s.lse if excluded is None else s.excluded
      return sum(
        w * a for w, a in zip(weight, (s.lse, s.target, apart), strict=True)
      )

    def plain(hidden, table):
      parts = full(hidden, table, targets, excluded)
      return sum(w * a for w, a in zip(weight, parts, strict=True))

    np.testing.assert_allclose(
      blocked(hidden, table), plain(hidden, table), rtol=1e-4, atol=1e-5
    )
    got = jax.grad(lambda *a: jnp.sin(blocked(*a)).sum(), (0, 1))
    want = jax.grad(lambda *a: jnp.sin(plain(*a)).sum(), (0, 1))
    for a, b in zip(got(hidden, table), want(hidden, table), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)

  def test_huge_logits_stay_finite(self):
    hidden, table, targets = problem()
    s = losses.vocab_stats(1e4 * hidden, table, targets, block=4)
    z = np.asarray(1e4 * hidden, np.float64) @ np.asarray(table, np.float64).T
    np.testing.assert_allclose(s.lse, z.max(-1), rtol=1e-5)

  def test_bfloat16_sums_in_float32(self):
    hidden, table, targets = problem()
    s = losses.vocab_stats(hidden.astype(jnp.bfloat16), table, targets)
    self.assertEqual(s.lse.dtype, jnp.float32)
    want = full(hidden, table, targets, None)[0]
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


class VocabTopTest(parameterized.TestCase):
  @parameterized.product(block=(4, 23), excluded=(None, 3))
  def test_equals_argmax(self, block, excluded):
    hidden, table, _ = problem()
    z = hidden @ table.T
    if excluded is not None:
      z = z.at[..., excluded].set(-jnp.inf)
    high, best = losses.vocab_top(hidden, table, excluded=excluded, block=block)
    np.testing.assert_array_equal(best, z.argmax(-1))
    np.testing.assert_allclose(high, z.max(-1), rtol=1e-5)

  def test_ties_go_to_the_lowest_id(self):
    table = jnp.ones((9, D))
    _, best = losses.vocab_top(jnp.ones((1, 2, D)), table, excluded=0, block=2)
    np.testing.assert_array_equal(best, [[1, 1]])


if __name__ == '__main__':
  absltest.main()
