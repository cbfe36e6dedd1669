"""The engine against each request drawn alone."""

import concurrent.futures
import threading
from unittest import mock

import flax
import jax
import numpy as np
from absl.testing import absltest, parameterized

from lm.decoding import continuous_batching, generate
from tests.lm import tiny


def requests(count: int):
  """Prompts and settings of every length that a few slots have to share."""
  rng = np.random.default_rng(0)
  for seed in range(count):
    prompt = rng.integers(0, 61, rng.integers(1, 24)).tolist()
    yield (
      prompt,
      dict(
        max_new_tokens=int(rng.integers(1, 14)),
        temperature=float(rng.choice([0.0, 0.7, 1.5])),
        top_p=float(rng.choice([1.0, 0.8])),
        seed=seed,
        stop=(3, 17),
      ),
    )


def alone(model, prompt, *, seed, temperature, max_new_tokens, **settings):
  # Longer than asked and cut, so that all compile once.
  out = generate.sample(
    model.config,
    model.params,
    [prompt],
    jax.random.key(seed)[None],
    temperature=np.float32(temperature),
    max_new_tokens=13,
    **settings,
  )
  length = min(int(out.lengths[0, 0]), max_new_tokens)
  return out.tokens[0, 0, :length].tolist(), out.logprobs[0, 0, :length]


