"""Oracles O8, O9, O12 of docs/papers/lacy.md: decoding in a cascade."""

import numpy as np
import tokenizers
from absl.testing import absltest, parameterized
from tokenizers import decoders, models, pre_tokenizers

from lacy.cascade import decode as cascade
from lm import tokenizer as tokenizer_lib
from lm import transformer
from lm.checkpoints import extend
from lm.decoding import reader as readers
from tests import files
from tests.lacy import support

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


class Bytes:
  """A tokenizer of UTF-8 bytes."""

  bos_id, eos_id = 256, 257

  def encode(self, text):
    return list(text.encode())

  def decode(self, ids):
    return bytes(i for i in ids if i < 256).decode(errors='replace')


def spaced(*words):
  """A tokenizer like Llama 2's: a space opens a word, unknown is bytes.

  What it decodes loses the space that it begins with.
  """
  pieces = ['<unk>', '<s>', '</s>', *(f'<0x{i:02X}>' for i in range(256))]
  letters = sorted(set(''.join(words)) | {'\u2581'})
  vocab = {piece: i for i, piece in enumerate([*pieces, *letters])}
  merges = []
  for word in words:
    whole = '\u2581'
    for letter in word:
      merges.append((whole, letter))
      whole += letter
      vocab.setdefault(whole, len(vocab))
  core = tokenizers.Tokenizer(
    models.BPE(vocab, merges, unk_token='<unk>', byte_fallback=True)
  )
  core.pre_tokenizer = pre_tokenizers.Metaspace()
  core.decoder = decoders.Sequence(
    [
      decoders.Replace('\u2581', ' '),
      decoders.ByteFallback(),
      decoders.Fuse(),
      decoders.Strip(' ', 1, 0),
    ]
  )
  core.add_special_tokens(list(tokenizer_lib.SPECIALS))
  return tokenizer_lib.Tokenizer(core)


class SpacedTest(parameterized.TestCase):
  """Tokenizers in the style of SentencePiece."""

  def setUp(self):
    super().setUp()
    self.tokenizer = spaced('she', 'was', 'born', 'in')

  def test_a_text_comes_back(self):
    for text in ('she was born in', 'she in \u6771\u4eac'):
      ids = self.tokenizer.encode(text)
      self.assertEqual(self.tokenizer.decode(ids), text)

  @parameterized.parameters('she was born in', 'she in \u6771\u4eac was')
  def test_the_spaces_between_words_stay(self, text):
    ids = self.tokenizer.encode(text)[1:]
    out = cascade.generate(
      scripted([(0.0, i) for i in ids]),
      None,
      self.tokenizer,
      'she',
      cascade.RunningQuantile(0.0),
      max_decisions=len(ids),
    )
    self.assertEqual(out.text, text)
    self.assertEqual(out.counts().tokens, len(ids))

  def test_a_partner_writes_its_spaces_too(self):
    ids = self.tokenizer.encode('she was')
    partner = cascade.greedy_partner(scripted([(0.0, ids[-1])]), self.tokenizer)
    self.assertEqual(partner('she'), ' was')

  def test_tokens_belong_to_whom_wrote_their_first_character(self):
    ids = self.tokenizer.encode('she was \u6771 in')
    was, *city, within = ids[1:]
    self.assertGreater(len(city), 2)  # a space and the bytes
    script = [(0.0, was), (1.0, 0), (0.0, within)]
    out = cascade.generate(
      scripted(script),
      lambda text: ' \u6771',
      self.tokenizer,
      'she',
      cascade.RunningQuantile(0.5, [0.5, 0.6]),
      max_decisions=3,
    )
    self.assertEqual(out.text, 'she was \u6771 in')
    got = out.counts()
    self.assertEqual((got.delegated, got.tokens), (len(city), len(city) + 2))


