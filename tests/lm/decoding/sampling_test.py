"""Cuts by hand on a distribution that can be read off; draws by counting."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lm.decoding import sampling

P = np.array([0.1, 0.4, 0.05, 0.25, 0.2])
LOGITS = jax.device_put(np.float32(np.log([P, P[::-1]]) + 3.0))
top_k_of = jax.jit(sampling.keep_top_k, static_argnums=1)
top_p_of = jax.jit(sampling.keep_top_p)
draw_of = jax.jit(sampling.draw, static_argnames='top_k')


def kept(logits):
  return [set(np.flatnonzero(row > -1e29).tolist()) for row in np.array(logits)]


class CutsTest(parameterized.TestCase):
  @parameterized.parameters(
    (1, {1}),
    (2, {1, 3}),
    (4, {0, 1, 3, 4}),
    (0, set(range(5))),
    (5, set(range(5))),
  )
  def test_top_k(self, top_k, want):
    first, second = kept(top_k_of(LOGITS, top_k))
    self.assertEqual(first, want)
    self.assertEqual(second, {4 - i for i in want})

  @parameterized.parameters(
    # Ranked masses: 1 0.4, 3 0.65, 4 0.85, 0 0.95, 2 1.
    (0.0, {1}),
    (0.39, {1}),
    (0.41, {1, 3}),
    (0.66, {1, 3, 4}),
    (0.94, {0, 1, 3, 4}),
    (1.0, set(range(5))),
  )
  def test_top_p(self, top_p, want):
    first, second = kept(top_p_of(LOGITS, np.full(2, top_p, np.float32)))
    self.assertEqual(first, want)
    self.assertEqual(second, {4 - i for i in want})

  def test_cuts_leave_the_rest_as_it_was(self):
    cut = np.asarray(top_p_of(top_k_of(LOGITS, 3), np.float32([0.7, 0.7])))
    where = cut > -1e29
    np.testing.assert_array_equal(cut[where], np.asarray(LOGITS)[where])


class DrawTest(parameterized.TestCase):
  def draws(self, temperature, count=20_000, **cuts):
    keys = jax.random.split(jax.random.key(0), count)

    @jax.jit
    def every(keys, temperature):
      def one(key):
        keys = jax.random.split(key, 2)
        return sampling.draw(keys, LOGITS, temperature, **cuts)[0]

      return jax.vmap(one)(keys)

    tokens = np.asarray(every(keys, np.full(2, temperature, np.float32)))
    return np.bincount(tokens[:, 0], minlength=5) / count

  @parameterized.parameters(0.5, 1.0, 2.0)
  def test_frequencies_follow_the_temperature(self, temperature):
    want = P ** (1 / temperature)
    want /= want.sum()
    # Four standard deviations of a share at 20,000 draws are 0.014.
    np.testing.assert_allclose(self.draws(temperature), want, atol=0.014)

  def test_cut_tokens_are_never_drawn(self):
    got = self.draws(1.0, top_k=3, top_p=0.7)
    # 0.4 + 0.25 are 0.76 of what top-k left: the third passes top-p's bound.
    want = np.array([0, 0.4, 0, 0.25, 0]) / 0.65
    np.testing.assert_allclose(got, want, atol=0.014)

  def test_zero_is_greedy_beside_a_hot_row(self):
    for seed in range(20):
      keys = jax.random.split(jax.random.key(seed), 2)
      tokens, _ = draw_of(keys, LOGITS, np.float32([0.0, 5.0]))
      self.assertEqual(np.asarray(tokens)[0], 1)

  def test_a_row_does_not_depend_on_the_others(self):
    def draw(keys, logits, heat):
      return draw_of(keys, logits, np.float32(heat))[0].tolist()

    logits = np.asarray(LOGITS)
    for seed in range(20):
      keys = jax.random.split(jax.random.key(seed), 2)
      both = draw(keys, LOGITS, [1.0, 3.0])
      first = draw(keys[:1], logits[:1], [1.0])
      second = draw(keys[1:], logits[1:], [3.0])
      self.assertEqual(both, first + second)

  @parameterized.parameters(0.01, 0.3, 3.0)
  def test_top_p_of_a_large_vocabulary(self, spread):
    # Flat: more tokens than are ranked at first; peaked: fewer. With ties.
    rng = np.random.default_rng(0)
    z = np.round(rng.normal(size=(3, 3000)) * spread, 2).astype(np.float32)
    top_p = np.array([0.9, 1.0, 0.5], np.float32)
    got = np.asarray(top_p_of(z, top_p))
    for row in range(3):
      p = np.exp(z[row].astype(np.float64))
      p /= p.sum()
      kept = got[row] > -1e29
      np.testing.assert_array_equal(got[row][kept], z[row][kept])
      if top_p[row] == 1:
        self.assertTrue(kept.all())
        continue
      # All above the least, and without it too little mass.
      least = z[row][kept].min()
      np.testing.assert_array_equal(kept, z[row] >= least)
      self.assertGreaterEqual(p[kept].sum(), top_p[row] - 1e-5)
      self.assertLess(p[z[row] > least].sum(), top_p[row] + 1e-5)

  def test_draws_follow_a_large_vocabulary(self):
    # 3 runs of 256 and a part of one: frequencies by run and within runs.
    rng = np.random.default_rng(1)
    z = rng.normal(size=900).astype(np.float32)
    z[256:512] = -1e30
    count = 20_000
    keys = jax.random.split(jax.random.key(0), count)
    logits = np.broadcast_to(z, (count, 900))
    drawn = draw_of(keys, logits, np.ones(count, np.float32))[0]
    drawn = np.asarray(drawn)
    p = np.exp(z.astype(np.float64))
    p /= p.sum()
    self.assertFalse(np.any((drawn >= 256) & (drawn < 512)))
    got = np.bincount(drawn, minlength=900) / count
    chi = np.sum(count * (got - p)[p > 0] ** 2 / p[p > 0])
    # 643 degrees of freedom: mean 643, deviation 36.
    self.assertLess(abs(chi - 643), 4 * 36)

  def test_logprob_is_the_models_own(self):
    got = sampling.token_logprob(LOGITS, jax.device_put(np.array([3, 0])))
    np.testing.assert_allclose(got, np.log([0.25, 0.2]), rtol=1e-5)

  @parameterized.parameters(
    # Greedy, a mixed batch, as it is, hot, and with cuts.
    ([0.0, 0.0], {}),
    ([0.0, 1.0], {}),
    ([1.0, 1.0], {}),
    ([1.0, 2.0], {}),
    ([1.0, 1.0], {'top_k': 3}),
    ([1.0, 1.0], {'top_p': 0.7}),
    ([1.0, 1.0], {'top_p': np.float32([1.0, 0.7])}),
  )
  def test_drawn_tokens_come_with_the_models_own_logprob(self, heat, cuts):
    rng = np.random.default_rng(2)
    z = rng.normal(size=(2, 700)).astype(np.float32) * 3 + 50
    other = rng.normal(size=(2, 700)).astype(np.float32)
    logp = z.astype(np.float64) - 50
    logp -= np.log(np.exp(logp).sum(-1, keepdims=True))
    # Values, not shapes: one program for all but the cut by rank.
    settings = {'top_p': 1.0} | cuts
    if np.ndim(settings['top_p']) == 0:
      settings['top_p'] = np.full(2, settings['top_p'], np.float32)
    draw = functools.partial(draw_of, temperature=np.float32(heat), **settings)
    for seed in range(5):
      keys = jax.random.split(jax.random.key(seed), 2)
      tokens, got = draw(keys, z)
      np.testing.assert_allclose(got, logp[[0, 1], tokens], atol=2e-5)
      tokens, got = draw(keys, other, own=z)
      np.testing.assert_allclose(got, logp[[0, 1], tokens], atol=2e-5)

  def test_entropy_is_that_of_the_whole_distribution(self):
    # Hand counts: two equals, all equals, one that is certain; and P, whose
    # logits are shifted by 3.
    never = -1e30
    logits = np.float32(
      [
        [0, 0, never, never, never],
        [7.0] * 5,
        [50, 0, never, 0, 0],
        np.asarray(LOGITS)[0],
      ]
    )
    entropy = jax.jit(sampling.entropy)
    want = [np.log(2), np.log(5), 0, -np.sum(P * np.log(P))]
    got = entropy(logits)
    self.assertEqual(got.dtype, jnp.float32)
    np.testing.assert_allclose(got, want, atol=1e-6)
    # Of logits in bfloat16 the sum is still one of float32.
    flat = entropy(np.zeros((1, 50_000), jnp.bfloat16))
    np.testing.assert_allclose(flat, np.log(50_000), rtol=1e-5)


if __name__ == '__main__':
  absltest.main()
