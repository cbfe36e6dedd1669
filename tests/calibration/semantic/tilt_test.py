"""Tilts of enumerated models, against hand counts and all answers at once.

Numbers are those of section 9 of docs/papers/semantic_calibration.md.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration.semantic import tilt


def toy(tokens):
  """p(a) = .6, p(a | a) = .5, p(a | b) = .9; a is 0, b is 1, the prompt 0."""
  first, after = jnp.array([0.6, 0.4]), jnp.array([[0.5, 0.5], [0.9, 0.1]])
  at = jnp.arange(tokens.shape[1])[None, :, None]
  return jnp.log(jnp.where(at == 0, first, after[tokens]))


def random_lm(seed, *, vocab, length):
  """Logits that depend on the whole prefix, by a table of all prefixes."""
  rng = np.random.default_rng(seed)
  tables = [
    rng.normal(size=(vocab**i, vocab)).astype(np.float32) for i in range(length)
  ]

  def score(tokens):
    rows = tokens[:, 1:]
    depth = rows.shape[1]
    places = vocab ** np.arange(depth - 1, -1, -1)
    at = (rows * places).sum(1) if depth else jnp.zeros(len(rows), jnp.int32)
    rows = jnp.asarray(tables[depth])[at][:, None]
    return jnp.broadcast_to(rows, (*tokens.shape, vocab))

  return score


def tree_of(score, prompt, **sizes):
  """`conditionals` as one program, on the host."""
  grow = jax.jit(lambda prompt: tilt.conditionals(score, prompt, **sizes))
  return tuple(map(np.asarray, grow(np.array(prompt, np.int32))))


class ToyTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.tree = tree_of(toy, [0], vocab=2, length=2)
    self.classes = np.asarray(tilt.answers(2, 2))[:, -1]

  def test_confidence_is_the_mass_of_the_top_class(self):
    pi = tilt.push_forward(np.exp(tilt.joint(self.tree)), self.classes, 2)
    np.testing.assert_allclose(pi, [0.66, 0.34], atol=1e-6)
    best, conf = tilt.top(pi)
    self.assertEqual(int(best), 0)
    self.assertAlmostEqual(float(conf), 0.66, places=6)

  def test_numbers_of_the_tilt(self):
    hit = self.classes == 0
    log_p = np.asarray(tilt.joint(self.tree))
    got = np.exp(tilt.tilted(log_p, 0.5 * hit.astype(np.float32)))
    want = [0.3463322, 0.2100611, 0.4155986, 0.0280081]
    np.testing.assert_allclose(got, want, atol=1e-6)
    normaliser = np.sum(np.exp(log_p + 0.5 * hit))
    self.assertAlmostEqual(float(normaliser), 1.4281560, delta=1e-6)
    moved = tilt.tilted_confidence(np.float32(0.5), np.float32(0.66))
    self.assertAlmostEqual(float(moved), 0.7619308, delta=1e-6)
    self.assertAlmostEqual(float(got[0] + got[2]), 0.7619308, delta=1e-6)

  def test_first_tokens_alone_from_the_token_wise_form(self):
    g = tilt.intermediate(self.tree, self.classes == 0)
    np.testing.assert_allclose(g[0], [0.66], atol=1e-6)
    np.testing.assert_allclose(g[1], [0.5, 0.9], atol=1e-6)
    first = np.exp(np.asarray(tilt.reweighted(self.tree, g, 0.5)[0])[0])
    np.testing.assert_allclose(first, [0.5563933, 0.4436067], atol=1e-6)


class TreeTest(parameterized.TestCase):
  @parameterized.parameters(
    (2, 4, -1.3), (3, 3, 0.7), (5, 2, 4.0), (4, 1, -6.0)
  )
  def test_theorem_9_equals_the_tilt_of_whole_answers(self, vocab, length, t):
    score = random_lm(vocab, vocab=vocab, length=length)
    tree = tree_of(score, [1], vocab=vocab, length=length)
    hit = np.sum(tilt.answers(vocab, length), -1) % 3 == 1
    want = tilt.tilted(tilt.joint(tree), np.float32(t * hit))
    g = tilt.intermediate(tree, hit)
    token_wise = tilt.reweighted(tree, g, t)
    np.testing.assert_allclose(tilt.joint(token_wise), want, atol=2e-5)
    for log_p in token_wise:  # each a distribution, not only their product
      np.testing.assert_allclose(np.exp(log_p).sum(-1), 1.0, atol=1e-5)

  def test_intermediate_confidence_is_that_of_the_answers_below(self):
    tree = tree_of(random_lm(0, vocab=3, length=3), [2], vocab=3, length=3)
    hit = np.random.default_rng(1).random(27) < 0.4
    g = list(map(np.asarray, tilt.intermediate(tree, hit)))
    p = np.exp(tilt.joint(tree))
    every = list(itertools.product(range(3), repeat=3))
    for i in range(4):
      for n, prefix in enumerate(itertools.product(range(3), repeat=i)):
        below = np.array([z[:i] == prefix for z in every])
        want = p[below & hit].sum() / p[below].sum()
        self.assertAlmostEqual(float(g[i][n]), want, places=5)

  def test_joint_is_the_models_own(self):
    score = random_lm(3, vocab=3, length=2)
    got = np.asarray(tilt.joint(tree_of(score, [0], vocab=3, length=2)))

    @jax.jit
    def after(tokens):
      return jax.nn.log_softmax(score(tokens)[0, -1])

    for n, (a, b) in enumerate(itertools.product(range(3), repeat=2)):
      first = np.asarray(after(np.array([[0]], np.int32)))[a]
      then = np.asarray(after(np.array([[0, a]], np.int32)))[b]
      self.assertAlmostEqual(float(got[n]), float(first + then), places=5)
    np.testing.assert_array_equal(
      tilt.answers(3, 2), list(itertools.product(range(3), repeat=2))
    )

  def test_answers_outside_the_classes_have_no_mass_in_them(self):
    pi = tilt.push_forward(
      jnp.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]),
      jnp.array([[1, 5, 1], [-1, 0, 0]]),
      2,
    )
    np.testing.assert_allclose(pi, [[0.0, 0.75], [0.9, 0.0]], atol=1e-6)

  @parameterized.parameters(
    dict(vocab=64, length=4), dict(vocab=1, length=2), dict(vocab=3, length=0)
  )
  def test_too_much_and_nothing_are_refused(self, **sizes):
    with self.assertRaisesRegex(ValueError, r'vocab \*\* length must be'):
      tilt.conditionals(toy, jnp.array([0]), **sizes)

  def test_a_prompt_is_needed(self):
    with self.assertRaisesRegex(ValueError, 'prompt must hold one token'):
      tilt.conditionals(toy, jnp.zeros(0, jnp.int32), vocab=2, length=1)


class LossTest(parameterized.TestCase):
  def test_gradient_identity_of_the_spec(self):
    conf = jnp.array([0.7] * 4 + [0.9] * 2)
    correct = jnp.array([1.0, 1, 0, 0, 1, 1])

    def mean(t):
      return tilt.loss_change(jnp.full(6, t), conf, correct).mean()

    slope, bend = jax.jit(
      lambda t: (jax.grad(mean)(t), jax.grad(jax.grad(mean))(t))
    )(0.0)
    self.assertAlmostEqual(float(slope), 0.1, places=6)
    self.assertAlmostEqual(float(bend), 0.17, places=6)
    slope = tilt.loss_slope(np.zeros(6, np.float32), conf, correct)
    self.assertAlmostEqual(float(np.mean(slope)), 0.1, places=6)

  def test_one_level_of_the_spec(self):
    c, acc = jnp.float32(0.7), jnp.float32(0.5)
    t = tilt.best_tilt(c, acc)
    self.assertAlmostEqual(float(t), -0.8472979, delta=1e-6)
    self.assertAlmostEqual(
      float(-tilt.loss_change(t, c, acc)), 0.0871767, delta=1e-6
    )
    self.assertAlmostEqual(
      float(tilt.bernoulli_kl(acc, c)), 0.0871767, delta=1e-6
    )
    self.assertGreater(float(tilt.bernoulli_kl(acc, c)), 0.08)

  def test_no_tilt_gains_more_than_the_divergence(self):
    conf, acc = jnp.array([0.2, 0.6, 0.95]), jnp.array([0.35, 0.6, 0.5])
    grid = np.linspace(-6, 6, 2401, dtype=np.float32)[:, None]
    least = np.min(tilt.loss_change(grid, conf, acc), 0)
    np.testing.assert_allclose(-least, tilt.bernoulli_kl(acc, conf), atol=1e-5)
    slope = jax.jit(jax.vmap(jax.grad(tilt.loss_change)))(
      jnp.array([-1.0, 0.0, 2.0]), conf, acc
    )
    got = tilt.loss_slope(jnp.array([-1.0, 0.0, 2.0]), conf, acc)
    np.testing.assert_allclose(got, slope, atol=1e-6)

  def test_certainty_that_is_right_gains_nothing(self):
    kl = tilt.bernoulli_kl(jnp.array([0.0, 1.0]), jnp.array([0.0, 1.0]))
    np.testing.assert_array_equal(kl, 0.0)


class TheoremSixTest(absltest.TestCase):
  """Calibrated iff no w of W_B lowers the loss, by random search over tau."""

  def world(self, key, calibrated):
    """Models of 40 prompts in five levels of confidence, and truths.

    Truths differ from the models within classes, and among the classes that
    are not the top one; only the top class' mass is what calibration asks.
    """
    keys = jax.random.split(key, 4)
    classes = jnp.array([0, 0, 1, 1, 2, 2])
    level = jnp.arange(40) % 5
    conf = jnp.array([0.5, 0.6, 0.7, 0.8, 0.9])[level]

    def spread(key, top):
      inside = jax.random.dirichlet(key, jnp.ones(2), (40, 3))
      rest = jax.random.dirichlet(keys[3], jnp.ones(2), (40,))
      pi = jnp.concatenate([top[:, None], (1 - top[:, None]) * rest], 1)
      return (pi[..., None] * inside).reshape(40, 6)

    # Prompts of a level differ: right only in the mean.
    wobble = jnp.where(jnp.arange(40) // 5 % 2 == 0, 0.07, -0.07)
    acc = conf + wobble
    if not calibrated:
      acc = acc - jnp.array([0.0, 0.1, 0.0, -0.08, 0.15])[level]
    return spread(keys[0], conf), spread(keys[1], acc), classes, level

  def gains(self, calibrated):
    """Least loss, over random witnesses, less the model's own."""
    f, truth, classes, level = self.world(jax.random.key(0), calibrated)
    hit = (classes == 0).astype(jnp.float32)

    def loss(w):
      return -jnp.mean(jnp.sum(truth * tilt.tilted(jnp.log(f), w), -1))

    def change(key):
      tau = 0.5 * jax.random.normal(key, (5,))
      return loss(tau[level][:, None] * hit)

    keys = jax.random.split(jax.random.key(1), 2000)
    found = jax.lax.map(change, keys, batch_size=200)
    return found.min() - loss(jnp.zeros((40, 6)))

  def test_calibrated_iff_no_witness_gains(self):
    held, lost = jax.jit(lambda: (self.gains(True), self.gains(False)))()
    self.assertGreaterEqual(float(held), -1e-6)
    self.assertLess(float(lost), -1e-3)

  def test_other_witnesses_may_gain_from_a_calibrated_model(self):
    world = jax.jit(lambda: self.world(jax.random.key(0), True))
    f, truth, classes, _ = map(np.asarray, world())
    w = np.log(truth) - np.log(f)
    lost = -np.mean(np.sum(truth * np.log(f), -1))
    least = -np.mean(np.sum(truth * tilt.tilted(np.log(f), w), -1))
    self.assertLess(least - lost, -1e-2)
    # And each prompt is off by .07 though its level is right.
    classes = np.broadcast_to(classes, truth.shape)
    off = np.subtract(
      tilt.push_forward(truth, classes, 3), tilt.push_forward(f, classes, 3)
    )
    self.assertGreater(np.abs(off).max(), 0.06)


if __name__ == '__main__':
  absltest.main()
