"""Prompts that share a beginning are answered as each would be alone."""

import dataclasses
import functools

import jax
import numpy as np
from absl.testing import absltest, parameterized

from lm import transformer
from lm.decoding import generate, prefix_cache
from tests.lm import tiny

SMALL = transformer.TransformerConfig(
  vocab_size=31, layers=2, width=16, heads=4, kv_heads=2, mlp_width=24
)


def prompts_of(shared, count=7):
  rng = np.random.default_rng(shared)
  first = rng.integers(1, 31, shared).tolist()
  return [
    first + rng.integers(1, 31, 1 + 3 * (i % 4)).tolist() for i in range(count)
  ]


class CommonTest(absltest.TestCase):
  def test_is_a_multiple_of_sixteen_and_leaves_a_token(self):
    self.assertEqual(prefix_cache.common(prompts_of(40)), 32)
    self.assertEqual(prefix_cache.common([list(range(16))] * 2), 0)
    self.assertEqual(prefix_cache.common([list(range(17))] * 2), 16)
    self.assertEqual(prefix_cache.common([[1, 2], [1, 3]]), 0)
    longer = [[*range(40)], [*range(40), 1]]
    self.assertEqual(prefix_cache.common(longer), 32)
    # Not only the first and the last of them count.
    three = [[*range(16), i, *range(20)] for i in (5, 1, 9)]
    three[1][3] = 30
    self.assertEqual(prefix_cache.common(three), 0)


class GreedyTest(parameterized.TestCase):
  @parameterized.parameters(
    (0, False, 3), (5, False, 3), (40, False, 8), (40, True, 3), (0, True, 8)
  )
  def test_as_each_alone(self, shared, scan, batch):
    config = dataclasses.replace(SMALL, scan_layers=scan)
    params = tiny.params(config)
    prompts = prompts_of(shared)
    found = prefix_cache.greedy(
      config, params, prompts, max_new_tokens=6, batch=batch
    )
    lengths = set()
    for prompt, answer in zip(prompts, found, strict=True):
      self.assertEqual(answer, tiny.greedy(config, params, prompt, 6))
      lengths.add(tuple(answer))
    self.assertGreater(len(lengths), 3)

  def test_stops_after_a_stop(self):
    params = tiny.params(SMALL)
    prompts = prompts_of(40)
    answer = functools.partial(
      prefix_cache.greedy, SMALL, params, prompts, max_new_tokens=6, batch=8
    )
    whole = answer()
    stop = whole[0][2]
    cut = answer(stop=(stop,))
    for answer, short in zip(whole, cut, strict=True):
      end = answer.index(stop) + 1 if stop in answer else len(answer)
      self.assertEqual(short, answer[:end])
    self.assertLess(len(cut[0]), 6)

  def test_nothing_to_answer(self):
    params = tiny.params(SMALL)
    self.assertEqual(
      prefix_cache.greedy(SMALL, params, [], max_new_tokens=3), []
    )
    with self.assertRaisesRegex(ValueError, 'at least one token'):
      prefix_cache.greedy(SMALL, params, [[1], []], max_new_tokens=3)


class SampleTest(parameterized.TestCase):
  @parameterized.parameters((0, False, 8), (40, True, 2))
  def test_draws_what_each_would_alone(self, shared, scan, batch):
    config = dataclasses.replace(SMALL, scan_layers=scan)
    params = tiny.params(config)
    prompts = prompts_of(shared, count=5)
    keys = jax.random.split(jax.random.key(1), 5)
    found = prefix_cache.sample(
      config,
      params,
      prompts,
      keys,
      max_new_tokens=6,
      num_samples=12,
      stop=(3, 7),
      batch=batch,
    )
    lengths = set()
    for prompt, key, mine in zip(prompts, keys, found, strict=True):
      alone = generate.sample(
        config,
        params,
        [prompt],
        key[None],
        max_new_tokens=6,
        num_samples=12,
        stop=(3, 7),
      )
      np.testing.assert_array_equal(mine.tokens, alone.tokens)
      np.testing.assert_allclose(mine.logprobs, alone.logprobs, atol=1e-4)
      lengths |= set(np.ravel(alone.lengths).tolist())
      self.assertIsNone(mine.entropies)
    self.assertGreater(len(lengths), 3)

  @parameterized.parameters(8, 24)
  def test_how_few_rows_a_batch_may_have_changes_nothing(self, fewest):
    params, prompts = tiny.params(SMALL), prompts_of(20, count=3)
    keys = jax.random.split(jax.random.key(2), 3)
    few, many = (
      prefix_cache.sample(
        SMALL,
        params,
        prompts,
        keys,
        max_new_tokens=9,
        num_samples=16,
        stop=(3, 7),
        entropy=True,
        fewest_rows=rows,
      )
      for rows in (fewest, 10_000)
    )
    for one, other in zip(few, many, strict=True):
      np.testing.assert_array_equal(one.tokens, other.tokens)
      np.testing.assert_allclose(one.entropies, other.entropies, atol=1e-4)

  def test_entropies_are_those_of_the_next_token(self):
    params, prompts = tiny.params(SMALL), prompts_of(20, count=2)
    keys = jax.random.split(jax.random.key(3), 2)
    found = prefix_cache.sample(
      SMALL,
      params,
      prompts,
      keys,
      max_new_tokens=4,
      temperature=0.0,
      stop=(3,),
      entropy=True,
    )
    for prompt, mine in zip(prompts, found, strict=True):
      for i in range(int(mine.lengths[0, 0])):
        read = [*prompt, *mine.tokens[0, 0, :i].tolist()]
        logp = tiny.log_softmax(tiny.logits(SMALL, params, read)[-1])
        self.assertAlmostEqual(
          float(mine.entropies[0, 0, i]),
          -np.sum(np.exp(logp) * logp),
          places=4,
        )
        self.assertEqual(int(mine.tokens[0, 0, i]), int(np.argmax(logp)))

  def test_shapes_of_more_prompts_change_nothing_and_must_hold_these(self):
    params, prompts = tiny.params(SMALL), prompts_of(40, count=4)
    keys = jax.random.split(jax.random.key(4), 4)
    draw = functools.partial(
      prefix_cache.sample, SMALL, params, max_new_tokens=5
    )
    plan = prefix_cache.plan(prompts)
    want = draw(prompts, keys)
    wide = plan._replace(
      shared=plan.shared - 16, room=plan.room + 64, width=plan.width + 24
    )
    for one, other in zip(draw(prompts, keys, shapes=wide), want, strict=True):
      np.testing.assert_array_equal(one.tokens, other.tokens)
    for bad in (
      plan._replace(room=plan.room - 16),
      plan._replace(width=plan.width - 8),
      plan._replace(shared=plan.shared + 16),
    ):
      with self.assertRaisesRegex(ValueError, 'shapes must hold these'):
        draw(prompts, keys, shapes=bad)

  def test_bad_prompts_are_refused(self):
    keys = jax.random.split(jax.random.key(0), 2)
    for prompts in ([[1], []], [[1]]):
      with self.assertRaisesRegex(ValueError, 'a key for each'):
        prefix_cache.sample(
          SMALL, tiny.params(SMALL), prompts, keys, max_new_tokens=2
        )
    self.assertEmpty(
      prefix_cache.sample(SMALL, {}, [], keys[:0], max_new_tokens=2)
    )


if __name__ == '__main__':
  absltest.main()
