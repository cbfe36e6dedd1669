"""Losses and samplers where every probability is known (section 12.6)."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.sampling import decode, rules
from diffusion_sampler.training import masking
from tests.diffusion_sampler import support

# Rows of a sampler's test; and a standard error is .0015 at most.
ROWS = 100_000
PAIR = support.agreeing_pair()
# Three words of three, of no symmetry.
TRIPLE = support.Joint(
  np.random.default_rng(3).dirichlet([3.0] * 27).reshape(3, 3, 3)
)
PRODUCT = np.full((2, 2), 0.25)


@functools.cache
def _sampler(joint, filler, block):
  length = joint.length + filler
  lay = support.layout(length, block or length, joint.words)

  @jax.jit
  def run(rule, given, keys):
    return decode.sample(
      joint.denoiser(filler),
      rule,
      lay,
      jnp.zeros((ROWS, 0), int),
      keys,
      given=given,
      temperature=1.0,
    )

  return run


def sample(joint, rule, *, filler=0, block=None):
  """Answers drawn word by word from the best denoiser, and their passes."""
  given = np.full((ROWS, joint.length + filler), joint.words)
  given[:, joint.length :] = 0
  run = _sampler(joint, filler, block)
  out = run(rule, jnp.asarray(given), support.keys(ROWS))
  return jax.tree.map(np.asarray, out)


hide = functools.partial(jax.jit, static_argnames=('mask_id', 'noise'))(
  masking.hide
)


def dream_collision(steps: int) -> float:
  """Probability that two words are written in the same pass of Dream's grid."""
  t = [*np.linspace(1, 1e-3, steps + 1)[:-1], 0.0]
  return sum((t[i] - t[i + 1]) ** 2 for i in range(steps))


class JointTest(support.SamplerTestCase):
  def test_denoiser_of_the_pair(self):
    hidden = PAIR.denoiser().hidden(jnp.array([[2, 2], [0, 2], [2, 1]]), None)
    p = np.exp(np.asarray(hidden)[..., :2])
    np.testing.assert_allclose(p[0], 0.5, rtol=1e-5)
    np.testing.assert_allclose(p[1, 1], [0.8, 0.2], rtol=1e-5)
    np.testing.assert_allclose(p[2, 0], [0.2, 0.8], rtol=1e-5)

  def test_distances_of_the_spec(self):
    self.assertAlmostEqual(support.total_variation(PAIR.p, PRODUCT), 0.3)
    np.testing.assert_allclose(PAIR.product(), PRODUCT)
    kl = (PAIR.p * np.log(PAIR.p / PAIR.product())).sum()
    self.assertAlmostEqual(kl, 0.192745, places=6)


class LossTest(support.SamplerTestCase):
  """The weighted loss of the best denoiser is the exact NLL, word for word."""

  def losses(self, joint, answer):
    """Of every set of hidden words."""
    return {
      hidden: joint.hidden_loss(answer, hidden)
      for hidden in itertools.product((False, True), repeat=joint.length)
    }

  def hide(self, answer, rows, form, floor=0.0):
    tokens = jnp.tile(jnp.asarray(answer), (rows, 1))
    noise = masking.Noise(form=form, floor=floor)
    answers = jnp.ones(tokens.shape, bool)
    out = hide(jax.random.key(0), tokens, answers, mask_id=3, noise=noise)
    return np.asarray(out.masked), np.asarray(out.weights, np.float64)

  def test_pair_in_closed_form(self):
    loss = self.losses(PAIR, (0, 0))
    self.assertAlmostEqual(loss[True, True], 2 * math.log(2))
    self.assertAlmostEqual(loss[True, False], -math.log(0.8))
    nll = -math.log(PAIR.p[0, 0])
    self.assertAlmostEqual(nll, 0.916291, places=6)
    self.assertAlmostEqual(nll / 2, 0.458145, places=6)

  def test_count_form_enumerated(self):
    # The weight of each set is the code's, its probability the law's; that
    # sets come by that law is shown in masking_test.
    for joint in (PAIR, TRIPLE):
      length = joint.length
      masked, weights = self.hide([0] * length, 500, 'count')
      weight = dict(zip(map(tuple, masked.tolist()), weights, strict=True))
      self.assertLen(weight, 2**length - 1)
      for answer in itertools.product(range(joint.words), repeat=length):
        expected = sum(
          max(weight[hidden]) * loss / length / math.comb(length, sum(hidden))
          for hidden, loss in self.losses(joint, answer).items()
          if any(hidden)
        )
        self.assertAlmostEqual(expected, -math.log(joint.p[answer]), places=5)

  def test_rate_form_enumerated(self):
    # (1 / t) sum_S P(S | t) loss(S) is a polynomial: Gauss is exact.
    points, sizes = np.polynomial.legendre.leggauss(6)
    t, sizes = (points + 1) / 2, sizes / 2
    for joint in (PAIR, TRIPLE):
      for answer in itertools.product(range(joint.words), repeat=joint.length):
        total = 0.0
        for hidden, loss in self.losses(joint, answer).items():
          p = np.prod([t if h else 1 - t for h in hidden], axis=0)
          total += (sizes * p / t).sum() * loss
        self.assertAlmostEqual(total, -math.log(joint.p[answer]), places=9)

  @parameterized.parameters(*masking.FORMS)
  def test_drawn(self, form):
    for joint, answer in ((PAIR, (0, 0)), (TRIPLE, (0, 1, 2))):
      rows = 50_000
      masked, weights = self.hide(answer, rows, form, floor=1e-4)
      table = self.losses(joint, answer)
      loss = np.array([table[tuple(m)] for m in masked.tolist()])
      each = weights.max(-1) * loss
      error = 4 * each.std() / math.sqrt(rows)
      nll = -math.log(joint.p[answer])
      self.assertLess(error, 0.06 * nll)
      self.assertAlmostEqual(each.mean(), nll, delta=error)


