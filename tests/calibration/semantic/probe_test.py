"""Probes of the model's own answers, against hand counts and planted worlds."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized
from sklearn import linear_model

from calibration.semantic import probe
from lm import transformer

SMALL = probe.ProbeConfig(
  iterations=60, rank=4, steps=300, batch=32, rate=2e-2, left_out=0.1
)


class ReportTest(absltest.TestCase):
  def test_numbers_of_the_spec(self):
    pi = jnp.array([[0.6, 0.3, 0.1], [1.0, 0.0, 0.0]])
    q = jnp.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])
    got = probe.report(np.log(q), pi, np.array([True, False]))
    self.assertAlmostEqual(float(got.ce), 0.9380239, delta=1e-6)
    self.assertAlmostEqual(float(got.entropy), 0.8979457, delta=1e-6)
    self.assertAlmostEqual(float(got.kl), 0.0400782, delta=1e-6)

  def test_a_class_without_mass_may_be_impossible(self):
    got = probe.report(
      np.float32([[0.0, -np.inf]]), np.float32([[1.0, 0.0]]), np.ones(1, bool)
    )
    self.assertEqual(float(got.kl), 0.0)


class ClassesTest(absltest.TestCase):
  def test_most_frequent_in_training_and_the_rest(self):
    pi = jnp.array([[0.1, 0.6, 0.2], [0.2, 0.7, 0.1], [0.9, 0.0, 0.1]])
    got, chosen = probe.top_classes(pi, jnp.array([True, True, False]), 2)
    # Masses of training are .3, 1.3 and .3: the first of equals is kept.
    np.testing.assert_array_equal(chosen, [1, 0])
    want = [[0.6, 0.1, 0.3], [0.7, 0.2, 0.1], [0.0, 0.9, 0.1]]
    np.testing.assert_allclose(got, want, atol=1e-6)

  def test_ranks_and_the_confidence_alone(self):
    pi = jnp.array([[0.1, 0.6, 0.3], [0.5, 0.0, 0.25]])
    np.testing.assert_allclose(
      probe.by_rank(pi, 2), [[0.6, 0.3, 0.1], [0.5, 0.25, 0.25]], atol=1e-6
    )
    np.testing.assert_allclose(
      probe.by_rank(pi, 1), [[0.6, 0.4], [0.5, 0.5]], atol=1e-6
    )

  def test_constant_is_the_mean_of_training(self):
    pi = jnp.array([[0.5, 0.5], [0.9, 0.1], [0.0, 1.0]])
    got = probe.constant(pi, jnp.array([True, True, False]))
    np.testing.assert_allclose(np.exp(got), [[0.7, 0.3]] * 3, atol=1e-6)


class LinearTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    rng = np.random.default_rng(0)
    self.x = jnp.asarray(rng.normal(size=(90, 5)) * 3 + 1, jnp.float32)
    self.w = jnp.asarray(rng.normal(size=(5, 3)) / 3, jnp.float32)
    odds = np.exp(np.asarray(self.x) @ np.asarray(self.w))
    self.pi = jnp.asarray(odds / odds.sum(1, keepdims=True))
    self.train = jnp.asarray(np.arange(90) < 60)
    self.others = jnp.asarray(np.arange(90) >= 60)
    self.valid = jnp.asarray(np.ones((90, 3), bool))

  def test_finds_what_was_planted_on_others(self):
    config = probe.ProbeConfig(penalty=1e-9)
    head = probe.fit_linear(
      self.x, self.pi, self.train, self.valid, config=config
    )
    log_q = probe.predict(head, self.x, self.valid)
    got = probe.report(log_q, self.pi, self.others)
    self.assertLess(float(got.kl), 1e-4)
    self.assertGreater(float(got.entropy), 0.3)

  def test_equals_logistic_regression_on_weighted_labels(self):
    noise = np.random.default_rng(1).dirichlet(np.ones(3), 90)
    pi = jnp.asarray(noise, jnp.float32)
    config = probe.ProbeConfig(penalty=1e-2, iterations=200)
    head = probe.fit_linear(self.x, pi, self.train, self.valid, config=config)
    x = np.asarray(self.x)[:60] - np.asarray(head.centre)
    x = x / np.asarray(head.scale)
    peer = linear_model.LogisticRegression(C=1 / (60 * 1e-2), tol=1e-9)
    peer.fit(np.repeat(x, 3, 0), np.tile(range(3), 60), noise[:60].ravel())
    got = np.exp(probe.predict(head, self.x, self.valid))[:60]
    np.testing.assert_allclose(got, peer.predict_proba(x), atol=2e-3)

  def test_padded_classes_change_nothing(self):
    config = probe.ProbeConfig(penalty=1e-4)

    def pad(x):
      return jnp.asarray(np.pad(x, ((0, 0), (0, 2))))

    alone = probe.fit_linear(
      self.x, self.pi, self.train, self.valid, config=config
    )
    padded = probe.fit_linear(
      self.x, pad(self.pi), self.train, pad(self.valid), config=config
    )
    want = probe.predict(alone, self.x, self.valid)
    got = np.asarray(probe.predict(padded, self.x, pad(self.valid)))
    np.testing.assert_allclose(got[:, :3], want, atol=5e-3)
    self.assertEqual(float(np.exp(got[:, 3:]).max()), 0.0)

  def test_held_out_questions_teach_nothing(self):
    config = probe.ProbeConfig()
    pi = np.asarray(self.pi)
    other = jnp.asarray(np.where(np.arange(90)[:, None] < 60, pi, pi[::-1]))
    heads = [
      probe.fit_linear(self.x, pi, self.train, self.valid, config=config)
      for pi in (self.pi, other)
    ]
    np.testing.assert_array_equal(heads[0].weight, heads[1].weight)


class LoraTest(parameterized.TestCase):
  """A model whose attention adds nothing sees its last token only.

  Answers depend on the first one: no head on that hidden state can tell them,
  and low-rank updates of attention can.
  """

  def setUp(self):
    super().setUp()
    config = transformer.TransformerConfig(
      vocab_size=12, layers=1, width=16, heads=2, mlp_width=16
    )
    model = transformer.Transformer(config)
    made = jax.jit(model.init)(jax.random.key(0), np.zeros((1, 2), np.int32))
    params = nn.unbox(made['params'])
    params['layer_0']['out']['kernel'] *= 0.0
    self.params = params

    def read(params, tokens):
      return model.apply({'params': params}, tokens).hidden[:, -1]

    self.read = read
    first, last = np.divmod(np.arange(72), 12)
    self.tokens = jnp.asarray(np.stack([first, last], 1))
    odds = np.exp(2.0 * np.eye(3, dtype=np.float32)[first % 3])
    self.pi = jnp.asarray(odds / odds.sum(1, keepdims=True))
    self.held_out = jnp.asarray((first + last) % 4 == 0)

  def test_reads_what_no_head_can(self):
    found = probe.probe(
      jax.random.key(1),
      self.read,
      self.params,
      self.tokens,
      self.pi,
      self.held_out,
      config=SMALL,
    )
    self.assertGreater(float(found.linear.kl), 0.1)
    self.assertGreater(float(found.constant.kl), 0.1)
    self.assertLess(float(found.lora.kl), 0.02)
    for r in found:
      self.assertAlmostEqual(float(r.ce), float(r.entropy + r.kl), places=5)

  def test_keeps_the_start_where_every_step_is_worse(self):
    wild = probe.ProbeConfig(rank=2, steps=6, look=2, batch=8, rate=1e3)
    found = probe.probe(
      jax.random.key(1),
      self.read,
      self.params,
      self.tokens,
      self.pi,
      self.held_out,
      config=wild,
    )
    # The start learned from fewer questions than the linear probe.
    self.assertLess(float(found.lora.kl), float(found.linear.kl) + 0.1)

  @parameterized.parameters(
    (dict(pi=1.1), 'rows of pi must sum to 1, got 1.1'),
    (dict(out=False), 'a held-out question is needed'),
    (dict(out=True), 'two groups to learn from'),
    (dict(group=0), 'two groups to learn from'),
  )
  def test_too_little_is_refused(self, change, message):
    out = np.full(72, change['out']) if 'out' in change else self.held_out
    with self.assertRaisesRegex(ValueError, message):
      probe.probe(
        jax.random.key(0),
        self.read,
        self.params,
        self.tokens,
        jnp.asarray(np.asarray(self.pi) * np.float32(change.get('pi', 1.0))),
        jnp.asarray(out),
        groups=jnp.asarray(np.zeros(72, np.int32))
        if 'group' in change
        else None,
        config=SMALL,
      )

  @parameterized.parameters(dict(rank=0), dict(steps=0), dict(left_out=1.0))
  def test_nonsense_is_refused(self, **knobs):
    with self.assertRaisesRegex(ValueError, 'probe.' + next(iter(knobs))):
      probe.ProbeConfig(**knobs)


class LeftOutTest(absltest.TestCase):
  def test_groups_stay_whole_and_held_out_ones_are_not_taken(self):
    groups = np.repeat(np.arange(10), 3)
    out = groups >= 7
    out[0] = True  # of group 0 two are left
    sizes = set()
    for i in range(12):
      got = probe._left_out(jax.random.key(i), groups, out, 0.3)
      self.assertFalse(np.any(got & out))
      taken = got.reshape(10, 3).sum(1)
      self.assertEqual((taken > 0).sum(), 2)  # of seven groups
      sizes |= {(group == 0, int(n)) for group, n in enumerate(taken) if n}
    self.assertEqual(sizes, {(True, 2), (False, 3)})


if __name__ == '__main__':
  absltest.main()
