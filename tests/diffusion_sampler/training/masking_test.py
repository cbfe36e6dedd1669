"""The forward process: who is hidden, how often, and at what weight."""

import collections
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.training import masking
from tests.diffusion_sampler import support

MASK = 9
FORMS = [dict(form=form) for form in masking.FORMS]


compiled = functools.partial(jax.jit, static_argnames=('mask_id', 'noise'))(
  masking.hide
)


def hide(tokens, answer, *, seed=0, **noise):
  out = compiled(
    jax.random.key(seed),
    jnp.asarray(tokens),
    jnp.asarray(answer),
    mask_id=MASK,
    noise=masking.Noise(**noise),
  )
  return jax.tree.map(np.asarray, out)


def whole(batch, length, **kwargs):
  """All of `length` tokens may be hidden."""
  tokens = np.arange(batch * length).reshape(batch, length) % 7
  return tokens, hide(tokens, np.ones((batch, length), bool), **kwargs)


class TimesTest(support.SamplerTestCase):
  @parameterized.parameters(1, 2, 7)
  def test_are_evenly_spread(self, count):
    for seed in range(5):
      t = np.sort(masking.times(jax.random.key(seed), count))
      self.assertTrue(((t >= 0) & (t < 1)).all())
      gaps = np.diff([*t, t[0] + 1])
      np.testing.assert_allclose(gaps, 1 / count, atol=1e-6)

  def test_each_is_uniform(self):
    draw = jax.vmap(lambda key: masking.times(key, 3))
    t = np.asarray(draw(support.keys(10_000, seed=3)))
    for column in t.T:
      counts = np.histogram(column, bins=16, range=(0, 1))[0]
      self.assert_frequencies(counts, np.full(16, 1 / 16))


