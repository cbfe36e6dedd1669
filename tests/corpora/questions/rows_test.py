"""Rows of files and data sets, and what becomes of them."""

import json
import os
import pathlib
import tempfile
from typing import ClassVar
from unittest import mock

import tensorflow_datasets as tfds
from absl.testing import absltest, parameterized

from corpora.questions import rows
from corpora.questions.question import Question


class Gsm8k(tfds.core.GeneratorBasedBuilder):
  """In the form, and under the name, of a data set of TFDS."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES: ClassVar = {'1.0.0': 'as it is there'}

  def _info(self):
    names = ('question', 'answer', 'annotation', 'short_answer')
    return tfds.core.DatasetInfo(
      builder=self,
      features=tfds.features.FeaturesDict(
        {name: tfds.features.Text() for name in names}
      ),
    )

  def _split_generators(self, dl_manager):
    return {'test': self._generate_examples()}

  def _generate_examples(self):
    for i in range(3):
      yield (
        i,
        {
          'question': f'Hów many are {i}?',
          'answer': f'It is so.\n#### {i}',
          'annotation': 'It is so.\n',
          'short_answer': str(i),
        },
      )


def prepare_gsm8k(folder):
  Gsm8k(data_dir=str(folder), file_format='array_record').download_and_prepare()


def plain(fields):
  """An adapter: a question of one answer, None where it is a dash."""
  if fields['a'] == '-':
    return None
  return Question(
    id='',
    prompt=rows.text(fields, 'q'),
    answers=rows.answers([fields['a']]),
    context=fields.get('c', ''),
  )


class Files(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

  def write(self, name, content):
    path = self.root / name
    path.write_bytes(
      content if isinstance(content, bytes) else content.encode('utf-8')
    )
    return path


class ReadTest(Files):
  def test_lines_of_json_keep_their_numbers(self):
    # The two odd characters end a line for str.splitlines.
    path = self.write('x.jsonl', '{"q": "a\u2028b\x85"}\n\n  \r\n{"q": "c"}')
    self.assertEqual(
      list(rows.read(path)),
      [
        (f'{path}:1', 0, {'q': 'a\u2028b\x85'}),
        (f'{path}:4', 3, {'q': 'c'}),
      ],
    )

  def test_tables_may_hold_lines_within_a_field(self):
    path = self.write('x.csv', 'q,a\r\n"one,\ntwo",1\r\nthree,"2 ""x"""\r\n')
    self.assertEqual(
      list(rows.read(path)),
      [
        (f'{path}:3', 0, {'q': 'one,\ntwo', 'a': '1'}),
        (f'{path}:4', 1, {'q': 'three', 'a': '2 "x"'}),
      ],
    )

  @parameterized.parameters(
    ('x.jsonl', '{}\n{"q": "a"', 'x.jsonl:2: expected a JSON object, came'),
    ('x.jsonl', '{}\n["q"]', 'x.jsonl:2: expected a JSON object, came list'),
    ('x.jsonl', b'{}\n{"q": "\xff"}', 'x.jsonl: expected UTF-8'),
    ('x.csv', 'q,a\n1,2\n3\n', 'x.csv:3: .* 2, came another number'),
    ('x.csv', 'q,a\n1,2,3\n', 'x.csv:2: .* 2, came another number'),
    ('x.csv', 'q,a\n"1"2,3\n', "x.csv:2: ',' expected"),
    ('x.txt', '', 'x.txt: .*kinds .jsonl, .csv, came .txt'),
    ('x', '', 'came none'),
  )
  def test_what_cannot_be_read_is_told_with_its_place(
    self, name, content, what
  ):
    path = self.write(name, content)
    with self.assertRaisesRegex(ValueError, what):
      list(rows.read(path))

  def test_a_file_that_is_not_there(self):
    with self.assertRaisesRegex(FileNotFoundError, 'at /no/such.jsonl'):
      list(rows.read('/no/such.jsonl'))

  def test_prepared_data_sets_come_as_plain_strings(self):
    prepare_gsm8k(self.root)
    environment = {'TFDS_DATA_DIR': str(self.root)}
    with mock.patch.dict(os.environ, environment):
      found = list(rows.read_tfds('gsm8k', 'test', what='', otherwise=''))
      self.assertCountEqual(
        [row.fields['question'] for row in found],
        [f'Hów many are {i}?' for i in range(3)],
      )
      self.assertEqual([row.number for row in found], [0, 1, 2])
      self.assertRegex(found[1].where, r'^gsm8k/1.0.0\[test\] at 1$')
      with self.assertRaisesRegex(ValueError, 'split dev in TFDS, and has te'):
        list(rows.read_tfds('gsm8k', 'dev', what='set x', otherwise=''))


class CollectTest(Files):
  def collect(self, *fields):
    lines = '\n'.join(json.dumps(each) for each in fields)
    found = rows.read(self.write('x.jsonl', lines))
    return rows.collect(found, plain, name='things', split='test')

  def test_ids_are_the_numbers_of_the_rows(self):
    found = self.collect({'q': '1?', 'a': '-'}, {'q': ' 2? ', 'a': ' b '})
    want = Question(
      id='things-1', prompt='2?', answers=('b',), source='things/test'
    )
    self.assertEqual(found, [want])

  def test_a_question_that_is_repeated_counts_once(self):
    found = self.collect(
      {'q': 'Why  so?', 'a': 'x'},
      {'q': 'why so?', 'a': 'x'},
      {'q': 'why so?', 'a': 'y', 'c': 'of another passage'},
      {'q': 'why so', 'a': 'x'},
    )
    ids = [question.id for question in found]
    self.assertEqual(ids, ['things-0', 'things-2', 'things-3'])

  def test_two_answers_to_one_question_are_told_with_both_places(self):
    with self.assertRaisesRegex(
      ValueError, r'x.jsonl:3: .*same question has at .*x.jsonl:1, .*correct'
    ):
      self.collect(
        {'q': 'a', 'a': 'x'}, {'q': 'b', 'a': 'y'}, {'q': 'A', 'a': 'z'}
      )

  @parameterized.parameters(
    ({'q': 'b'}, "no 'a'"),
    ({'q': 3, 'a': 'x'}, "'q' must be a text, is 3"),
    ({'q': ' ', 'a': 'x'}, "'q' must be a text"),
    ({'q': 'b\ud800', 'a': 'x'}, 'lone surrogate'),
    ({'q': 'b', 'a': '.'}, 'no answer with a letter or digit'),
    ({'q': 'b', 'a': None}, 'answers must be texts'),
  )
  def test_a_row_of_another_form_is_told_with_its_place(self, fields, what):
    with self.assertRaisesRegex(
      ValueError,
      f'x.jsonl:2: expected a question of the form of things.*{what}',
    ):
      self.collect({'q': 'a', 'a': 'x'}, fields)

  def test_a_set_without_questions_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'things: expected at least one'):
      self.collect({'q': 'a', 'a': '-'})

  def test_answers_are_kept_in_order_once(self):
    self.assertEqual(
      rows.answers(['b ', '', 'a', '/', 'b', '7']), ('b', 'a', '7')
    )


if __name__ == '__main__':
  absltest.main()
