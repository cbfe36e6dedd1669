"""Question sets that must be brought, in their published forms."""

import csv
import json
import os
import pathlib
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from corpora import tfds_store
from corpora.questions import published
from corpora.questions import question as questions
from tests.corpora.questions import rows_test

TRIVIA = {
  'Data': [
    {
      'Answer': {
        'Aliases': ['Park Grove (1895)', 'York York'],
        'MatchedWikiEntityName': 'York',
        'NormalizedAliases': ['york york'],
        'NormalizedValue': 'york',
        'Type': 'WikipediaEntity',
        'Value': 'York',
      },
      'Question': 'Where in England was Dame Judi Dench born?',
      'QuestionId': 'tc_3',
      'QuestionSource': 'http://www.triviacountry.com/',
    }
  ],
  'Domain': 'unfiltered-web',
  'Split': 'dev',
  'VerifiedEval': False,
  'Version': 1.0,
}
SQUAD = {
  'data': [
    {
      'title': 'T',
      'paragraphs': [
        {
          'context': 'Denver beat Carolina.',
          'qas': [
            {
              'id': '5',
              'question': 'Who won?',
              'answers': [
                {'text': 'Denver', 'answer_start': 0},
                {'text': 'Denver', 'answer_start': 0},
              ],
            },
            {
              'id': '6',
              'question': 'Who was third?',
              'answers': [],
              'is_impossible': True,
            },
            {
              'id': '7',
              'question': 'Who lost?',
              'answers': [{'text': 'Carolina', 'answer_start': 12}],
            },
          ],
        }
      ],
    }
  ],
  'version': '1.1',
}
GSM8K = {
  'question': 'How many altogether?',
  'answer': 'She sold 48/2 = <<48/2=24>>24 clips.\n#### 1,072',
}