class ReaderTest(parameterized.TestCase):
  """Of the logits 3, 1, CALL 2, 0, and two rows that no token has."""

  LOGITS = np.array([3.0, 1.0, 2.0, 0.0, 5.0, 4.0])

  def read(self, make):
    return make(lambda ids: self.LOGITS, 2, 4)([0])

  def test_a_row_without_a_token_is_never_written(self):
    for make in (cascade.call_reader, cascade.uncertainty_reader):
      self.assertEqual(self.read(make).token, 0)

  def test_calls_follow_the_odds_of_call(self):
    p = np.exp(self.LOGITS) / np.exp(self.LOGITS).sum()
    got = self.read(cascade.call_reader).score
    self.assertAlmostEqual(got, np.log(p[2] / (1 - p[2])))

  def test_calls_follow_doubt(self):
    rest = np.delete(self.LOGITS, 2)
    p = np.exp(rest) / np.exp(rest).sum()
    got = self.read(cascade.uncertainty_reader).score
    self.assertAlmostEqual(got, -np.log(p[0]))
    sure = cascade.uncertainty_reader(lambda ids: 9 * self.LOGITS[:4], 2, 4)
    self.assertLess(sure([0]).score, got)


class GenerateTest(parameterized.TestCase):
  def test_an_id_that_adds_no_text_ends_it(self):
    # The text would stay the same, and so would every decision after it.
    script = [(0.0, ord('a')), (0.0, Letters.bos_id), (0.0, ord('b'))]
    out = cascade.generate(
      scripted(script),
      None,
      Letters(),
      'q',
      cascade.RunningQuantile(0.0),
      max_decisions=9,
    )
    self.assertEqual((out.text, out.counts().decisions), ('qa', 2))

  def test_a_stop_id_of_a_checkpoint_ends_the_text(self):
    tokenizer = extend.tokenizer(files.TOKENS)
    stop = tokenizer._core.token_to_id('<|im_end|>')
    (a,) = tokenizer.encode('a')
    for script in ([a, stop, a], [tokenizer.encode('\u6771')[0], stop, a]):
      out = cascade.generate(
        scripted([(0.0, i) for i in script]),
        None,
        tokenizer,
        'a',
        cascade.RunningQuantile(0.0),
        max_decisions=3,
      )
      self.assertEqual(out.text, 'aa' if script[0] == a else 'a')
      self.assertEqual(out.counts().decisions, 2)

  def test_nobody_is_called_in_the_middle_of_a_character(self):
    first, second = '\u00e9'.encode()
    out = cascade.generate(
      scripted([(0.0, first), (1.0, second), (1.0, 0)]),
      lambda text: f'<{text}>',
      Bytes(),
      'x',
      cascade.RunningQuantile(0.5, [0.5, 0.6]),
      max_decisions=3,
    )
    self.assertEqual(out.text, 'x\u00e9<x\u00e9>')
    self.assertEqual(out.counts().calls, 1)

  def test_counts_of_the_beginning_of_a_text(self):
    # Written: a, then XY by the partner, then b, and the end.
    script = [(0.0, ord('a')), (1.0, 0), (0.0, ord('b')), (0.0, 1)]
    out = cascade.generate(
      scripted(script),
      lambda text: 'XY',
      Letters(),
      'q',
      cascade.RunningQuantile(0.5, [0.5, 0.6]),
      max_decisions=9,
    )
    self.assertEqual(out.text, 'qaXYb')
    for end, want in (
      (2, (0, 1, 0, 1)),  # a alone
      (3, (1, 2, 1, 2)),  # and the call, whose second letter is left out
      (4, (1, 2, 2, 3)),
      (5, (1, 4, 2, 4)),  # all of it, and the decision to end
    ):
      self.assertEqual(out.counts(end), want, end)
    self.assertEqual(out.counts(), out.counts(5))

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
    got = out.counts()
    self.assertEqual((got.delegated, got.tokens), (5, 13))
    self.assertAlmostEqual(out.delegated_token_fraction, 5 / 13)

  def test_end_of_text_by_either_ends_it(self):
    script = [(0.0, ord('a')), (0.0, Letters.eos_id), (0.0, ord('b'))]
    rule = cascade.RunningQuantile(0.0)
    out = cascade.generate(
      scripted(script), None, Letters(), '', rule, max_decisions=9
    )
    self.assertEqual((out.text, out.counts().decisions), ('a', 2))
    out = cascade.generate(
      scripted(script),
      lambda text: '',
      Letters(),
      '',
      cascade.RunningQuantile(1.0),
      max_decisions=9,
    )
    self.assertEqual((out.text, out.counts().calls), ('', 1))

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
    params = support.params(self.config, seed, 6)
    reader = readers.Reader(self.config, params, size=96)
    call_id, size = self.tokenizer.call_id, self.tokenizer.vocab_size
    return cascade.call_reader(reader.read, call_id, size), reader

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
