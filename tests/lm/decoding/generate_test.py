"""Batched sampling against one prompt at a time and no cache."""

import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lm import transformer
from lm.decoding import generate
from tests.lm import tiny

PROMPTS = ([7], [1, 2, 3, 4, 5, 6, 7, 8], list(range(20, 37)), [60, 0, 9])


def last_logits(model, ids):
  return tiny.logits(model.config, model.params, ids)[-1]


def greedy(model, ids, steps):
  return tiny.greedy(model.config, model.params, ids, steps)


def draw(model, prompts, key, **kwargs):
  return generate.sample(model.config, model.params, prompts, key, **kwargs)


class SampleTest(parameterized.TestCase):
  @parameterized.parameters(
    ('llama', False),
    ('llama', True),
    ('gemma3', False),
    ('gemma3', True),
    ('qwen2', False),
    ('qwen3', True),
  )
  def test_ragged_greedy_equals_one_by_one(self, family, scan_layers):
    model = tiny.peer(family, scan_layers=scan_layers)
    # 17 + 9 tokens are more than a bucket, and far more than Gemma's window.
    out = draw(
      model, PROMPTS, jax.random.key(0), max_new_tokens=9, temperature=0.0
    )
    plain = tiny.peer(family)
    for row, prompt in enumerate(PROMPTS):
      want = greedy(plain, prompt, 9)
      self.assertEqual(out.tokens[row, 0].tolist(), want, prompt)
      for step in (0, 4, 8):
        z = last_logits(plain, [*prompt, *want[:step]])
        self.assertAlmostEqual(
          float(out.logprobs[row, 0, step]),
          tiny.log_softmax(z)[want[step]],
          places=4,
        )

  @parameterized.parameters(('llama', False), ('gemma3', True))
  def test_samples_share_what_lies_beneath(self, family, scan_layers):
    model = tiny.peer(family, scan_layers=scan_layers)
    out = draw(
      model,
      PROMPTS,
      jax.random.key(0),
      max_new_tokens=9,
      temperature=0.0,
      num_samples=3,
    )
    for row, prompt in enumerate(PROMPTS):
      want = greedy(tiny.peer(family), prompt, 9)
      self.assertEqual(out.tokens[row].tolist(), [want] * 3, prompt)

  def test_a_prompt_draws_the_same_in_any_batch(self):
    model = tiny.peer()
    keys = jax.random.split(jax.random.key(3), len(PROMPTS))
    settings = dict(max_new_tokens=9, num_samples=3, temperature=1.5)
    whole = draw(model, PROMPTS, keys, **settings)
    for row, prompt in enumerate(PROMPTS):
      alone = draw(model, [prompt], keys[row : row + 1], **settings)
      self.assertEqual(whole.tokens[row].tolist(), alone.tokens[0].tolist())
    # Different samples, and different prompts, draw differently.
    self.assertNotEqual(
      whole.tokens[0, 0].tolist(), whole.tokens[0, 1].tolist()
    )
    prompts = [[5], [5], *PROMPTS[2:]]
    same = draw(model, prompts, jax.random.key(1), **settings)
    self.assertNotEqual(same.tokens[0].tolist(), same.tokens[1].tolist())

  def test_frequencies_of_two_tokens_follow_the_model(self):
    model = tiny.peer()
    count = 4000
    out = draw(
      model, [[7, 8]], jax.random.key(5), max_new_tokens=2, num_samples=count
    )
    first = out.tokens[0, :, 0]
    p = np.exp(tiny.log_softmax(last_logits(model, [7, 8])))
    got = np.bincount(first, minlength=61) / count
    self.assertLess(np.abs(got - p).max(), 4 * 0.5 / count**0.5)
    likely = int(p.argmax())
    second = np.asarray(out.tokens[0, :, 1])[np.asarray(first) == likely]
    p = np.exp(tiny.log_softmax(last_logits(model, [7, 8, likely])))
    got = np.bincount(second, minlength=61) / len(second)
    self.assertLess(np.abs(got - p).max(), 4 * 0.5 / len(second) ** 0.5)

  def test_stops(self):
    model = tiny.peer()
    free = [greedy(model, prompt, 9) for prompt in PROMPTS]
    stop = free[0][2]
    out = draw(
      model,
      PROMPTS,
      jax.random.key(0),
      max_new_tokens=9,
      temperature=0.0,
      stop=[stop, free[1][0]],
    )
    for row, whole in enumerate(free):
      ends = [i + 1 for i, t in enumerate(whole) if t in (stop, free[1][0])]
      length = min(ends, default=9)
      self.assertEqual(int(out.lengths[row, 0]), length)
      self.assertEqual(
        out.tokens[row, 0].tolist(), whole[:length] + [-1] * (9 - length)
      )
      self.assertFalse(np.any(out.logprobs[row, 0, length:]))

  @parameterized.parameters((40, 1), (8, 9), (16, 2))
  def test_finished_rows_leave_and_change_nothing(self, count, num_samples):
    model = tiny.peer()
    # Most stop early: of 40 rows 16, then 8 are at work.
    prompts = [[i] for i in range(count)]
    settings = dict(
      max_new_tokens=30,
      temperature=1.0,
      stop=range(0, 61, 9),
      num_samples=num_samples,
    )
    keys = jax.random.split(jax.random.key(4), count)
    sizes = []
    run = generate._run

    def watched(config, params, state, *args, **kwargs):
      sizes.append(state.tokens.shape[0])
      return run(config, params, state, *args, **kwargs)

    with mock.patch.object(generate, '_run', watched):
      whole = draw(model, prompts, keys, **settings)
    self.assertEqual(sizes[0], count * num_samples)
    self.assertLessEqual(sizes[-1], 16)
    self.assertEqual(sizes, sorted(sizes, reverse=True))
    for row in range(0, count, 3):
      alone = draw(
        model, prompts[row : row + 1], keys[row : row + 1], **settings
      )
      self.assertEqual(whole.tokens[row].tolist(), alone.tokens[0].tolist())
      self.assertEqual(int(whole.lengths[row, 0]), int(alone.lengths[0, 0]))
      np.testing.assert_allclose(
        whole.logprobs[row], alone.logprobs[0], atol=1e-4
      )

  def test_greedy_is_temperature_zero(self):
    model = tiny.peer()
    out = generate.greedy(model.config, model.params, PROMPTS, max_new_tokens=9)
    for row, prompt in enumerate(PROMPTS):
      self.assertEqual(out.tokens[row, 0].tolist(), greedy(model, prompt, 9))

  def test_temperature_by_prompt_and_step(self):
    model = tiny.peer()
    heat = np.full((2, 6), 3.0)
    heat[0] = 0.0
    heat[1, 2:] = 0.0
    out = draw(
      model,
      [[7], [9, 8]],
      jax.random.key(2),
      max_new_tokens=6,
      temperature=heat,
      num_samples=5,
    )
    for sample in range(5):
      self.assertEqual(out.tokens[0, sample].tolist(), greedy(model, [7], 6))
      row = out.tokens[1, sample].tolist()
      self.assertEqual(row[2:], greedy(model, [9, 8, *row[:2]], 4))
    self.assertGreater(len({tuple(r[:2]) for r in out.tokens[1].tolist()}), 1)

  def test_process_changes_what_is_drawn_but_not_its_probability(self):
    model = tiny.peer()

    def only_even(logits, step, tokens):
      del step, tokens
      odd = jnp.arange(logits.shape[-1]) % 2 == 1
      return jnp.where(odd, -jnp.inf, logits)

    out = draw(
      model,
      [[7]],
      jax.random.key(0),
      max_new_tokens=3,
      num_samples=50,
      process=only_even,
    )
    self.assertFalse(np.any(np.asarray(out.tokens) % 2))
    logp = tiny.log_softmax(last_logits(model, [7]))
    np.testing.assert_allclose(
      out.logprobs[0, :, 0], logp[out.tokens[0, :, 0]], atol=1e-4
    )

  def test_lengths_within_a_bucket_compile_once(self):
    model = tiny.peer()
    before = generate._run._cache_size()
    for prompt in ([1], [1, 2, 3], list(range(16))):
      draw(model, [prompt], jax.random.key(0), max_new_tokens=11)
    self.assertEqual(generate._run._cache_size() - before, 1)

  def test_a_call_copies_no_weights(self):
    config = transformer.TransformerConfig(
      vocab_size=16384,
      layers=1,
      width=128,
      heads=2,
      mlp_width=2048,
      fused=True,
      dtype='bfloat16',
    )
    half = jax.tree.map(
      lambda a: jax.ShapeDtypeStruct(a.shape, jnp.bfloat16),
      tiny.abstract(config),
    )
    state, base = jax.eval_shape(
      functools.partial(generate._begin, config, num_samples=1),
      half,
      jnp.zeros((2, 16), jnp.int32),
      jnp.zeros(2, jnp.int32),
      jax.random.key(0),
      jnp.zeros((2, 4)),
    )
    run = generate._run.lower(
      config,
      half,
      state,
      np.int32(0),
      base,
      top_k=0,
      top_p=1.0,
      stop=(),
      process=None,
    )
    # Logits of two rows come to 128 KiB, the smallest kernel of the MLP to 512.
    temporary = run.compile().memory_analysis().temp_size_in_bytes
    self.assertLess(temporary, 2**19)

  def test_bad_input(self):
    model = tiny.peer()
    with self.assertRaisesRegex(ValueError, r'at least one token.*\[1, 0\]'):
      draw(model, [[1], []], jax.random.key(0), max_new_tokens=2)
    for steps, count in ((0, 1), (2, 0)):
      with self.assertRaisesRegex(ValueError, f'got {steps} and {count}'):
        draw(
          model,
          [[1]],
          jax.random.key(0),
          max_new_tokens=steps,
          num_samples=count,
        )
    with self.assertRaisesRegex(ValueError, r'one number, \[1\] or \[1, 2\]'):
      draw(
        model,
        [[1]],
        jax.random.key(0),
        max_new_tokens=2,
        temperature=np.ones(3),
      )


if __name__ == '__main__':
  absltest.main()