class Folder(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    settings = {
      'SOCRATIC_ASSETS': str(self.root / 'own'),
      'TFDS_DATA_DIR': str(self.root / 'tfds'),
    }
    self.enter_context(mock.patch.dict(os.environ, settings))

  def write(self, name, content):
    path = self.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


class ReadTest(Folder):
  def test_trivia_qa_is_the_same_in_its_forms(self):
    path = self.write('web.json', json.dumps(TRIVIA))
    (found,) = published.read('trivia_qa', path)
    self.assertEqual(
      found,
      questions.Question(
        id='trivia_qa-0',
        prompt='Where in England was Dame Judi Dench born?',
        answers=('York', 'Park Grove (1895)', 'York York'),
        source='trivia_qa/web',
      ),
    )
    fields = {
      'question': found.prompt,
      'question_id': 'tc_3',
      'answer': {
        'value': 'York',
        'aliases': ['Park Grove (1895)', 'York York'],
        'normalized_value': 'york',
      },
    }
    path = self.write('web.jsonl', json.dumps(fields))
    self.assertEqual(published.read('trivia_qa', path), [found])

  def test_squad_leaves_out_what_has_no_answer(self):
    path = self.write('dev-v2.0.json', json.dumps(SQUAD))
    won, lost = published.read('squad', path)
    self.assertEqual(won.answers, ('Denver',))
    self.assertEqual(won.context, 'Denver beat Carolina.')
    self.assertEqual((lost.id, lost.prompt), ('squad-2', 'Who lost?'))
    fields = {
      'question': 'Who won?',
      'context': won.context,
      'answers': {'text': ['Denver'], 'answer_start': [0]},
    }
    path = self.write('dev-v2.0.jsonl', json.dumps(fields))
    self.assertEqual(published.read('squad', path), [won])

  def test_gsm8k_keeps_the_result(self):
    path = self.write('test.jsonl', json.dumps(GSM8K))
    (found,) = published.read('gsm8k', path)
    self.assertEqual(found.answers, ('1,072',))
    self.assertEqual(found.source, 'gsm8k/test')

  def test_simple_qa(self):
    path = self.root / 'simple_qa_test_set.csv'
    with path.open('w', newline='') as file:
      writer = csv.writer(file)
      writer.writerow(['metadata', 'problem', 'answer'])
      writer.writerow(
        ["{'topic': 'x'}", 'Who got it in 2010?', 'Michio Sugeno']
      )
    (found,) = published.read('simple_qa', path)
    self.assertEqual(found.prompt, 'Who got it in 2010?')
    self.assertEqual(found.answers, ('Michio Sugeno',))

  @parameterized.parameters('[]', '{"data": [{}]}', '{', '{"data": 3}')
  def test_another_json_is_told_what_is_expected(self, content):
    path = self.write('x.json', content)
    with self.assertRaisesRegex(
      ValueError, 'x.json: .*published form of squad, dev-v1.1.json of https'
    ):
      published.read('squad', path)

  @parameterized.parameters(
    ('gsm8k', {'answer': '72'}, 'must end with #### and a number'),
    ('gsm8k', {'answer': '#### '}, 'no answer with a letter or digit'),
    ('gsm8k', {'question': ''}, "'question' must be a text"),
  )
  def test_a_row_of_another_form_is_told(self, name, change, what):
    path = self.write('test.jsonl', json.dumps(GSM8K | change))
    with self.assertRaisesRegex(ValueError, f'test.jsonl:1: .*{what}'):
      published.read(name, path)

  def test_a_file_that_is_not_there(self):
    for name in ('/no/such.json', '/no/such.jsonl'):
      with self.assertRaisesRegex(FileNotFoundError, name):
        published.read('squad', name)


class LoadTest(Folder):
  def test_the_users_own_copy_wins(self):
    rows_test.prepare_gsm8k(self.root / 'tfds')
    prepared = published.load('gsm8k')
    self.assertCountEqual(
      [question.answers for question in prepared], [('0',), ('1',), ('2',)]
    )
    self.assertEqual(prepared[0].source, 'gsm8k/test')
    self.write('own/gsm8k/mine.jsonl', json.dumps(GSM8K))
    (found,) = published.load('gsm8k')
    self.assertEqual(found.source, 'gsm8k/mine')

  @parameterized.parameters(0, 2)
  def test_a_folder_of_another_number_of_files_is_refused(self, count):
    (self.root / 'own' / 'squad').mkdir(parents=True)
    for i in range(count):
      self.write(f'own/squad/{i}.json', json.dumps(SQUAD))
    with self.assertRaisesRegex(
      ValueError, f'one file of questions such as dev-v1.1.json, found {count}'
    ):
      published.load('squad')

  @parameterized.parameters(
    ('trivia_qa', 'tfds build trivia_qa/unfiltered.nocontext .* or put unf'),
    ('squad', 'question set squad .*tfds build squad/v1.1 .*dev-v1.1.json'),
    ('gsm8k', 'tfds build gsm8k .*in a folder gsm8k and set SOCRATIC_ASSETS'),
    ('simple_qa', 'set simple_qa is not here; put simple_qa_test_set.csv'),
  )
  def test_without_either_one_sentence_says_what_to_do(self, name, what):
    with self.assertRaisesRegex(FileNotFoundError, what):
      published.load(name)

  def test_squad_and_trivia_qa_are_read_as_tfds_has_them(self):
    # Sequences of dicts come as a dict of arrays.
    examples = {
      'squad/v1.1': {
        'question': b'Who won?',
        'context': b'Denver beat Carolina.',
        'answers': {
          'text': np.array([b'Denver'], object),
          'answer_start': np.array([0], np.int32),
        },
      },
      'trivia_qa/unfiltered.nocontext': {
        'question': b'Where?',
        'answer': {'value': b'York', 'aliases': np.array([b'York York'])},
      },
    }

    def find(name, what, otherwise):
      del what, otherwise
      builder = mock.Mock()
      builder.info.splits = ['train', 'validation']
      builder.info.full_name = name
      builder.as_data_source = lambda split: [examples[name]]
      return builder

    with mock.patch.object(tfds_store, 'find', find):
      (squad,) = published.load('squad')
      (trivia,) = published.load('trivia_qa')
    self.assertEqual(squad.answers, ('Denver',))
    self.assertEqual(squad.source, 'squad/validation')
    self.assertEqual(trivia.answers, ('York', 'York York'))

  def test_an_unknown_set_is_told_the_known_ones(self):
    for act in (published.load, lambda x: published.read(x, '')):
      with self.assertRaisesRegex(ValueError, "trivia_qa, .*qa, got 'squid'"):
        act('squid')


if __name__ == '__main__':
  absltest.main()