class HideTest(support.SamplerTestCase):
  @parameterized.parameters(*FORMS)
  def test_hides_answers_only_and_changes_nothing_else(self, form):
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 7, (40, 6))
    answer = rng.random((40, 6)) < 0.5
    seen = np.zeros((40, 6), bool)
    for seed in range(20):
      out = hide(tokens, answer, seed=seed, form=form)
      self.assertFalse((out.masked & ~answer).any())
      np.testing.assert_array_equal(
        out.tokens, np.where(out.masked, MASK, tokens)
      )
      np.testing.assert_array_equal(out.weights > 0, out.masked)
      seen |= out.masked
    np.testing.assert_array_equal(seen, answer)

  @parameterized.parameters(*FORMS)
  def test_rows_without_an_answer_weigh_nothing(self, form):
    tokens = np.arange(15).reshape(3, 5) % 7
    answer = np.zeros((3, 5), bool)
    answer[1, 2:4] = True
    for seed in range(5):
      out = hide(tokens, answer, seed=seed, form=form, floor=0.0)
      self.assertTrue(np.isfinite(out.weights).all())
      self.assertFalse(out.weights[[0, 2]].any())
      np.testing.assert_array_equal(out.tokens[[0, 2]], tokens[[0, 2]])

  @parameterized.parameters(*FORMS)
  def test_a_place_weighs_one_on_average(self, form):
    # Var(w) = E[1 / t] - 1 = log(1 / floor) - 1 at most: 4 standard errors.
    count = 40_000
    _, out = whole(count, 5, form=form, floor=1e-3)
    error = 4 * math.sqrt((math.log(1e3) - 1) / count)
    np.testing.assert_allclose(out.weights.mean(0), 1.0, atol=error)

  @parameterized.parameters(*FORMS)
  def test_same_key_hides_the_same(self, form):
    first, again, other = (
      whole(4, 5, form=form, seed=seed)[1].weights for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    self.assertFalse(np.array_equal(first, other))

  @parameterized.parameters(
    (dict(form='rates'), 'noise.form must be one of rate, count'),
    (dict(floor=1.0), r'noise.floor must lie in \[0, 1\), got 1.0'),
    (dict(floor=-0.1), r'noise.floor must lie in \[0, 1\), got -0.1'),
  )
  def test_refuses_what_is_no_noise(self, noise, message):
    with self.assertRaisesRegex(ValueError, message):
      masking.Noise(**noise)


class RateTest(support.SamplerTestCase):
  def test_weights_are_of_evenly_spread_rates_one_a_row(self):
    batch, floor = 64, 0.2
    _, out = whole(batch, 50, floor=floor)
    rates = []
    for weights, masked in zip(out.weights, out.masked, strict=True):
      self.assertLen(set(weights[masked]), 1)
      rates.append(1 / weights[masked][0])
    # All in [floor, 1), a 1 / batch of the way apart.
    places = np.sort((np.array(rates) - floor) / (1 - floor))
    self.assertGreaterEqual(places[0], -1e-6)
    self.assertLess(places[-1], 1)
    np.testing.assert_allclose(np.diff(places), 1 / batch, atol=1e-5)

  def test_no_weight_exceeds_that_of_the_floor(self):
    _, out = whole(5_000, 8, floor=0.25)
    self.assertLessEqual(out.weights.max(), 4 + 1e-4)
    self.assertGreater(out.weights.max(), 3.9)

  def test_each_is_hidden_at_its_rate_and_by_itself(self):
    batch, length, floor = 60_000, 3, 0.1
    _, out = whole(batch, length, floor=floor)
    # Rows that are hidden in part name their rate; given a rate t, k of 3 are
    # hidden with binomial probability. Whole ranges of t are known by
    # integration: the share of rows with rate in [a, b] and k hidden is
    # the integral of binom(t) over the density 1 / (1 - floor).
    rate = 1 / out.weights.max(-1, where=out.masked, initial=1e-9)
    edges = np.linspace(floor, 1, 4)
    counts, shares = [], []
    points, sizes = np.polynomial.legendre.leggauss(8)
    for a, b in itertools.pairwise(edges):
      t = a + (b - a) * (points + 1) / 2
      for pattern in itertools.product((False, True), repeat=length):
        if not any(pattern):
          continue
        hit = (out.masked == pattern).all(-1) & (rate >= a) & (rate < b)
        p = np.prod([t if m else 1 - t for m in pattern], axis=0)
        counts.append(hit.sum())
        shares.append((p * sizes).sum() * (b - a) / 2 / (1 - floor))
    counts.append(batch - sum(counts))
    shares.append(1 - sum(shares))
    self.assert_frequencies(counts, shares)


class CountTest(support.SamplerTestCase):
  def test_hides_exactly_as_many_as_the_weight_says(self):
    rng = np.random.default_rng(0)
    answer = rng.random((200, 7)) < 0.6
    out = hide(np.ones((200, 7), int), answer, form='count')
    for row in range(200):
      hidden = out.masked[row].sum()
      if not answer[row].any():
        continue
      self.assertGreaterEqual(hidden, 1)
      np.testing.assert_allclose(
        out.weights[row][out.masked[row]], answer[row].sum() / hidden, rtol=1e-6
      )

  def test_every_count_comes_equally_often(self):
    # Evenly spread times give each of the 5 counts a fifth of the batch.
    for seed in range(5):
      _, out = whole(30, 5, form='count', seed=seed)
      counts = np.bincount(out.masked.sum(-1), minlength=6)
      self.assertEqual(counts[0], 0)
      self.assertLessEqual(np.abs(counts[1:] - 6).max(), 1)

  def test_every_set_of_a_size_is_as_likely(self):
    _, out = whole(40_000, 4, form='count')
    seen = collections.Counter(map(tuple, out.masked.tolist()))
    patterns = list(itertools.product((False, True), repeat=4))[1:]
    p = [1 / 4 / math.comb(4, sum(pattern)) for pattern in patterns]
    self.assert_frequencies([seen[pattern] for pattern in patterns], p)


if __name__ == '__main__':
  absltest.main()