class EngineTest(parameterized.TestCase):
  def engine(self, family='llama', *, slots=3, size=40, chunk=4, **fields):
    model = tiny.peer(family, **fields)
    engine = continuous_batching.Engine(
      model.config, model.params, slots=slots, size=size, chunk=chunk, top=2
    )
    return model, self.enter_context(engine)

  @parameterized.parameters(
    dict(family='llama', scan_layers=False),
    dict(family='llama', scan_layers=True),
    dict(family='llama', fused=True),
    dict(family='gemma3'),
  )
  def test_each_request_gets_what_it_gets_alone(self, **fields):
    # 30 requests of 1 to 36 positions go round a ring of 40 several times.
    _, engine = self.engine(**fields)
    # However the layers are laid out, as they are plainly.
    plain = tiny.peer(fields['family'])
    asked = list(requests(30))
    futures = [engine.submit(prompt, **s) for prompt, s in asked]
    finishes = set()
    for (prompt, settings), future in zip(asked, futures, strict=True):
      result = future.result(60)
      tokens, logprobs = alone(plain, prompt, **settings)
      self.assertEqual([t.id for t in result.tokens], tokens)
      np.testing.assert_allclose(
        [t.logprob for t in result.tokens], logprobs, atol=1e-4
      )
      ended = tokens[-1] in settings['stop']
      self.assertEqual(result.finish, 'stop' if ended else 'length')
      finishes.add(result.finish)
    self.assertEqual(finishes, {'stop', 'length'})

  def test_the_cache_grows_in_mid_decoding_and_shrinks_at_rest(self):
    # A step attends to every slot, so there are no more than are asked for.
    self.enter_context(
      mock.patch.object(continuous_batching, '_FEWEST_SLOTS', 16)
    )
    model, engine = self.engine(slots=2, size=100)
    sizes, later = [], []

    def look(token):
      del token
      if not sizes:
        later.append(engine.submit([7] * 40, max_new_tokens=9))
      sizes.append(engine.slots_of_cache)

    first = engine.submit(
      [5, 6], max_new_tokens=20, temperature=0.0, on_token=look
    )
    got = [token.id for token in first.result(60).tokens]
    self.assertEqual(got, tiny.greedy(model.config, model.params, [5, 6], 20))
    self.assertLen(later[0].result(60).tokens, 9)
    self.assertEqual((sizes[0], sizes[-1]), (32, 64))
    engine.submit([5], max_new_tokens=1).result(60)
    self.assertEqual(engine.slots_of_cache, 16)

  def test_alternatives_are_the_best_two(self):
    _, engine = self.engine()
    result = engine.submit([5, 6], max_new_tokens=4, temperature=0.0).result(60)
    for token in result.tokens:
      self.assertLen(token.top, 2)
      self.assertEqual(token.top[0][0], token.id)
      self.assertAlmostEqual(token.top[0][1], token.logprob, places=5)
      self.assertLess(token.top[1][1], token.top[0][1])

  def test_slots_stay_full(self):
    _, engine = self.engine(slots=2, chunk=8)
    lengths = [20, 1, 1, 1, 1]
    order = []
    futures = [
      engine.submit([1], max_new_tokens=n, temperature=0.0) for n in lengths
    ]
    for i, future in enumerate(futures):
      future.add_done_callback(lambda _, i=i: order.append(i))
    concurrent.futures.wait(futures, 60)
    # The four short ones pass through one slot while the long one runs.
    self.assertEqual(order, [1, 2, 3, 4, 0])

  def test_tokens_stream_before_the_result(self):
    _, engine = self.engine()
    seen = []
    future = engine.submit(
      [7],
      max_new_tokens=6,
      on_token=lambda token: seen.append((token, future.done())),
    )
    tokens = future.result(60).tokens
    self.assertEqual([token for token, _ in seen], tokens)
    self.assertFalse(any(done for _, done in seen))

  def test_cancelled_requests_free_their_slot(self):
    _, engine = self.engine(slots=1, size=100_000)
    started = threading.Event()
    long = engine.submit(
      [1], max_new_tokens=99_000, on_token=lambda _: started.set()
    )
    waiting = engine.submit([2], max_new_tokens=99_000)
    last = engine.submit([3], max_new_tokens=1)
    self.assertTrue(started.wait(60))
    for future in (long, waiting, long):
      engine.cancel(future)
    # Long before the first would have ended.
    self.assertLen(last.result(20).tokens, 1)
    self.assertTrue(long.cancelled() and waiting.cancelled())

  def test_what_a_caller_raises_ends_its_request_alone(self):
    _, engine = self.engine(slots=1, size=100_000)

    def broken(token):
      raise OSError('gone')

    bad = engine.submit([1], max_new_tokens=20, on_token=broken)
    good = engine.submit([1], max_new_tokens=2)
    with self.assertRaisesRegex(OSError, 'gone'):
      bad.result(60)
    self.assertLen(good.result(60).tokens, 2)

  def test_closing_cancels(self):
    model = tiny.peer()
    engine = continuous_batching.Engine(
      model.config, model.params, slots=1, size=100_000, chunk=4, top=2
    )
    with self.assertRaisesRegex(RuntimeError, 'enter its context'):
      engine.submit([1], max_new_tokens=1)
    with engine:
      future = engine.submit([1], max_new_tokens=3900)
    self.assertTrue(future.cancelled())
    with self.assertRaisesRegex(RuntimeError, 'not running'):
      engine.submit([1], max_new_tokens=1)

  def test_bad_requests(self):
    _, engine = self.engine()
    for prompt, settings, message in (
      ([], dict(max_new_tokens=1), 'at least one token'),
      ([1], dict(max_new_tokens=0), 'at least 1, got 1 and 0'),
      ([1] * 30, dict(max_new_tokens=11), '30 and 11 .* than the 40'),
      ([1], dict(max_new_tokens=1, temperature=-1.0), 'not be negative'),
      ([1], dict(max_new_tokens=1, temperature=float('nan')), 'negative'),
      ([1], dict(max_new_tokens=1, top_p=0.0), r'\(0, 1\], got 1.0 and 0.0'),
      ([1], dict(max_new_tokens=1, stop=range(17)), 'at most 16'),
    ):
      with self.subTest(message), self.assertRaisesRegex(ValueError, message):
        engine.submit(prompt, **settings)
    # All of the engine's size can be used.
    full = engine.submit([1] * 30, max_new_tokens=10)
    self.assertLen(full.result(60).tokens, 10)

  def test_a_failure_reaches_every_caller(self):
    _, engine = self.engine(slots=1)
    engine._model = (engine._model[0], {})
    futures = [engine.submit([1], max_new_tokens=2) for _ in range(2)]
    for future in futures:
      with self.assertRaises(flax.errors.ScopeCollectionNotFound):
        future.result(60)
    with self.assertRaisesRegex(RuntimeError, 'not running'):
      engine.submit([1], max_new_tokens=1)


if __name__ == '__main__':
  absltest.main()
