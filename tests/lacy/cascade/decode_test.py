"""Oracles O8, O9, O12 of docs/papers/lacy.md: decoding in a cascade."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lacy.cascade import decode as cascade
from lm import tokenizer as tokenizer_lib
from lm import transformer
from lm.decoding import reader as readers

SCORES = [0.50, 0.10, 0.90, 0.20, 0.80, 0.30, 0.70, 0.95, 0.40, 0.60]
TEXTS = [
  'Marie Curie was born in Warsaw in 1867 and left Warsaw in 1891.',
  'Earl \u2013 1751: na\u00efve caf\u00e9, \u6771\u4eac, \U0001f9ea.',
] * 4


class RunningQuantileTest(parameterized.TestCase):
  def test_o8_stream(self):
    rule = cascade.RunningQuantile(0.3)
    calls = [int(rule.observe(c)) for c in SCORES]
    self.assertEqual(calls, [1, 0, 1, 0, 1, 0, 1, 1, 0, 0])

  def test_o8_first_three_only_seed(self):
    rule = cascade.RunningQuantile(0.3, SCORES[:3])
    calls = [int(rule.observe(c)) for c in SCORES[3:]]
    self.assertEqual(calls, [0, 1, 0, 1, 1, 0, 0])

  @parameterized.parameters((0.0, 0), (1.0, 10))
  def test_limits(self, beta, calls):
    rule = cascade.RunningQuantile(beta)
    self.assertEqual(sum(rule.observe(c) for c in SCORES), calls)

  def test_rate_follows_the_budget_on_a_long_stream(self):
    rng = np.random.default_rng(0)
    rule = cascade.RunningQuantile(0.22, rng.normal(size=500))
    rate = np.mean([rule.observe(c) for c in rng.normal(size=4000)])
    self.assertAlmostEqual(rate, 0.22, delta=0.02)

  def test_refuses_a_budget_outside_01(self):
    with self.assertRaisesRegex(ValueError, 'lacy.beta'):
      cascade.RunningQuantile(22)


class Letters:
  """A tokenizer of single letters."""

  bos_id, eos_id = 0, 1

  def encode(self, text):
    return [ord(c) for c in text]

  def decode(self, ids):
    return ''.join(chr(i) for i in ids if i > 1)


def scripted(script):
  """A small model that scores and writes from a list, decision by decision."""
  steps = iter(script)
  return lambda ids: cascade.Reading(*next(steps))


class GenerateTest(parameterized.TestCase):
  def test_o9_call_rates(self):
    # Calls (score 1) at decisions 3 and 7; the partner writes 1 and 4 tokens.
    script = [(1.0 if i in (2, 6) else 0.0, ord('a')) for i in range(10)]
    pieces = iter(['X', 'WXYZ'])
    rule = cascade.RunningQuantile(0.5, [0.5] * 100 + [0.6] * 100)
    out = cascade.generate(
      scripted(script),
      lambda text: next(pieces),
      Letters(),
      'Q',
      rule,
      max_decisions=10,
    )
    self.assertEqual(out.text, 'QaaXaaaWXYZaaa')
    self.assertEqual(out.spans, [(3, 4), (7, 11)])
    self.assertAlmostEqual(out.call_decision_rate, 0.20)
    self.assertEqual((out.delegated, out.tokens), (5, 13))
    self.assertAlmostEqual(out.delegated_token_fraction, 5 / 13)

  def test_end_of_text_by_either_ends_it(self):
    script = [(0.0, ord('a')), (0.0, Letters.eos_id), (0.0, ord('b'))]
    rule = cascade.RunningQuantile(0.0)
    out = cascade.generate(
      scripted(script), None, Letters(), '', rule, max_decisions=9
    )
    self.assertEqual((out.text, out.decisions), ('a', 2))
    out = cascade.generate(
      scripted(script),
      lambda text: '',
      Letters(),
      '',
      cascade.RunningQuantile(1.0),
      max_decisions=9,
    )
    self.assertEqual((out.text, out.calls), ('', 1))

  def test_a_partner_may_change_how_earlier_text_is_encoded(self):
    seen = []

    class Pairs(Letters):
      def encode(self, text):
        pairs = text.replace('ab', chr(500))
        return [ord(c) for c in pairs]

      def decode(self, ids):
        return super().decode(ids).replace(chr(500), 'ab')

    def read(ids):
      seen.append(list(ids))
      return cascade.Reading(1.0 if len(seen) == 2 else 0.0, ord('a'))

    rule = cascade.RunningQuantile(0.5, [0.5, 0.6])
    out = cascade.generate(
      read, lambda text: 'bc', Pairs(), 'q', rule, max_decisions=3
    )
    self.assertEqual(out.text, 'qabca')
    self.assertEqual(seen[1], [0, ord('q'), ord('a')])
    self.assertEqual(seen[2], [0, ord('q'), 500, ord('c')])


class ModelCascadeTest(parameterized.TestCase):
  """O12 with a real (random) model and a real tokenizer."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.tokenizer = tokenizer_lib.Tokenizer.train(TEXTS, vocab_size=300)
    cls.config = transformer.TransformerConfig(
      vocab_size=cls.tokenizer.vocab_size,
      layers=2,
      width=16,
      heads=2,
      mlp_width=24,
    )

  def reader(self, seed):
    model = transformer.Transformer(self.config)
    tokens = jnp.zeros((1, 2), jnp.int32)
    params = nn.unbox(model.init(jax.random.key(seed), tokens)['params'])
    params = jax.tree.map(lambda p: 6 * p, params)  # decided, not uniform
    reader = readers.Reader(self.config, params, size=96)
    return cascade.call_reader(reader.read, self.tokenizer.call_id), reader

  def generate(self, read, partner, beta, prompt='Marie'):
    return cascade.generate(
      read,
      partner,
      self.tokenizer,
      prompt,
      cascade.RunningQuantile(beta),
      max_decisions=12,
    ).text

  def test_o12_itself_as_partner_is_plain_greedy(self):
    read, _ = self.reader(0)
    twin, _ = self.reader(0)
    partner = cascade.greedy_partner(twin, self.tokenizer)
    plain = self.generate(read, None, 0.0)
    self.assertGreater(len(plain), len('Marie'))
    for beta in (0.3, 0.7):
      # A piece is whole characters, so compare the common length.
      text = self.generate(read, partner, beta)
      length = min(len(text), len(plain))
      self.assertEqual(text[:length], plain[:length])

  def test_o12_limits_are_either_model_alone(self):
    small, _ = self.reader(0)
    large, _ = self.reader(1)
    partner = cascade.greedy_partner(large, self.tokenizer)
    alone = self.generate(small, None, 0.0)
    self.assertEqual(self.generate(small, partner, 0.0), alone)
    text = 'Marie'
    for _ in range(12):
      text += partner(text)
    self.assertEqual(self.generate(small, partner, 1.0), text)
    self.assertNotEqual(text, alone)

  def test_the_cache_keeps_what_did_not_change(self):
    _, reader = self.reader(0)
    ids = self.tokenizer.encode(TEXTS[0])[:20]
    full = readers.Reader(self.config, reader._params, size=96)
    reader.read(ids[:10])
    self.assertEqual(reader.tokens_run, 10)
    reader.read(ids[:12])
    self.assertEqual(reader.tokens_run, 12)
    changed = [*ids[:9], 5, 6, 7]
    got = reader.read(changed)
    self.assertEqual(reader.tokens_run, 15)
    np.testing.assert_allclose(got, full.read(changed), atol=1e-4)
    reader.read(changed[:4])  # shorter: only its last id runs again
    self.assertEqual(reader.tokens_run, 16)

  def test_refuses_more_than_it_has_room_for(self):
    _, reader = self.reader(0)
    with self.assertRaisesRegex(ValueError, '1 to 96 ids'):
      reader.read([1] * 97)


if __name__ == '__main__':
  absltest.main()