class SamplerTest(support.SamplerTestCase):
  def test_both_in_one_pass_gives_the_product(self):
    out = sample(PAIR, rules.Threshold(threshold=0.0))
    self.assertEqual(set(out.nfe.tolist()), {1})
    counts = PAIR.count(out.answer)
    self.assert_frequencies(counts, PRODUCT)
    q = counts / ROWS
    self.assertAlmostEqual(support.total_variation(q, PAIR.p), 0.3, delta=0.006)
    kl = (PAIR.p * np.log(PAIR.p / q)).sum()
    self.assertAlmostEqual(kl, 0.192745, delta=0.006)

  def test_one_at_a_time_gives_the_joint(self):
    for rule in (
      rules.LeftToRight(),
      support.Order(places=jnp.array([1, 0])),
      rules.Random(),
    ):
      out = sample(PAIR, rule)
      self.assertEqual(set(out.nfe.tolist()), {2})
      self.assert_frequencies(PAIR.count(out.answer), PAIR.p)

  def test_any_order_gives_the_joint_of_three(self):
    for places in ((0, 1, 2), (2, 0, 1)):
      out = sample(TRIPLE, support.Order(places=jnp.array(places)))
      self.assertEqual(out.order[0].tolist(), list(np.argsort(places)))
      self.assert_frequencies(TRIPLE.count(out.answer), TRIPLE.p)

  def test_blocks_of_one_give_the_joint(self):
    out = sample(PAIR, rules.Threshold(threshold=0.0), block=1)
    self.assertEqual(set(out.nfe.tolist()), {2})
    self.assert_frequencies(PAIR.count(out.answer), PAIR.p)

  def test_equal_steps_err_by_one_over_their_number(self):
    # As many passes as positions: the rest of the answer is given.
    steps = 4
    out = sample(PAIR, support.EqualSteps(steps=steps), filler=steps - 2)
    q = PRODUCT / steps + (1 - 1 / steps) * PAIR.p
    counts = PAIR.count(out.answer)
    self.assert_frequencies(counts, q)
    tv = support.total_variation(counts / ROWS, PAIR.p)
    self.assertAlmostEqual(tv, 0.075, delta=0.006)

  def test_ancestral_errs_by_its_own_grid(self):
    steps = 4
    out = sample(PAIR, rules.Ancestral(steps=steps), filler=steps - 2)
    same = dream_collision(steps)
    self.assertAlmostEqual(same, 1 / steps, delta=1e-3)
    q = PRODUCT * same + (1 - same) * PAIR.p
    self.assert_frequencies(PAIR.count(out.answer), q)
    together = (out.order[:, 0] == out.order[:, 1]).sum()
    self.assert_frequencies([together, ROWS - together], [same, 1 - same])

  @parameterized.parameters(0.5, 0.2)
  def test_a_constant_policy_with_fallback(self, s):
    out = sample(PAIR, support.Bernoulli(probability=s))
    together = (out.order[:, 0] == out.order[:, 1]).sum()
    self.assert_frequencies([together, ROWS - together], [s**2, 1 - s**2])
    self.assertEqual((out.nfe == 1).sum(), together)
    self.assertAlmostEqual(out.nfe.mean(), 2 - s**2, delta=0.006)
    counts = PAIR.count(out.answer)
    self.assert_frequencies(counts, PRODUCT * s**2 + (1 - s**2) * PAIR.p)
    self.assertAlmostEqual(
      support.total_variation(counts / ROWS, PAIR.p), 0.3 * s**2, delta=0.006
    )


if __name__ == '__main__':
  absltest.main()
