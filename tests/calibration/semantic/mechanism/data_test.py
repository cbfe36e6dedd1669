"""The world of facts, and losses on its texts, against enumeration."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration.semantic import tilt
from calibration.semantic.mechanism import data, experiment, measure
from configs.calibration import mechanism as config
from tests.calibration.semantic.mechanism import support


class WorldTest(parameterized.TestCase):
  def test_probabilities_are_sums_over_chains(self):
    world = data.World(syllables=3, length=3, values=4)
    f = data.facts(world, 5)
    self.assertEqual(f.probs.shape, (27, 4))
    np.testing.assert_allclose(np.sum(f.steps, -1), 1.0, atol=1e-6)
    for entity in (0, 13, 26):
      names, steps = np.asarray(f.names), np.asarray(f.steps)
      a, b, c = (steps[j, n] for j, n in enumerate(names[entity]))
      want = np.zeros(4)
      for s1, s2, value in itertools.product(range(4), repeat=3):
        want[value] += a[0, s1] * b[s1, s2] * c[s2, value]
      np.testing.assert_allclose(f.probs[entity], want, atol=1e-6)

  def test_without_noise_a_fact_is_certain(self):
    f = data.facts(data.World(noise=0.0), 0)
    np.testing.assert_allclose(np.max(f.probs, 1), 1.0, atol=1e-6)

  @parameterized.parameters(*data.STYLES)
  def test_texts_are_as_frequent_as_they_should_be(self, style):
    world = data.World(**support.TINY, style=style)
    f = data.facts(world, 0)
    entity = np.repeat(np.arange(4), 2000)

    @jax.jit
    def draw(key):
      answer = data.draw(world, f, jnp.asarray(entity), key)
      return answer, data.classes(world, answer), data.counted(world, answer)

    answer, value, counted = map(np.asarray, draw(jax.random.key(0)))
    value = value.reshape(4, -1)
    share = (value[..., None] == np.arange(3)).mean(1)
    np.testing.assert_allclose(share, f.probs, atol=0.03)
    np.testing.assert_array_equal(counted, answer > 0)
    word = np.where(counted > 0, answer, 0).max(1) - data.tokens(world).word
    self.assertAlmostEqual(np.mean(word % 2), data.WORD_SHARES[1], delta=0.02)
    if style == 'chain':  # the state that is spelt decides with f_2
      state = answer[:, 0] - data.tokens(world).state
      names, steps = np.asarray(f.names), np.asarray(f.steps)
      step = steps[1, names[entity, 1], state]
      got = [np.mean(value.ravel()[state == s] == 0) for s in range(3)]
      want = [step[state == s, 0].mean() for s in range(3)]
      np.testing.assert_allclose(got, want, atol=0.05)
    else:
      lengths, counts = np.unique(counted.sum(1), return_counts=True)
      np.testing.assert_array_equal(lengths, [1, 2, 3])
      np.testing.assert_allclose(counts / 8000, [0.4, 0.3, 0.3], atol=0.02)

  def test_meaning_is_the_first_value_whatever_the_words(self):
    world = data.World(**support.TINY)
    at = data.tokens(world)
    value = [at.word + 2 * k for k in range(3)]
    answers = jnp.array(
      [
        [value[0], 0, 0],
        [at.filler + 2, at.filler + 3, value[2] + 1],
        [at.filler + 1, value[1] + 1, value[0]],
        [at.filler, at.state, at.filler],
      ]
    )
    np.testing.assert_array_equal(
      data.classes(world, answers), [0, 2, 1, world.values]
    )
    np.testing.assert_array_equal(
      data.counted(world, answers), [[1, 0, 0], [1, 1, 1], [1, 1, 0], [1, 1, 1]]
    )

  @parameterized.parameters(
    dict(style='aloud'), dict(values=1), dict(noise=1.5), dict(length=0)
  )
  def test_nonsense_is_refused(self, **knobs):
    with self.assertRaisesRegex(ValueError, 'world.' + next(iter(knobs))):
      data.World(**knobs)


class EnumerationTest(parameterized.TestCase):
  @parameterized.parameters(*data.STYLES)
  def test_mass_of_values_is_that_of_all_answers_one_by_one(self, style):
    s, params = support.settings(style), support.drawn_params(style)
    f = data.facts(s.world, 0)
    prompt = data.prompts(s.world, f, jnp.array([1, 2]), jnp.array([0, 3]))
    score = functools.partial(measure.scores, s.model, params)
    got = np.asarray(
      jax.jit(lambda p: data.value_probs(score, s.world, p))(prompt)
    )
    np.testing.assert_allclose(got.sum(1), 1.0, atol=1e-5)
    at, leads = data.tokens(s.world), data.leads(s.world)
    answers = np.zeros((len(leads.length), 6, s.world.answer), np.int32)
    for r, (row, length) in enumerate(zip(*leads, strict=True)):
      for word in range(6):
        answers[r, word, : length + 1] = [*row[:length], at.word + word]
    answers, prompt = answers.reshape(-1, s.world.answer), np.asarray(prompt)
    asked = np.repeat(prompt[1:], len(answers), 0)
    logp = np.asarray(
      jax.jit(functools.partial(experiment.answer_logp, s))(
        params, asked, answers
      )
    )
    want = np.exp(logp).reshape(-1, 3, 2).sum((0, 2))
    np.testing.assert_allclose(got[1, :3], want, atol=1e-5)
    # One of them a token at a time.
    length = int(leads.length[-1]) + 1
    one = support.said(
      params, s, prompt[1].tolist(), answers[-1, :length].tolist()
    )
    self.assertAlmostEqual(float(np.exp(logp[-1])), one, places=5)

  def test_samples_are_as_frequent_as_the_mass(self):
    s, params = support.settings('chain'), support.drawn_params('chain')
    f = data.facts(s.world, 0)
    prompt = np.asarray(
      data.prompts(s.world, f, jnp.array([2]), jnp.array([1]))
    )

    @jax.jit
    def drawn(params, key):
      many = jnp.repeat(jnp.asarray(prompt), 3000, 0)
      answers = experiment.sample(s, params, many, key)
      return data.classes(s.world, answers)

    @jax.jit
    def expected(params):
      # All answers with values, also those that this world does not know.
      tree = tilt.conditionals(
        functools.partial(measure.scores, s.model, params),
        jnp.asarray(prompt[0]),
        vocab=s.model.vocab_size,
        length=s.world.answer,
      )
      every = tilt.answers(s.model.vocab_size, s.world.answer)
      return tilt.push_forward(
        jnp.exp(tilt.joint(tree)), data.classes(s.world, every), 4
      )

    value = np.asarray(drawn(params, jax.random.key(3)))
    got = (value[:, None] == np.arange(4)).mean(0)
    np.testing.assert_allclose(got, expected(params), atol=0.03)


class TuningTest(parameterized.TestCase):
  def test_advantages_by_hand(self):
    got = experiment.advantages(jnp.array([1.0, 0, 0, 1, 1, 1]), 3)
    third = 1 / 3
    np.testing.assert_allclose(
      got, [2 * third, -third, -third, 0, 0, 0], atol=1e-6
    )

  def test_reinforce_follows_the_gradient_of_the_expected_reward(self):
    s, params = (
      support.settings('chain', kind='reinforce', group=4),
      support.drawn_params('chain'),
    )
    f = data.facts(s.world, 0)
    batch = {k: jnp.full(1000, v) for k, v in (('entity', 2), ('way', 1))}

    def surrogate(params):
      loss, _ = experiment._tuning_loss(
        s, f, None, params, batch, jax.random.key(0)
      )
      return loss.total / loss.count

    def reward(params):
      tree = tilt.conditionals(
        functools.partial(measure.scores, s.model, params),
        data.prompts(s.world, f, jnp.array([2]), jnp.array([1]))[0],
        vocab=s.model.vocab_size,
        length=s.world.answer,
      )
      every = tilt.answers(s.model.vocab_size, s.world.answer)
      hit = data.classes(s.world, every) == jnp.argmax(f.probs[2])
      return jnp.sum(jnp.where(hit, jnp.exp(tilt.joint(tree)), 0.0))

    def flat(tree):
      return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])

    got, want = (
      flat(jax.jit(jax.grad(surrogate))(params)),
      flat(jax.jit(jax.grad(reward))(params)),
    )
    cosine = -got @ want / np.linalg.norm(got) / np.linalg.norm(want)
    self.assertGreater(cosine, 0.95)
    # The mean of the group holds the answer itself: 3/4 of the gradient.
    self.assertAlmostEqual(-got @ want / (want @ want), 0.75, delta=0.1)

  def test_preference_by_hand(self):
    logp = jnp.array([[-1.0, -2.0, -0.5], [-1.0, -1.0, -1.0]])
    before = jnp.array([[-1.5, -1.0, -3.0], [-2.0, -1.0, -1.0]])
    good = jnp.array([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    got = experiment.preference_loss(0.5, logp, before, good)
    # First good is the second answer, first bad the first; row two has no bad.
    want = -np.log(1 / (1 + np.exp(-0.5 * (-1.0 - 0.5))))
    self.assertEqual(float(got.count), 1.0)
    self.assertAlmostEqual(float(got.total), want, places=5)

  def test_what_does_not_fit_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'learn.kind must be one of'):
      experiment.LearnConfig(kind='praise')
    with self.assertRaisesRegex(ValueError, 'divide learn.batch_size'):
      experiment.LearnConfig(group=3)
    cfg = config.get_config('smoke').to_dict()
    cfg['learn']['kind'] = 'dpo'
    with self.assertRaisesRegex(ValueError, 'set --config.start'):
      experiment.settings(cfg)


if __name__ == '__main__':
  absltest.main()
