"""The mechanism at toy size: world, losses, what is measured, claims."""

import functools
import itertools
import tempfile

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration import (
  mechanism,
  mechanism_claims,
  mechanism_measure,
  mechanism_plots,
)
from calibration import mechanism_data as data
from calibration.semantic import tilt
from configs.calibration import mechanism as config
from engine import checkpoint, loop
from engine import mesh as mesh_lib
from lm import transformer

TINY = dict(syllables=2, length=2, values=3)


def tiny_config(style='direct'):
  cfg = config.get_config('smoke').to_dict()
  del cfg['sweep']
  cfg['world'] = TINY | {'style': style}
  cfg['measure'] |= {'ways': 4, 'levels': 2, 'draws': 2, 'chunk': 16}
  return cfg


def settings(style='direct', **learn):
  cfg = tiny_config(style) | {'start': 'a run'}
  cfg['learn'] |= learn
  return mechanism.settings(cfg)


@functools.cache
def drawn_params(style):
  """A model of random weights, far from uniform."""
  model = transformer.Transformer(settings(style).model)
  boxed = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 4), jnp.int32))
  return jax.tree.map(lambda x: 3 * x, nn.unbox(boxed['params']))


def said(params, s, prompt, answer) -> float:
  """p(answer | prompt), a token at a time."""
  total, tokens = 0.0, list(prompt)
  for token in answer:
    z = mechanism_measure.scores(s.model, params, jnp.array([tokens]))[0, -1]
    total += float(jax.nn.log_softmax(z)[token])
    tokens.append(token)
  return np.exp(total)


class WorldTest(parameterized.TestCase):
  def test_probabilities_are_sums_over_chains(self):
    world = data.World(syllables=3, length=3, values=4)
    f = data.facts(world, 5)
    self.assertEqual(f.probs.shape, (27, 4))
    np.testing.assert_allclose(f.steps.sum(-1), 1.0, atol=1e-6)
    for entity in (0, 13, 26):
      a, b, c = (f.steps[j, n] for j, n in enumerate(f.names[entity]))
      want = np.zeros(4)
      for s1, s2, value in itertools.product(range(4), repeat=3):
        want[value] += a[0, s1] * b[s1, s2] * c[s2, value]
      np.testing.assert_allclose(f.probs[entity], want, atol=1e-6)

  def test_without_noise_a_fact_is_certain(self):
    f = data.facts(data.World(noise=0.0), 0)
    np.testing.assert_allclose(f.probs.max(1), 1.0, atol=1e-6)

  @parameterized.parameters(*data.STYLES)
  def test_texts_are_as_frequent_as_they_should_be(self, style):
    world = data.World(**TINY, style=style)
    f = data.facts(world, 0)
    entity = jnp.repeat(jnp.arange(4), 2000)
    answer = data.draw(world, f, entity, jax.random.key(0))
    value = data.classes(world, answer).reshape(4, -1)
    share = jax.nn.one_hot(value, 3).mean(1)
    np.testing.assert_allclose(share, f.probs, atol=0.03)
    counted = data.counted(world, answer)
    np.testing.assert_array_equal(counted, answer > 0)
    word = jnp.where(counted > 0, answer, 0).max(1) - data.tokens(world).word
    self.assertAlmostEqual(
      float(jnp.mean(word % 2)), data.WORD_SHARES[1], delta=0.02
    )
    if style == 'chain':  # the state that is spelt decides with f_2
      state = answer[:, 0] - data.tokens(world).state
      step = f.steps[1, f.names[entity, 1], state]
      got = [float(jnp.mean(value.ravel()[state == s] == 0)) for s in range(3)]
      want = [float(step[state == s, 0].mean()) for s in range(3)]
      np.testing.assert_allclose(got, want, atol=0.05)
    else:
      lengths, counts = np.unique(counted.sum(1), return_counts=True)
      np.testing.assert_array_equal(lengths, [1, 2, 3])
      np.testing.assert_allclose(counts / 8000, [0.4, 0.3, 0.3], atol=0.02)

  def test_meaning_is_the_first_value_whatever_the_words(self):
    world = data.World(**TINY)
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
    s, params = settings(style), drawn_params(style)
    f = data.facts(s.world, 0)
    prompt = data.prompts(s.world, f, jnp.array([1, 2]), jnp.array([0, 3]))
    score = functools.partial(mechanism_measure.scores, s.model, params)
    got = jax.jit(lambda p: data.value_probs(score, s.world, p))(prompt)
    np.testing.assert_allclose(got.sum(1), 1.0, atol=1e-5)
    at, leads = data.tokens(s.world), data.leads(s.world)
    answers = np.zeros((len(leads.length), 6, s.world.answer), np.int32)
    for r, (row, length) in enumerate(zip(*leads, strict=True)):
      for word in range(6):
        answers[r, word, : length + 1] = [*row[:length], at.word + word]
    answers = jnp.asarray(answers.reshape(-1, s.world.answer))
    asked = jnp.repeat(prompt[1:], len(answers), 0)
    logp = jax.jit(functools.partial(mechanism.answer_logp, s))(
      params, asked, answers
    )
    want = np.exp(logp).reshape(-1, 3, 2).sum((0, 2))
    np.testing.assert_allclose(got[1, :3], want, atol=1e-5)
    # One of them a token at a time.
    length = int(leads.length[-1]) + 1
    one = said(params, s, prompt[1].tolist(), answers[-1, :length].tolist())
    self.assertAlmostEqual(float(jnp.exp(logp[-1])), one, places=5)

  def test_samples_are_as_frequent_as_the_mass(self):
    s, params = settings('chain'), drawn_params('chain')
    f = data.facts(s.world, 0)
    prompt = data.prompts(s.world, f, jnp.array([2]), jnp.array([1]))
    many = jnp.repeat(prompt, 3000, 0)
    drawn = jax.jit(functools.partial(mechanism.sample, s))(
      params, many, jax.random.key(3)
    )
    # All answers with values, those this world does not know as well.
    tree = tilt.conditionals(
      functools.partial(mechanism_measure.scores, s.model, params),
      prompt[0],
      vocab=s.model.vocab_size,
      length=s.world.answer,
    )
    every = tilt.answers(s.model.vocab_size, s.world.answer)
    want = tilt.push_forward(
      jnp.exp(tilt.joint(tree)), data.classes(s.world, every), 4
    )
    got = jax.nn.one_hot(data.classes(s.world, drawn), 4).mean(0)
    np.testing.assert_allclose(got, want, atol=0.03)


