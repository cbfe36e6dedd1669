"""Masks on disk: aligned, resumable, the same on one core and on many."""

import importlib.metadata
import json
import os
import pathlib
import signal
import tempfile
import types
from typing import NamedTuple
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from corpora.text import packing
from engine import stop
from lacy.facts import annotate, spans
from lm import tokenizer as tokenizer_lib

TEXTS = [
  'Marie Curie was born in Warsaw. Curie left Warsaw in 1891.',
  'Earl \u2013 1751: a na\u00efve poem by \u00c9mile Zola about Paris.',
  'nothing here',
  'Paris is the capital of France, and Paris is large.',
]


def _killed(job):
  """In place of annotate._part: what happens when memory runs out."""
  del job
  os.kill(os.getpid(), signal.SIGKILL)


class _Word(str):
  """A token of a document parsed by hand."""

  def __new__(cls, text, *, idx, pos_):
    word = super().__new__(cls, text)
    word.idx, word.pos_ = idx, pos_
    return word


class _Parsed(list):
  """In place of a spaCy Doc."""


class Split(NamedTuple):
  docs: list
  tokens: np.ndarray
  starts: np.ndarray
  folder: pathlib.Path


class AnnotatedCase(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.tokenizer = tokenizer_lib.Tokenizer.train(TEXTS, vocab_size=320)

  def split(self, texts=TEXTS, tokenizer=None):
    tokenizer = tokenizer or self.tokenizer
    ids = [
      [tokenizer.bos_id, *tokenizer.encode(t), tokenizer.eos_id] for t in texts
    ]
    return Split(
      [{'title': f'title {i}', 'text': text} for i, text in enumerate(texts)],
      np.concatenate(ids).astype(np.uint16),
      np.cumsum([0, *map(len, ids)]),
      pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())),
    )

  def flagged(self, split, mask, number):
    piece = slice(split.starts[number], split.starts[number + 1])
    return [
      text.strip()
      for text, on in zip(
        self.tokenizer.pieces(split.tokens[piece].tolist()),
        mask[piece],
        strict=True,
      )
      if on
    ]

  def annotate(self, split, **kw):
    kw.setdefault('rule', 'caps_digits')
    return annotate.annotate(split, self.tokenizer, progress=False, **kw)


