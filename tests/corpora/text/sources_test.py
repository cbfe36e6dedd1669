"""Every kind of source, its splits and its bad inputs."""

import json
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from corpora import splits
from corpora.text import sources


def _everything(spec, **kwargs):
  return [
    doc for name in splits.SPLITS for doc in sources.open(spec, name, **kwargs)
  ]


class SourcesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

  def _jsonl(self, *lines: bytes) -> str:
    path = self.root / 'docs.jsonl'
    path.write_bytes(b''.join(lines))
    return f'jsonl:{path}'

  def test_splits_are_ninety_five_five(self):
    names = [splits.split_of(f'title {i}') for i in range(4000)]
    self.assertAlmostEqual(names.count('train') / 4000, 0.9, delta=0.02)
    self.assertAlmostEqual(names.count('test') / 4000, 0.05, delta=0.02)

  def test_every_line_is_in_one_split_and_none_moves(self):
    docs = [
      {'title': f'T{i}', 'text': f'text – {i}', 'more': i} for i in range(200)
    ]
    lines = [json.dumps(doc).encode() + b'\n' for doc in docs]
    spec = self._jsonl(*lines)
    self.assertCountEqual([d['more'] for d in _everything(spec)], range(200))
    test = [doc['title'] for doc in sources.open(spec, 'test')]
    self.assertNotEmpty(test)
    spec = self._jsonl(*lines[:150])
    some = [doc['title'] for doc in sources.open(spec, 'test')]
    self.assertEqual(some, [t for t in test if int(t[1:]) < 150])

  def test_documents_by_index_slice_and_iteration_agree(self):
    spec = self._jsonl(*(b'{"text": "t%d"}\n' % i for i in range(50)))
    docs = sources.open(spec, 'train')
    everything = list(docs)
    self.assertEqual(everything, [docs[i] for i in range(len(docs))])
    self.assertEqual(everything, docs[:])
    self.assertEqual(everything[-3::2], docs[-3::2])
    self.assertEqual(everything[-1], docs[-1])
    self.assertEqual(everything, list(pickle.loads(pickle.dumps(docs))))
    with self.assertRaises(IndexError):
      docs[len(docs)]

  def test_a_missing_title_is_empty_and_blank_lines_are_no_documents(self):
    spec = self._jsonl(b'\n', b'{"text": "a"}\r\n', b'  \n', b'{"text": " "}')
    self.assertEqual(_everything(spec), [{'title': '', 'text': 'a'}])

  @parameterized.parameters(
    (b'{"text": "a"\n', 'expected a JSON object, came \'{"text": "a"\''),
    (b'["a"]\n', "expected a JSON object with 'text', came list"),
    (b'{"title": "a"}\n', "expected a string 'text', came none"),
    (b'{"text": 3}\n', "expected a string 'text', came int"),
    (b'{"text": "a", "title": null}\n', "'title', came NoneType"),
    (b'{"text": "a\xff"}\n', 'expected UTF-8, came byte 0xff at byte 11'),
    (b'{"text": "a\\ud800"}\n', 'lone surrogate at character 1'),
  )
  def test_a_bad_line_is_named(self, line, message):
    spec = self._jsonl(b'{"text": "good"}\n', b'\n', line)
    with self.assertRaises(ValueError) as caught:
      sources.open(spec, 'train')
    self.assertIn(
      f'docs.jsonl:3: {message}'.split(': ')[0], str(caught.exception)
    )
    self.assertIn(message, str(caught.exception))

  def test_a_byte_order_mark_is_no_text(self):
    mark = b'\xef\xbb\xbf'
    # As editors write it, and as two such files make it when joined.
    spec = self._jsonl(
      mark + b'{"text": "a"}\n', mark + b'{"text": "b"}\n', mark + b'\n'
    )
    got = [doc['text'] for doc in _everything(spec)]
    self.assertCountEqual(got, ['a', 'b'])
    (self.root / 'a.txt').write_bytes(mark + b'text')
    (doc,) = _everything(f'text:{self.root}')
    self.assertEqual(doc['text'], 'text')

  @parameterized.parameters('title', 'text')
  def test_documents_that_are_all_called_alike_are_refused(self, field):
    docs = [{'text': f't{i}', 'title': 'Untitled'} for i in range(3)]
    if field == 'text':
      docs = [{'text': 'Untitled'}] * 3
    spec = self._jsonl(*(json.dumps(doc).encode() + b'\n' for doc in docs))
    with self.assertRaisesRegex(
      ValueError, f"3 documents with the {field} 'Untitled'.* follows from it"
    ):
      sources.open(spec, 'train')

  @parameterized.parameters(b'', b'\n\n', b'{"text": ""}\n')
  def test_an_empty_file_is_refused(self, content):
    spec = self._jsonl(content)
    with self.assertRaisesRegex(ValueError, 'at least one document'):
      sources.open(spec, 'train')

  def test_a_changed_file_is_read_again_and_has_another_identity(self):
    spec = self._jsonl(b'{"text": "a"}\n')
    before = sources.identity(spec)
    self.assertEqual(before, sources.identity(spec))
    self.assertLen(_everything(spec), 1)
    spec = self._jsonl(b'{"text": "a"}\n', b'{"text": "b"}\n')
    self.assertLen(_everything(spec), 2)
    self.assertNotEqual(before, sources.identity(spec))

  def test_text_files_below_a_folder_are_documents(self):
    for i in range(40):
      path = self.root / 'texts' / f'sub{i % 3}' / f'{i}.txt'
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(f'text\n{i} é', encoding='utf-8')
    (self.root / 'texts' / 'notes.md').write_text('no')
    (self.root / 'texts' / 'empty.txt').write_text('')
    spec = f'text:{self.root}/texts'
    docs = {doc['title']: doc['text'] for doc in _everything(spec)}
    self.assertLen(docs, 40)
    self.assertEqual(docs['sub1/7.txt'], 'text\n7 é')

  def test_a_text_file_that_is_not_utf8_is_named(self):
    (self.root / 'a.txt').write_bytes(b'caf\xe9')
    with self.assertRaisesRegex(ValueError, 'a.txt: .*0xe9 at byte 3'):
      _everything(f'text:{self.root}')

  def test_a_folder_without_texts_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'at least one'):
      sources.open(f'text:{self.root}', 'train')

  @parameterized.parameters('jsonl:/no/such/file', 'text:/no/such/folder')
  def test_what_is_not_there_is_told(self, spec):
    with self.assertRaisesRegex(FileNotFoundError, '/no/such.*config.corpus'):
      sources.open(spec, 'train')

  @parameterized.parameters('wiki', 'jsonl', 'jsonl:', '', 'wiki_summaries:x')
  def test_an_unknown_spec_lists_the_kinds(self, spec):
    with self.assertRaisesRegex(ValueError, 'wiki_summaries, jsonl:/path'):
      sources.open(spec, 'train')

  def test_an_unknown_split_lists_the_splits(self):
    with self.assertRaisesRegex(ValueError, "validation, test, got 'dev'"):
      sources.open('wiki_summaries', 'dev')


class TfdsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    local = self.root / 'own' / 'wiki_summaries'
    local.mkdir(parents=True)
    self.entries = {
      f'Title {i}': {
        'title': f'Title {i}',
        'extract': f'Text – {i}' if i % 20 else ' ',
        'description': f'about {i}',
        'topic': 'Numbers',
      }
      for i in range(100)
    }
    self.file = local / 'summaries_en-us.json'
    self.file.write_text(json.dumps(self.entries))
    settings = {
      'SOCRATIC_ASSETS': str(local.parent),
      'TFDS_DATA_DIR': str(self.root / 'tfds'),
    }
    self.enter_context(mock.patch.dict(os.environ, settings))

  def test_wiki_summaries_keeps_every_entry_with_text(self):
    docs = _everything('wiki_summaries', data_dir=self.root)
    self.assertCountEqual(
      [(d['title'], d['topic'], d['description'], d['text']) for d in docs],
      [
        (e['title'], e['topic'], e['description'], e['extract'])
        for e in self.entries.values()
        if e['extract'].strip()
      ],
    )
    for name in splits.SPLITS:
      for doc in sources.open('wiki_summaries', name, data_dir=self.root):
        self.assertEqual(splits.split_of(doc['title']), name)

  def test_another_local_file_is_another_data_set(self):
    before = sources.identity('wiki_summaries')
    self.assertLen(_everything('wiki_summaries', data_dir=self.root), 95)
    del self.entries['Title 1']
    self.file.write_text(json.dumps(self.entries))
    self.assertNotEqual(sources.identity('wiki_summaries'), before)
    self.assertLen(_everything('wiki_summaries', data_dir=self.root), 94)

  def test_a_prepared_data_set_is_read_by_its_name(self):
    wiki = _everything('wiki_summaries', data_dir=self.root)
    [folder] = (self.root / 'tfds').iterdir()
    os.environ['TFDS_DATA_DIR'] = str(folder)
    self.assertEqual(_everything('tfds:wiki_summaries'), wiki)
    self.assertEqual(
      sources.identity('tfds:wiki_summaries'), {'tfds': 'wiki_summaries/1.0.0'}
    )

  def test_a_data_set_with_one_split_is_cut(self):
    sources.open('wiki_summaries', 'train', data_dir=self.root)
    [folder] = (self.root / 'tfds').iterdir()
    info = folder / 'wiki_summaries' / '1.0.0' / 'dataset_info.json'
    content = json.loads(info.read_text())
    content['splits'] = [s for s in content['splits'] if s['name'] == 'train']
    info.write_text(json.dumps(content))
    os.environ['TFDS_DATA_DIR'] = str(folder)
    sizes = [len(sources.open('tfds:wiki_summaries', s)) for s in splits.SPLITS]
    [train] = content['splits']
    self.assertEqual(sum(sizes), sum(map(int, train['shardLengths'])))
    self.assertGreater(sizes[0], 0.75 * sum(sizes))
    self.assertLen(
      {d['title'] for d in _everything('tfds:wiki_summaries')}, sum(sizes)
    )

  def test_a_data_set_that_is_not_prepared_is_told(self):
    for name in ('wikipedia/20230601.en', 'no_such_thing'):
      with self.assertRaisesRegex(FileNotFoundError, f'tfds build {name}'):
        sources.open(f'tfds:{name}', 'train')

  def test_tensorflow_is_never_imported(self):
    code = (
      'import sys; from corpora.text import sources;'
      'docs = sources.open("wiki_summaries", "train", '
      f'data_dir={str(self.root)!r});'
      'docs[0]; sys.exit("tensorflow" in sys.modules)'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


class RealWikiTest(absltest.TestCase):
  def test_all_articles_are_there(self):
    sizes = [len(sources.open('wiki_summaries', s)) for s in splits.SPLITS]
    self.assertEqual(sum(sizes), 10_033)
    self.assertEqual(sizes, [9_058, 491, 484])


if __name__ == '__main__':
  absltest.main()