class TuningTest(parameterized.TestCase):
  def test_advantages_by_hand(self):
    got = mechanism.advantages(jnp.array([1.0, 0, 0, 1, 1, 1]), 3)
    third = 1 / 3
    np.testing.assert_allclose(
      got, [2 * third, -third, -third, 0, 0, 0], atol=1e-6
    )

  def test_reinforce_follows_the_gradient_of_the_expected_reward(self):
    s, params = (
      settings('chain', kind='reinforce', group=4),
      drawn_params('chain'),
    )
    f = data.facts(s.world, 0)
    batch = {k: jnp.array([v] * 1000) for k, v in (('entity', 2), ('way', 1))}

    def surrogate(params):
      loss, _ = mechanism._tuning_loss(
        s, f, None, params, batch, jax.random.key(0)
      )
      return loss.total / loss.count

    tree_of = functools.partial(
      tilt.conditionals,
      prompt=data.prompts(s.world, f, jnp.array([2]), jnp.array([1]))[0],
      vocab=s.model.vocab_size,
      length=s.world.answer,
    )
    every = tilt.answers(s.model.vocab_size, s.world.answer)
    hit = data.classes(s.world, every) == jnp.argmax(f.probs[2])

    def reward(params):
      tree = tree_of(
        functools.partial(mechanism_measure.scores, s.model, params)
      )
      return jnp.sum(jnp.where(hit, jnp.exp(tilt.joint(tree)), 0.0))

    def flat(tree):
      return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])

    got, want = (
      flat(jax.grad(surrogate)(params)),
      flat(jax.grad(reward)(params)),
    )
    cosine = -got @ want / np.linalg.norm(got) / np.linalg.norm(want)
    self.assertGreater(cosine, 0.95)
    # The mean of the group holds the answer itself: 3/4 of the gradient.
    self.assertAlmostEqual(-got @ want / (want @ want), 0.75, delta=0.1)

  def test_preference_by_hand(self):
    logp = jnp.array([[-1.0, -2.0, -0.5], [-1.0, -1.0, -1.0]])
    before = jnp.array([[-1.5, -1.0, -3.0], [-2.0, -1.0, -1.0]])
    good = jnp.array([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    got = mechanism.preference_loss(0.5, logp, before, good)
    # First good is the second answer, first bad the first; row two has no bad.
    want = -np.log(1 / (1 + np.exp(-0.5 * (-1.0 - 0.5))))
    self.assertEqual(float(got.count), 1.0)
    self.assertAlmostEqual(float(got.total), want, places=5)

  def test_what_does_not_fit_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'learn.kind must be one of'):
      mechanism.LearnConfig(kind='praise')
    with self.assertRaisesRegex(ValueError, 'divide learn.batch_size'):
      mechanism.LearnConfig(group=3)
    cfg = config.get_config('smoke').to_dict()
    cfg['learn']['kind'] = 'dpo'
    with self.assertRaisesRegex(ValueError, 'set --config.start'):
      mechanism.settings(cfg)


class TiltsTest(absltest.TestCase):
  def test_measured_is_the_formula_where_levels_are_even(self):
    # Two levels of 20 questions; the top one is class 1, then class 0.
    low = np.tile([0.2, 0.6, 0.2], (20, 1))
    high = np.tile([0.9, 0.06, 0.04], (20, 1))
    truth = np.concatenate(
      [
        np.tile([[0.5, 0.3, 0.2], [0.1, 0.7, 0.2]], (10, 1)),
        np.tile([[0.7, 0.3, 0.0]], (20, 1)),
      ]
    )
    pi = jnp.asarray(np.concatenate([low, high]), jnp.float32)
    got = mechanism_measure.tilts(pi, jnp.asarray(truth, jnp.float32), 2)
    np.testing.assert_allclose(
      got['tilt_fitted'],
      [0.0 - np.log(0.6 / 0.4), np.log(0.7 / 0.3) - np.log(0.9 / 0.1)],
      atol=1e-3,
    )
    want = 0.5 * (
      0.5 * np.log(0.5 / 0.6)
      + 0.5 * np.log(0.5 / 0.4)
      + 0.7 * np.log(0.7 / 0.9)
      + 0.3 * np.log(0.3 / 0.1)
    )
    self.assertAlmostEqual(float(got['gap_measured']), want, places=5)
    self.assertAlmostEqual(float(got['gap_formula']), want, places=5)
    self.assertAlmostEqual(float(got['slope']), 0.15, places=5)
    self.assertAlmostEqual(float(got['slope_formula']), 0.15, places=5)

  def test_a_model_that_is_the_truth_has_nothing_to_gain(self):
    s = settings()
    f = data.facts(s.world, 0)
    seen = mechanism_measure.view(
      s.model,
      s.world,
      f,
      0,
      mechanism_measure.MeasureConfig(ways=4, levels=2, draws=2),
    )
    seen = seen._replace(probs=lambda params, prompts: seen.truth)
    got = mechanism_measure.calibration(seen, None, jax.random.key(0))
    for name in ('gap_signed', 'smece_exact', 'gap_measured', 'slope'):
      self.assertAlmostEqual(got[name], 0.0, delta=1e-3, msg=name)
    self.assertAlmostEqual(got['accuracy_exact'], got['accuracy_best'])
    self.assertEqual(got['conf'].shape, (16,))
    self.assertEqual(int(seen.held_out.sum()), 4)  # one entity, four ways


class ClaimsTest(absltest.TestCase):
  def test_rank_correlation(self):
    x = np.array([1.0, 2, 3, 4, 4])
    # Ranks 0 1 2 3.5 3.5 and 1.5 0 1.5 3 4: by hand.
    y = np.array([5.0, 1, 5, 7, 9])
    a, b = np.array([0, 1, 2, 3.5, 3.5]) - 2, np.array([1.5, 0, 1.5, 3, 4]) - 2
    want = a @ b / np.sqrt((a @ a) * (b @ b))
    self.assertAlmostEqual(mechanism_claims.spearman(x, y), want)
    self.assertAlmostEqual(mechanism_claims.spearman(x, -(x**3)), -1.0)
    self.assertTrue(np.isnan(mechanism_claims.spearman(x, x * 0)))
    rho, low, high = mechanism_claims.interval(x, y)
    self.assertBetween(rho, low, high)

  def test_numbers_by_hand(self):
    direct = dict(smece=0.03, null=0.02, kl_lora=0.01, accuracy_exact=0.5)
    direct |= {'at_00002/smece': 0.2, 'at_00010/smece': 0.03}
    direct |= {'at_00002/kl_lora': 0.5, 'at_00010/kl_lora': 0.01}
    np.testing.assert_array_equal(
      mechanism_claims.path(direct, 'smece'), [0.2, 0.03]
    )
    chain = direct | {'kl_lora': 0.41}
    reward = dict(accuracy_exact=0.6, gap_signed=0.3, smece=0.3, null=0.01)
    summaries = {
      'direct': [direct, direct],
      'direct_measured': [direct, direct | {'smece': 0.05}],
      'chain_measured': [chain, chain],
      'reward': [reward, reward],
    }
    got = mechanism_claims.claims(summaries)
    for name, want in (
      (
        'i_direct: smECE of the worst checkpoint',
        [0.2] * 3,
      ),
      (
        'i_direct: smECE less its null floor at the end (about 0)',
        [0.02, 0.01, 0.03],
      ),
      ('iii_reward: accuracy gained (about 0)', [0.1] * 3),
      ('iv: KL gap of LoRA, chain less direct (> 0)', [0.4] * 3),
      ('v: Spearman of KL gap and smECE, direct (> 0)', [1.0] * 3),
    ):
      np.testing.assert_allclose(got[name], want, atol=1e-6, err_msg=name)
    # What no run has is no claim.
    self.assertNotIn('i_chain: accuracy that noise allows', got)


class PlotsTest(absltest.TestCase):
  def test_levels_are_tenths_in_the_order_of_confidence(self):
    conf = np.linspace(1.0, 0.0, 20)
    got = mechanism_plots.levels(conf, conf**2)
    by_hand = np.arange(20)[::2] / 19
    np.testing.assert_allclose(got[0], by_hand + 0.5 / 19)
    np.testing.assert_allclose(
      got[1], (by_hand**2 + (by_hand + 1 / 19) ** 2) / 2
    )


class ExperimentTest(parameterized.TestCase):
  """One short run, and what goes on from it."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
    cls.cfg = tiny_config()
    cls.summary = loop.run(
      mechanism.build(cls.cfg),
      loop.RunConfig(**cls.cfg['run']),
      cls.folder,
      full_config=cls.cfg,
      progress=False,
    )

  def test_every_checkpoint_is_measured(self):
    cfg = self.cfg | {'start': self.folder}
    test = mechanism_measure.build(cfg).final['test']
    with mesh_lib.use(mesh_lib.make(mesh_lib.MeshConfig())):
      found = test(None, jax.random.key(7))
    np.testing.assert_array_equal(found['step'], [2, 4])
    for key in ('confidence', 'accuracy_exact', 'smece_exact', 'loss'):
      # Measured again, from files; labels and probes have other keys.
      self.assertAlmostEqual(found[key], self.summary[key], places=5)
      self.assertEqual(found[key], found[f'at/{key}'][1])
      self.assertEqual(found[f'at_00002/{key}'], found[f'at/{key}'][0])
    self.assertLess(found['loss'], found['at_00002/loss'])
    self.assertLess(found['at_00002/loss'], found['untrained/loss'])
    self.assertAlmostEqual(
      found['ce_lora'], found['entropy'] + found['kl_lora'], places=5
    )
    scalars = {k: v for k, v in found.items() if not np.ndim(v)}
    claims = mechanism_claims.claims({'direct_measured': [scalars]})
    self.assertTrue(any(name.startswith('i_direct') for name in claims))
    self.assertTrue(any(name.startswith('v: ') for name in claims))

  @parameterized.parameters(*mechanism.KINDS)
  def test_tuning_begins_where_training_ended(self, kind):
    cfg = tiny_config() | {'start': self.folder}
    cfg['learn'] |= {'kind': kind}
    made = mechanism.build(cfg)
    shapes = jax.eval_shape(made.init, jax.random.key(0))
    where = jax.tree.map(
      lambda _: jax.local_devices()[0], mesh_lib.unbox(shapes.params)
    )
    params = made.load(None, where)
    with checkpoint.Checkpoints(self.folder, keep=None) as checkpoints:
      saved = checkpoints.restore_anything(4)['params']
    jax.tree.map(np.testing.assert_array_equal, params, dict(saved))
    batch = next(iter(made.train_data()))
    group = 1 if kind == 'cross_entropy' else 4
    self.assertLen(batch['entity'], 16 // group)
    state, metrics = jax.eval_shape(
      made.step, mesh_lib.unbox(shapes), batch, jax.random.key(0)
    )
    self.assertEqual(
      jax.tree.structure(state), jax.tree.structure(mesh_lib.unbox(shapes))
    )
    self.assertEqual('reward' in metrics, group > 1)

  def test_measuring_needs_a_run(self):
    cfg = tiny_config() | {'start': '/nowhere'}
    with self.assertRaisesRegex(FileNotFoundError, 'set --config.start'):
      mechanism_measure.build(cfg)


if __name__ == '__main__':
  absltest.main()