class AnnotateTest(AnnotatedCase):
  def test_marks_first_mentions_and_nothing_else(self):
    split = self.split()
    mask = self.annotate(split)
    want = ['MarieCurieWarsawCurie1891', 'Earl1751\u00c9mileZolaParis', '']
    for number, text in enumerate(want):
      self.assertEqual(''.join(self.flagged(split, mask, number)), text)
    self.assertEqual(''.join(self.flagged(split, mask, 3)), 'ParisFrance')
    specials = np.isin(split.tokens, [self.tokenizer.bos_id, 319])
    self.assertFalse(mask[specials].any())

  def test_is_stored_as_one_bit_a_token(self):
    split = self.split()
    mask = self.annotate(split)
    bits = split.folder / 'facts-caps_digits.bits'
    self.assertEqual(bits.stat().st_size, -(-len(split.tokens) // 8))
    with mock.patch.object(annotate, '_make', side_effect=AssertionError):
      np.testing.assert_array_equal(self.annotate(split), mask)
    manifest = json.loads(bits.with_suffix('.json').read_text())
    self.assertAlmostEqual(manifest['share'], mask.mean())
    self.assertLen(list(split.folder.glob('[!.]*')), 2)

  def test_a_stale_mask_is_refused(self):
    split = self.split()
    self.annotate(split)
    other = tokenizer_lib.Tokenizer.train(TEXTS, vocab_size=290)
    with self.assertRaisesRegex(ValueError, 'stale.*tokenizer was .*, is '):
      annotate.load(split, other, 'caps_digits')
    changed = split._replace(tokens=split.tokens[::-1].copy())
    with self.assertRaisesRegex(ValueError, 'stale.*tokens was'):
      self.annotate(changed)

  def test_a_mask_of_an_older_rule_is_refused(self):
    split = self.split()
    self.annotate(split)
    manifest = split.folder / 'facts-caps_digits.json'
    stored = json.loads(manifest.read_text())
    # As written before 4,1999 became two numbers.
    stored['made_with'].pop('version', None)
    manifest.write_text(json.dumps(stored))
    with self.assertRaisesRegex(
      ValueError, r'facts-caps_digits.bits is stale \(version was None, is 2\)'
    ):
      self.annotate(split)

  def test_a_cut_mask_is_refused(self):
    split = self.split()
    self.annotate(split)
    bits = split.folder / 'facts-caps_digits.bits'
    bits.write_bytes(bits.read_bytes()[:-1])
    with self.assertRaisesRegex(ValueError, r'must have \d+ bytes'):
      self.annotate(split)

  @parameterized.parameters('bits', 'json')
  def test_is_made_again_when_removed(self, suffix):
    split = self.split()
    want = self.annotate(split)
    (split.folder / f'facts-caps_digits.{suffix}').unlink()
    with self.assertRaisesRegex(FileNotFoundError, 'no fact mask'):
      annotate.load(split, self.tokenizer, 'caps_digits')
    np.testing.assert_array_equal(self.annotate(split), want)

  @parameterized.parameters(0, 3)
  def test_a_text_cut_after_preparing_is_refused(self, number):
    split = self.split()
    whole = split.docs[number]
    split.docs[number] = {**whole, 'text': whole['text'][:9]}
    with self.assertRaisesRegex(ValueError, 'other tokens'):
      self.annotate(split)

  def test_o6_two_copies_packed_in_one_record_are_flagged_the_same(self):
    split = self.split([TEXTS[0]] * 2)
    plan = packing.plan(np.diff(split.starts), len(split.tokens))
    self.assertEqual(plan.num_records, 1)
    (record,) = packing.pack(plan, self.annotate(split), False)
    one, two = np.split(record, 2)
    np.testing.assert_array_equal(one, two)
    self.assertTrue(one.any())

  def test_tokens_of_another_tokenizer_are_refused(self):
    other = tokenizer_lib.Tokenizer.train(['zzz'], vocab_size=280)
    with self.assertRaisesRegex(ValueError, 'other tokens'):
      self.annotate(self.split(tokenizer=other))

  def test_goes_on_where_it_was_interrupted(self):
    texts = [*TEXTS, *TEXTS[::-1], *TEXTS[2:], *TEXTS[:2]]
    want = self.annotate(self.split(texts))
    split = self.split(texts)
    real, done = annotate._part, []

    def fails_at_the_third(job):
      if len(done) == 2:
        raise KeyboardInterrupt
      done.append(job[0])
      return real(job)

    with mock.patch.object(annotate, 'PART', 4):
      with (
        mock.patch.object(annotate, '_part', fails_at_the_third),
        self.assertRaises(KeyboardInterrupt),
      ):
        self.annotate(split)
      self.assertFalse((split.folder / 'facts-caps_digits.json').exists())
      with mock.patch.object(annotate, '_part', side_effect=real) as part:
        np.testing.assert_array_equal(self.annotate(split), want)
      self.assertEqual(part.call_count, 1)

  def test_stops_between_two_articles(self):
    read, mark = [], annotate.mark

    def asked_at_the_second(*args):
      for made in mark(*args):
        read.append(made)
        if len(read) == 2:
          os.kill(os.getpid(), signal.SIGTERM)
        yield made

    split = self.split()
    with (
      mock.patch.object(annotate, 'mark', asked_at_the_second),
      stop.deferred(),
      self.assertRaises(stop.Interrupted),
    ):
      self.annotate(split)
    self.assertLen(read, 2)
    self.assertLen(self.annotate(split), len(split.tokens))

  def test_parts_of_another_size_are_not_mixed_in(self):
    texts = TEXTS * 3
    want = self.annotate(self.split(texts))
    split = self.split(texts)
    with (
      mock.patch.object(annotate, 'PART', 4),
      mock.patch.object(annotate.shutil, 'rmtree'),
    ):
      self.annotate(split)
    (split.folder / 'facts-caps_digits.json').unlink()
    with mock.patch.object(annotate, 'PART', 8):
      np.testing.assert_array_equal(self.annotate(split), want)

  def test_rules_on_a_document_parsed_by_hand(self):
    text = 'Marie Curie met the famous Curie in Paris. Paris saw a duke.'
    tags = 'PROPN PROPN VERB DET ADJ PROPN ADP PROPN PUNCT PROPN VERB DET NOUN '
    tags += 'PUNCT'
    words, place = [], 0
    for word, tag in zip(
      text.replace('.', ' .').split(), tags.split(), strict=True
    ):
      place = text.index(word, place)
      words.append(_Word(word, idx=place, pos_=tag))
      place += len(word)

    def span(start, end):
      last = words[end - 1]
      return types.SimpleNamespace(
        start=start,
        end=end,
        start_char=words[start].idx,
        end_char=last.idx + len(last),
      )

    doc = _Parsed(words)
    doc.text = text
    doc.ents = [span(0, 2), span(5, 6), span(7, 8), span(9, 10)]
    doc.noun_chunks = [span(0, 2), span(3, 6), span(7, 8), span(11, 13)]

    def found(rule):
      made = annotate.spans_of(text, annotate.parsed(doc, rule), rule)
      return [text[a:b] for a, b in made]

    # A: 'Curie' alone is a new surface, the second Paris is none.
    self.assertEqual(found('ner_first'), ['Marie Curie', 'Curie', 'Paris'])
    # D: 'famous' from the chunk around Curie, no 'the', each word once; 'a
    # duke' has no entity.
    want = ['Marie', 'Curie', 'famous', 'Paris']
    self.assertEqual(found('ner_chunk_first'), want)

  def test_pieces_of_a_text_are_no_longer_than_asked_and_miss_nothing(self):
    text = 'One. Two three.\nFour five six.\n\nSeven' + 'x' * 30 + ' end'
    for most in (12, 17, 20, len(text)):
      pieces = annotate.pieces(text, most)
      self.assertEqual(''.join(text[a:b] for a, b in pieces), text)
      self.assertLessEqual(max(b - a for a, b in pieces), most)
    self.assertEqual(annotate.pieces('', 5), [(0, 0)])
    # Behind a line rather than a sentence, a sentence rather than a word.
    self.assertEqual(annotate.pieces('a. bc d\ne f', 9), [(0, 8), (8, 11)])
    self.assertEqual(annotate.pieces('abc. d e f', 6), [(0, 5), (5, 10)])

  def test_an_article_too_long_for_spacy_is_read_in_pieces(self):
    # As spaCy does, with a limit of 1,000,000 characters.
    class Limited:
      max_length = 40

      def pipe(self, texts, *, as_tuples, batch_size):
        for text, context in texts:
          if len(text) > self.max_length:
            raise ValueError(f'[E088] Text of length {len(text)} exceeds')
          doc = _Parsed()
          doc.text = text
          doc.ents = [
            types.SimpleNamespace(start_char=a, end_char=b)
            for a, b in spans.caps_digits(text)
          ]
          yield doc, context

    long = '\n'.join(f'{name} left Warsaw.' for name in ('Zola', 'Curie') * 9)
    texts = ['Zola met Zola.', long, '', 'Curie in Paris']
    got = list(annotate.spans(texts, 'ner_first', Limited()))
    want = [
      spans.first_mentions(text, spans.caps_digits(text)) for text in texts
    ]
    self.assertEqual(got, want)
    self.assertEqual(
      [long[a:b] for a, b in got[1]], ['Zola', 'Warsaw', 'Curie']
    )

  def test_spacy_reads_an_article_in_pieces(self):
    for rule in ('ner_first', 'ner_chunk_first'):
      nlp = annotate.load_spacy(rule)
      text = '\n\n'.join([TEXTS[0], TEXTS[3], TEXTS[0]])
      nlp.max_length = 60
      (found,) = annotate.spans([text], rule, nlp)
      words = [text[a:b] for a, b in found]
      for word in ('Warsaw', 'France', '1891'):
        self.assertEqual(words.count(word), 1, words)
      self.assertLess(max(b for _, b in found), len(text) - len(TEXTS[0]))

  @parameterized.parameters('ner_first', 'ner_chunk_first')
  def test_spacy_rules_find_the_obvious(self, rule):
    split = self.split()
    mask = self.annotate(split, rule=rule)
    first = ''.join(self.flagged(split, mask, 0))
    self.assertIn('Warsaw', first)
    self.assertIn('1891', first)
    self.assertEqual(first.count('Warsaw'), 1)
    self.assertEqual(self.flagged(split, mask, 2), [])

  def test_many_processes_equal_one(self):
    texts = TEXTS * 6
    want = self.annotate(self.split(texts), rule='ner_first', workers=1)
    split = self.split(texts)
    with (
      mock.patch.object(annotate, 'PART', 8),
      mock.patch.object(annotate, 'ALONE', 0),
    ):
      got = self.annotate(split, rule='ner_first', workers=2)
    np.testing.assert_array_equal(got, want)

  def test_a_killed_worker_is_noticed(self):
    split = self.split(TEXTS * 6)
    with (
      mock.patch.object(annotate, 'PART', 8),
      mock.patch.object(annotate, 'ALONE', 0),
      mock.patch.object(annotate, 'WATCH', 0.5),
      mock.patch.object(annotate, '_part', _killed),
      self.assertRaisesRegex(ChildProcessError, 'one was killed'),
    ):
      self.annotate(split, rule='ner_first', workers=2)

  def test_what_a_worker_cannot_load_is_told(self):
    # A pool would replace a worker whose initializer fails, again and again.
    with (
      mock.patch.object(annotate, 'ALONE', 0),
      mock.patch.object(annotate, 'PART', 8),
      mock.patch.object(annotate, '_provenance', return_value={}),
      mock.patch.object(self.tokenizer, 'to_json', return_value='nonsense'),
      self.assertRaisesRegex(ValueError, 'tokenizer'),
    ):
      self.annotate(self.split(TEXTS * 6), rule='ner_first', workers=2)

  def test_unknown_rule(self):
    with self.assertRaisesRegex(ValueError, 'data.fact_rule must be one of'):
      self.annotate(self.split(), rule='nouns')

  def test_without_spacy_the_extra_is_named(self):
    with (
      mock.patch.dict('sys.modules', {'spacy': None}),
      self.assertRaisesRegex(ValueError, r'socratic\[annotate\]'),
    ):
      annotate.load_spacy('ner_first')

  def test_a_mask_without_spacy_names_the_extra_too(self):
    missing = importlib.metadata.PackageNotFoundError('spacy')
    with (
      mock.patch.object(importlib.metadata, 'version', side_effect=missing),
      self.assertRaisesRegex(ValueError, r'socratic\[annotate\]'),
    ):
      self.annotate(self.split(), rule='ner_first')


if __name__ == '__main__':
  absltest.main()
