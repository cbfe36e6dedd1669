"""Masks on disk: aligned, resumable, the same on one core and on many."""

import json
import pathlib
import tempfile
from typing import NamedTuple
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from lacy import annotate
from lm import tokenizer as tokenizer_lib

TEXTS = [
  'Marie Curie was born in Warsaw. Curie left Warsaw in 1891.',
  'Earl \u2013 1751: a na\u00efve poem by \u00c9mile Zola about Paris.',
  'nothing here',
  'Paris is the capital of France, and Paris is large.',
]


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

  def test_a_cut_mask_is_refused(self):
    split = self.split()
    self.annotate(split)
    bits = split.folder / 'facts-caps_digits.bits'
    bits.write_bytes(bits.read_bytes()[:-1])
    with self.assertRaisesRegex(ValueError, r'must have \d+ bytes'):
      self.annotate(split)

  def test_tokens_of_another_tokenizer_are_refused(self):
    other = tokenizer_lib.Tokenizer.train(['zzz'], vocab_size=280)
    with self.assertRaisesRegex(ValueError, 'other tokens'):
      self.annotate(self.split(tokenizer=other))

  def test_goes_on_where_it_was_interrupted(self):
    texts = TEXTS * 3
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

  def test_unknown_rule(self):
    with self.assertRaisesRegex(ValueError, 'data.fact_rule must be one of'):
      self.annotate(self.split(), rule='nouns')

  def test_without_spacy_the_extra_is_named(self):
    with (
      mock.patch.dict('sys.modules', {'spacy': None}),
      self.assertRaisesRegex(ValueError, r'socratic\[annotate\]'),
    ):
      annotate.load_spacy('ner_first')


class JudgeMaskTest(AnnotatedCase):
  def judge(self, split, *lines):
    path = (
      pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
      / 'judge.jsonl'
    )
    path.write_text('\n'.join(lines) + '\n')
    return annotate.judge_mask(path, split, self.tokenizer)

  def test_marks_values_and_spans_and_counts_the_lost(self):
    split = self.split()
    mask, lost = self.judge(
      split,
      json.dumps({'title': 'title 0', 'values': ['Warsaw', '1891', '1892']}),
      json.dumps({'title': 'title 1', 'spans': [[0, 4]]}),
    )
    got = [''.join(self.flagged(split, mask, i)) for i in range(4)]
    self.assertEqual(got, ['Warsaw1891', 'Earl', '', ''])
    self.assertAlmostEqual(lost, 1 / 4)

  @parameterized.parameters('{"title": "x"}', 'nonsense', '[1]')
  def test_a_malformed_line_is_named(self, line):
    good = json.dumps({'title': 'title 0', 'values': []})
    with self.assertRaisesRegex(ValueError, r'judge.jsonl:2: expected'):
      self.judge(self.split(), good, line)


if __name__ == '__main__':
  absltest.main()
