"""Byte-level BPE: lossless, offsets in characters, specials at the end."""

import json
import pathlib
import pickle
import tempfile

import numpy as np
import tokenizers
from absl.testing import absltest, parameterized
from tokenizers import models

from lm import tokenizer as tokenizer_lib

TEXTS = [
  'Earl – 1751 was the year, the earl of the year 1751.',
  'Der Fluß heißt 長江 (Yangtze), naïve café. The earl was the earl.',
] * 20

ODD = (
  '',
  ' ',
  '  two  spaces\tand\r\nlines\n\n',
  '👩‍👩‍👧 family, 日本語, e\u0301 combining, \u202eright to left',
  '\x00\x01\x7f\u0080\u00a0\u2028\ufeff\ufffd\U0010ffff',
  '<CALL><mask><pad><bos><eos>',
  '<|endoftext|> [UNK] ## Ġ ▁',
)


class TokenizerTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.tokenizer = tokenizer_lib.Tokenizer.train(TEXTS, vocab_size=300)

  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )

  @parameterized.parameters(*ODD)
  def test_decode_inverts_encode(self, text):
    self.assertEqual(self.tokenizer.decode(self.tokenizer.encode(text)), text)

  def test_decode_inverts_encode_of_random_unicode(self):
    rng = np.random.default_rng(0)
    for top in (0x80, 0x800, 0xD800, 0x110000):
      points = rng.integers(0, top, 300)
      text = ''.join(chr(p) for p in points if not 0xD800 <= p < 0xE000)
      ids = self.tokenizer.encode(text)
      self.assertEqual(self.tokenizer.decode(ids), text)
      self.assertLess(max(ids), self.tokenizer.call_id)

  def test_every_byte_has_an_id(self):
    text = ''.join(map(chr, range(0x2000)))
    self.assertEqual(self.tokenizer.decode(self.tokenizer.encode(text)), text)

  def test_specials_are_the_last_five(self):
    t = self.tokenizer
    self.assertEqual(t.vocab_size, 300)
    self.assertEqual(
      [t.call_id, t.mask_id, t.pad_id, t.bos_id, t.eos_id],
      [295, 296, 297, 298, 299],
    )

  def test_text_never_becomes_a_special(self):
    text = 'a <CALL> and <eos>'
    ids = self.tokenizer.encode(text)
    self.assertLess(max(ids), self.tokenizer.call_id)
    self.assertEqual(self.tokenizer.encode_batch([text]), [ids])
    self.assertEqual(self.tokenizer.encode_with_offsets(text)[0], ids)

  def test_decode_leaves_specials_out(self):
    t = self.tokenizer
    ids = [t.bos_id, *t.encode('the earl'), t.call_id, t.eos_id, t.pad_id]
    self.assertEqual(t.decode(ids), 'the earl')
    self.assertEqual(t.decode(np.array(ids, np.uint16)), 'the earl')

  def test_digits_stand_alone(self):
    pieces = self.tokenizer.pieces(self.tokenizer.encode('in 1751, 17.5'))
    digits = [p for p in pieces if any(c.isdigit() for c in p)]
    self.assertEqual(digits, list('1751175'))

  def test_offsets_of_a_year_after_a_dash_are_exact(self):
    ids, offsets = self.tokenizer.encode_with_offsets('Earl – 1751')
    pieces = self.tokenizer.pieces(ids)
    spans = [
      tuple(span)
      for piece, span in zip(pieces, offsets.tolist(), strict=True)
      if piece.strip().isdigit()
    ]
    self.assertEqual(spans, [(7, 8), (8, 9), (9, 10), (10, 11)])
    self.assertEqual(offsets.dtype, np.int32)

  @parameterized.parameters(*TEXTS[:2], *ODD)
  def test_offsets_cover_all_but_white_space(self, text):
    ids, offsets = self.tokenizer.encode_with_offsets(text)
    self.assertEqual(offsets.shape, (len(ids), 2))
    covered = np.zeros(len(text), bool)
    for start, end in offsets:
      covered[start:end] = True
      self.assertFalse(text[start:end][:1].isspace())
    white = np.array([c.isspace() for c in text], bool)
    np.testing.assert_array_equal(covered, ~white)

  def test_offsets_name_the_text_of_whole_tokens(self):
    text = 'the earl – 長 e\u0301 👩 was the 1751 year'
    ids, offsets = self.tokenizer.encode_with_offsets(text)
    for piece, (start, end) in zip(
      self.tokenizer.pieces(ids), offsets, strict=True
    ):
      if '\ufffd' not in piece:
        self.assertEqual(text[start:end], piece.lstrip())
      else:  # a part of a character covers all of it
        self.assertGreater(ord(text[start]), 0x7F)

  def test_pieces_name_specials(self):
    t = self.tokenizer
    self.assertEqual(t.pieces([t.call_id, t.eos_id]), ['<CALL>', '<eos>'])

  def test_batch_equals_one_by_one(self):
    self.assertEqual(
      self.tokenizer.encode_batch(ODD), [self.tokenizer.encode(t) for t in ODD]
    )

  def test_saved_and_loaded_is_the_same(self):
    path = self.folder / 'tokenizer.json'
    self.tokenizer.save(path)
    loaded = tokenizer_lib.Tokenizer.load(path)
    self.assertEqual(loaded.encode(ODD[5]), self.tokenizer.encode(ODD[5]))
    self.assertEqual(loaded.fingerprint, self.tokenizer.fingerprint)
    self.assertLen(list(self.folder.iterdir()), 1)

  def test_survives_the_way_to_another_process(self):
    other = pickle.loads(pickle.dumps(self.tokenizer))
    self.assertEqual(other.encode(ODD[5]), self.tokenizer.encode(ODD[5]))

  def test_training_is_deterministic_and_told_apart(self):
    again = tokenizer_lib.Tokenizer.train(iter(TEXTS), vocab_size=300)
    self.assertEqual(again.fingerprint, self.tokenizer.fingerprint)
    self.assertRegex(again.fingerprint, '^[0-9a-f]{16}$')
    other = tokenizer_lib.Tokenizer.train(TEXTS, vocab_size=299)
    self.assertNotEqual(other.fingerprint, again.fingerprint)

  def test_little_text_gives_a_smaller_vocabulary(self):
    t = tokenizer_lib.Tokenizer.train(['ab'], vocab_size=8192)
    self.assertEqual(t.vocab_size, 256 + 1 + 5)
    self.assertEqual(t.eos_id, 261)

  def test_too_small_a_vocabulary_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'at least 261.*got 260'):
      tokenizer_lib.Tokenizer.train(TEXTS, vocab_size=260)

  def test_a_lone_surrogate_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'surrogate at character 1'):
      self.tokenizer.encode('a\ud800b')

  def test_a_missing_special_is_named(self):
    full = json.loads(self.tokenizer.to_json())
    full['added_tokens'] = [
      token for token in full['added_tokens'] if token['content'] != '<mask>'
    ]
    path = self.folder / 'tokenizer.json'
    path.write_text(json.dumps(full))
    with self.assertRaisesRegex(ValueError, '<mask>'):
      tokenizer_lib.Tokenizer.load(path)

  def test_specials_elsewhere_than_at_the_end_are_refused(self):
    core = tokenizers.Tokenizer(models.BPE())
    core.add_special_tokens([*tokenizer_lib.SPECIALS, '<more>'])
    with self.assertRaisesRegex(ValueError, 'last five ids'):
      tokenizer_lib.Tokenizer(core)

  def test_no_file_and_no_json_are_told(self):
    with self.assertRaisesRegex(FileNotFoundError, 'tokenizer.json'):
      tokenizer_lib.Tokenizer.load(self.folder / 'none')
    path = self.folder / 'bad.json'
    path.write_text('{"a": 1}')
    with self.assertRaisesRegex(ValueError, 'bad.json.*expected the JSON'):
      tokenizer_lib.Tokenizer.load(path)


if __name__ == '__main__':
  absltest.main()
