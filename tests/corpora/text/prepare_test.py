"""Prepared corpora: lossless, resumable, never half-trusted."""

import json
import os
import pathlib
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest

from corpora import splits
from corpora.text import prepare, sources
from lm import tokenizer as tokenizer_lib


class PrepareTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    self.spec = self._write(range(120))

  def _write(self, numbers) -> str:
    path = self.root / 'docs.jsonl'
    with path.open('w', encoding='utf-8') as file:
      for i in numbers:
        text = f'Document {i} – née {i * 37}, 長江. ' * (1 + i % 4)
        file.write(json.dumps({'title': f'T{i}', 'text': text}) + '\n')
    return f'jsonl:{path}'

  def _prepare(self, folder='data', **kwargs):
    kwargs = {'vocab_size': 280, 'progress': False, **kwargs}
    return prepare.prepare(self.spec, data_dir=self.root / folder, **kwargs)

  def _tokens(self, prepared):
    return {s: prepared.split(s).tokens.tolist() for s in splits.SPLITS}

  def test_every_document_stands_between_bos_and_eos(self):
    prepared = self._prepare()
    tokenizer = prepared.tokenizer
    self.assertEqual(tokenizer.vocab_size, 280)
    for name in splits.SPLITS:
      split = prepared.split(name)
      self.assertEqual(split.tokens.dtype, np.uint16)
      self.assertLen(split.docs, len(split.starts) - 1)
      for i, doc in enumerate(split.docs):
        bos, *ids, eos = split.tokens[split.starts[i] : split.starts[i + 1]]
        self.assertEqual((bos, eos), (tokenizer.bos_id, tokenizer.eos_id))
        self.assertEqual(tokenizer.decode(ids), doc['text'])

  def test_some_documents_of_a_split(self):
    prepared = self._prepare()
    whole, tokenizer = prepared.split('train'), prepared.tokenizer
    keep = [1, 4, len(whole.docs) - 1]
    some = whole.only(keep, 'few')
    self.assertEqual(list(some.docs), [whole.docs[i] for i in keep])
    for i, doc in enumerate(some.docs):
      bos, *ids, eos = some.tokens[some.starts[i] : some.starts[i + 1]]
      self.assertEqual((bos, eos), (tokenizer.bos_id, tokenizer.eos_id))
      self.assertEqual(tokenizer.decode(ids), doc['text'])
    # What others keep beside it is not that of the whole.
    self.assertEqual(some.folder, whole.folder / 'few')
    self.assertLen(whole.only([], 'none').tokens, 0)

  def test_summary_counts(self):
    prepared = self._prepare()
    for name, counts in prepared.summary.items():
      split = prepared.split(name)
      texts = [doc['text'].encode() for doc in split.docs]
      self.assertEqual(
        counts,
        {
          'documents': len(texts),
          'tokens': len(split.tokens),
          'bytes': sum(map(len, texts)),
        },
      )
    self.assertEqual(
      sum(counts['documents'] for counts in prepared.summary.values()), 120
    )

  def test_the_tokenizer_sees_the_train_split_only(self):
    texts = [doc['text'] for doc in sources.open(self.spec, 'train')]
    expected = tokenizer_lib.Tokenizer.train(texts, vocab_size=280)
    got = self._prepare().tokenizer
    self.assertEqual(got.fingerprint, expected.fingerprint)

  def test_a_second_call_reads_no_document(self):
    first = self._prepare()
    with mock.patch.object(sources, 'open', side_effect=AssertionError):
      second = self._prepare()
    self.assertEqual(first.folder, second.folder)
    self.assertEqual(self._tokens(first), self._tokens(second))

  def test_an_interrupted_call_goes_on_and_equals_a_whole_one(self):
    expected = self._tokens(self._prepare('whole'))
    encode_batch = tokenizer_lib.Tokenizer.encode_batch
    for fails_at in range(1, 4):
      calls = []

      def failing(tokenizer, texts, calls=calls, fails_at=fails_at):
        calls.append(len(texts))
        if len(calls) == fails_at:
          raise KeyboardInterrupt
        return encode_batch(tokenizer, texts)

      with (
        mock.patch.object(prepare, 'CHUNK', 16),
        mock.patch.object(tokenizer_lib.Tokenizer, 'encode_batch', failing),
        self.assertRaises(KeyboardInterrupt),
      ):
        self._prepare()
    [folder] = (self.root / 'data' / 'prepared').glob('jsonl*')
    self.assertFalse((folder / 'manifest.json').exists())
    counts, tokens = folder / 'train/counts.bin', folder / 'train/tokens.bin'
    # A crash in the middle of a write leaves torn ends of either file.
    with counts.open('ab') as file:
      file.write(np.array([5, 5, 7], np.int64).tobytes() + b'abc')
    with tokens.open('ab') as file:
      file.write(b'\x01\x02\x03')
    done = []

    def counting(tokenizer, texts):
      done.extend(texts)
      return encode_batch(tokenizer, texts)

    with mock.patch.object(tokenizer_lib.Tokenizer, 'encode_batch', counting):
      resumed = self._prepare()
    self.assertEqual(self._tokens(resumed), expected)
    self.assertEqual(len(done), 120 - 3 * 16)  # 0 + 1 + 2 chunks were whole

  def test_changed_files_and_settings_get_their_own_folder(self):
    folders = {self._prepare().folder, self._prepare(vocab_size=270).folder}
    self._write(range(119))
    folders.add(self._prepare().folder)
    self.assertLen(folders, 3)

  def test_a_source_that_changed_since_is_not_read_as_the_same(self):
    split = self._prepare().split('train')
    self._write(range(50))
    with self.assertRaisesRegex(ValueError, 'launch.prepare again'):
      _ = split.docs

  def test_a_given_tokenizer_is_used(self):
    path = self.root / 'tokenizer.json'
    tokenizer_lib.Tokenizer.train(['earl'] * 9, vocab_size=300).save(path)
    prepared = self._prepare(tokenizer=path)
    self.assertEqual(
      prepared.tokenizer.fingerprint,
      tokenizer_lib.Tokenizer.load(path).fingerprint,
    )
    self.assertNotEqual(prepared.folder, self._prepare().folder)

  def test_a_split_may_be_empty_but_not_train(self):
    titles = [f'T{i}' for i in range(200)]
    by_split = {
      s: next(t for t in titles if splits.split_of(t) == s)
      for s in ('train', 'test')
    }
    path = self.root / 'docs.jsonl'
    doc = {'title': by_split['train'], 'text': 'some text'}
    path.write_text(json.dumps(doc))
    empty = self._prepare().split('test')
    self.assertEqual(len(empty.tokens), 0)
    self.assertEqual(list(empty.docs), [])
    path.write_text(json.dumps({**doc, 'title': by_split['test']}))
    with self.assertRaisesRegex(ValueError, 'train split, got none of 1'):
      self._prepare()

  def test_bad_input_leaves_no_folder(self):
    with self.assertRaisesRegex(ValueError, 'at least 261'):
      self._prepare(vocab_size=100)
    (self.root / 'docs.jsonl').write_text('{')
    with self.assertRaisesRegex(ValueError, 'docs.jsonl:1'):
      self._prepare()
    self.assertEmpty(list((self.root / 'data' / 'prepared').glob('jsonl*')))

  def test_an_unknown_split_lists_the_splits(self):
    with self.assertRaisesRegex(ValueError, "validation, test, got 'dev'"):
      self._prepare().split('dev')

  def test_a_full_disk_leaves_nothing_trusted(self):
    with (
      mock.patch.object(os, 'fsync', side_effect=OSError(28, 'disk full')),
      self.assertRaises(OSError),
    ):
      self._prepare()
    expected = self._tokens(self._prepare('whole'))
    self.assertEqual(self._tokens(self._prepare()), expected)


if __name__ == '__main__':
  absltest.main()
