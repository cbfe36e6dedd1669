"""Scores, choices and hidden states against one full pass a sequence."""

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lm.decoding import scoring
from tests.lm import tiny

PROMPTS = ([7], [1, 2, 3, 4, 5, 6, 7, 8], list(range(20, 37)), [60, 0, 9])
# The first and the last differ in number and share a pass; the second has one.
OPTIONS = (
  [[3], [4, 5], [7]],
  [[9, 8, 7, 6, 5]],
  [],
  [[1], [60, 60], [2, 3, 4], [1]],
)


def logp_of(model, ids):
  return tiny.log_softmax(tiny.logits(model.config, model.params, ids))


class ScoreTest(parameterized.TestCase):
  @parameterized.parameters(
    ('llama', 1, False),
    ('llama', 3, True),
    ('qwen2', 32, False),
    ('gemma3', 3, False),
    ('gemma3', 32, True),
  )
  def test_equals_a_full_pass_a_sequence(self, family, batch, scan):
    model = tiny.peer(family, scan_layers=scan)
    got = scoring.score(
      model.config, model.params, PROMPTS, OPTIONS, batch=batch
    )
    for prompt, options, scores in zip(PROMPTS, OPTIONS, got, strict=True):
      self.assertLen(scores, len(options))
      for option, score in zip(options, scores, strict=True):
        logp = logp_of(model, [*prompt, *option])
        want = [
          logp[len(prompt) + i - 1, token] for i, token in enumerate(option)
        ]
        np.testing.assert_allclose(score.logprobs, want, atol=2e-5)
        self.assertAlmostEqual(score.total, sum(want), places=4)

  def test_all_two_token_continuations_have_mass_one(self):
    model = tiny.peer()
    v = model.config.vocab_size
    pairs = [[i, j] for i in range(v) for j in range(v)]
    [scores] = scoring.score(model.config, model.params, [[5, 6]], [pairs])
    self.assertAlmostEqual(
      np.exp([s.total for s in scores]).sum(), 1.0, places=4
    )

  def test_bad_input(self):
    model = tiny.peer()
    for prompts, options, message in (
      ([[1], []], [[[1]], [[1]]], 'prompt 1 is empty'),
      ([[1]], [[[1], []]], 'prompt 0 has an empty one'),
      ([[1]], [], 'each of 1 prompts, came 0'),
    ):
      with self.assertRaisesRegex(ValueError, message):
        scoring.score(model.config, model.params, prompts, options)
    with self.assertRaisesRegex(ValueError, 'batch must be at least 1'):
      scoring.score(model.config, model.params, [[1]], [[[1]]], batch=0)


class ChoiceProbsTest(absltest.TestCase):
  def test_mass_of_spellings_renormalised(self):
    model = tiny.peer()
    choices = [[3, 4], [10], [60, 0, 60]]
    got = scoring.choice_probs(model.config, model.params, PROMPTS, choices)
    for row, prompt in enumerate(PROMPTS):
      p = np.exp(logp_of(model, prompt)[-1])
      mass = np.array([p[3] + p[4], p[10], p[60] + p[0]])
      np.testing.assert_allclose(got.probs[row], mass / mass.sum(), rtol=1e-4)
      self.assertAlmostEqual(got.outside[row], 1 - mass.sum(), places=5)

  def test_bad_input(self):
    model = tiny.peer()
    with self.assertRaisesRegex(ValueError, 'option 1 has none'):
      scoring.choice_probs(model.config, model.params, [[1]], [[1], []])
    with self.assertRaisesRegex(ValueError, 'token 2 .* options 0 and 1'):
      scoring.choice_probs(model.config, model.params, [[1]], [[1, 2], [2]])

  def test_spellings(self):
    vocab = {'yes': 1, ' yes': 2, 'YES': 3, ' Yes': 4}

    def encode(text):
      return [vocab[text]] if text in vocab else [0, 0]

    self.assertEqual(scoring.spellings(encode, 'yes'), [1, 2, 3, 4])
    self.assertEqual(scoring.spellings(encode, 'no'), [])


class HiddenTest(parameterized.TestCase):
  @parameterized.parameters((1, False), (3, True), (32, False))
  def test_equals_a_full_pass_a_sequence(self, batch, scan):
    model = tiny.peer('qwen2', scan_layers=scan)
    positions = [[-1, 0], [3, -2], [16, 5], [0, 2]]
    layers = (0, 2, 1)
    seen = []
    for rows, states in scoring.hidden(
      model.config,
      model.params,
      PROMPTS,
      layers=layers,
      positions=positions,
      batch=batch,
    ):
      self.assertLessEqual(len(rows), batch)
      for row, state in zip(rows, states, strict=True):
        out = tiny.forward(
          model.config, model.params, tiny.padded(PROMPTS[row]), layers
        )
        for number, captured in enumerate(out.captured):
          whole = np.asarray(captured)[0, : len(PROMPTS[row])]
          np.testing.assert_allclose(
            state[number], whole[positions[row]], atol=1e-5
          )
        seen.append(row)
    self.assertCountEqual(seen, range(4))

  def test_only_what_is_asked_for_leaves_the_program(self):
    model = tiny.peer()
    tokens, where = jnp.zeros((4, 32), jnp.int32), jnp.zeros((4, 1), jnp.int32)
    compiled = scoring._hidden.lower(
      model.config, model.params, tokens, where, layers=(1,)
    ).compile()
    out = compiled.memory_analysis().output_size_in_bytes
    self.assertLessEqual(out, 4 * 1 * 1 * model.config.width * 4 + 64)

  def test_bad_input(self):
    model = tiny.peer()
    for positions, message in (
      ([[0]], 'each of 2 prompts, came 1'),
      ([[0], [0, 1]], 'as many positions'),
      ([[0], [2]], 'prompt 1 has 2 tokens, and no position 2'),
    ):
      with self.assertRaisesRegex(ValueError, message):
        list(
          scoring.hidden(
            model.config,
            model.params,
            [[1], [1, 2]],
            layers=(0,),
            positions=positions,
          )
        )


class CompiledOnceTest(absltest.TestCase):
  def test_lengths_within_a_bucket(self):
    model = tiny.peer()
    before = scoring._score._cache_size()
    for prompts in ([[1], [2]], [[1, 2, 3], [4] * 16]):
      options = [[[1]], [[*range(17)]]]
      scoring.score(model.config, model.params, prompts, options)
    self.assertEqual(scoring._score._cache_size() - before, 1)


if __name__ == '__main__':
  absltest.main()
