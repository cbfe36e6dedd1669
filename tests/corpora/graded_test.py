"""Generated questions: answers by hand, and again from the prompts' words."""

import re

from absl.testing import absltest, parameterized

from corpora import graded, words


def numbers(prompt):
  return [int(found) for found in re.findall(r'\d+', prompt)]


class GradedTest(parameterized.TestCase):
  @parameterized.parameters(
    ('addition_1', 'What is the sum of 7 and 8?', ('15',)),
    ('addition_2', 'What is 47 plus 85?', ('132',)),
    ('addition_2_1', 'What is 95 plus 8?', ('103',)),
    ('subtraction_2_1', 'What is 31 minus 4?', ('27',)),
    ('subtraction_2', 'What is 52 minus 37?', ('15',)),
    ('multiplication_1', 'What is 7 x 8?', ('56',)),
    ('multiplication_2_1', 'What is 12 times 9?', ('108',)),
    ('larger', 'Which is larger, 47 or 52?', ('52',)),
    ('sequence', 'What number comes next: 3, 7, 11, 15?', ('19',)),
    ('opposites', 'What is the opposite of "rich"?', ('poor',)),
    ('opposites', 'What is the opposite of "poor"?', ('rich', 'wealthy')),
    ('plurals', 'What is the plural of "mouse"?', ('mice',)),
    ('plurals', 'Complete: one cactus, two ...', ('cacti', 'cactuses')),
    ('past_tense', 'What is the past tense of "go"?', ('went',)),
    ('participle', 'Complete: to go, they have ...', ('gone',)),
    ('kinds', 'What kind of thing is this: trout?', ('fish',)),
    ('kinds', '"Knee" is the name of a what?', ('body part',)),
    ('first_letter', 'What is the first letter of "sheep"?', ('s',)),
    ('last_letter', 'What is the last letter of "sheep"?', ('p',)),
    ('word_length', 'How many letters are in "sheep"?', ('5',)),
    ('calendar', 'Which day comes 3 days after Saturday?', ('Tuesday',)),
    ('calendar', 'Which month comes 1 month before January?', ('December',)),
    (
      'calendar',
      'If it is March now, what was it 4 months ago?',
      ('November',),
    ),
    (
      'calendar',
      'If it is Monday now, what will it be in 1 day?',
      ('Tuesday',),
    ),
  )
  def test_answers(self, name, prompt, answers):
    found = [q.answers for q in graded.pool(name) if q.prompt == prompt]
    self.assertEqual(found, [answers])

  @parameterized.parameters(
    ('larger', max),
    ('maximum', max),
    ('sequence', lambda listed: listed[-1] + listed[1] - listed[0]),
  )
  def test_answers_follow_from_the_numbers_asked_about(self, name, rule):
    for question in graded.pool(name):
      expected = (str(rule(numbers(question.prompt))),)
      self.assertEqual(question.answers, expected, question.prompt)

  def test_lists_are_as_long_as_the_answer_says(self):
    for question in graded.pool('counting'):
      commas = question.prompt.count(',')
      self.assertEqual(question.answers, (str(commas + 1),), question.prompt)

  def test_both_numbers_are_the_larger_one_as_often(self):
    pool = graded.pool('larger')
    first = sum(
      numbers(question.prompt)[0] == int(question.answers[0])
      for question in pool
    )
    self.assertEqual(2 * first, len(pool))

  @parameterized.parameters(
    ('addition_1', 4 * 100),
    ('addition_2', 90 * 90),
    ('addition_2_1', 90 * 9),
    ('subtraction_2_1', 90 * 9),
    # Of the 8,100 pairs 90 are equal, and of the others half are in order.
    ('subtraction_2', 90 + 8010 // 2),
    ('multiplication_1', 4 * 100),
    ('multiplication_2_1', 90 * 8),
    ('larger', 90 * 89),
    ('maximum', 2000),
    ('sequence', 30 * 20),
    ('counting', 2000),
    # Two wordings, two directions, 12 * 11 and 7 * 6 pairs.
    ('calendar', 4 * (132 + 42)),
  )
  def test_so_many_there_are(self, name, expected):
    self.assertLen(graded.pool(name), expected)

  @parameterized.parameters(*graded.NAMES)
  def test_questions_differ_and_are_enough(self, name):
    pool = graded.pool(name)
    self.assertGreaterEqual(len(pool), 400)
    self.assertLen({question.prompt for question in pool}, len(pool))
    self.assertLen({question.id for question in pool}, len(pool))
    for question in pool:
      self.assertRegex(question.id, rf'^{name}-.+-\d+$')
      self.assertEqual(question.source, f'graded/{name}')
      self.assertNotIn('', question.answers)

  @parameterized.parameters(*graded.NAMES)
  def test_a_pool_is_the_same_again(self, name):
    self.assertEqual(graded.pool(name), graded.pool(name))

  def test_a_sum_and_its_reverse_are_one_group(self):
    ids = {question.prompt: question.id for question in graded.pool('larger')}
    self.assertEqual(ids['Which is larger, 47 or 52?'], 'larger-47+52-0')
    self.assertEqual(ids['Which is larger, 52 or 47?'], 'larger-47+52-1')

  def test_numeric_names_the_tasks_whose_answers_are_numbers(self):
    others = set(graded.NAMES) - graded.NUMERIC
    self.assertIn('addition_2', graded.NUMERIC)
    for name in graded.NAMES:
      for question in graded.pool(name):
        isdecimal = [answer.isdecimal() for answer in question.answers]
        self.assertEqual(any(isdecimal), name not in others)

  def test_an_unknown_task_is_told_the_known_ones(self):
    with self.assertRaisesRegex(ValueError, "one of addition_1, .*'division'"):
      graded.pool('division')


class WordsTest(parameterized.TestCase):
  def test_a_word_heads_one_pair_of_opposites(self):
    heads = [word for row in words.OPPOSITES for (word, *_) in row]
    self.assertGreaterEqual(len(words.OPPOSITES), 250)
    self.assertLen(set(heads), len(heads))

  @parameterized.parameters(('OPPOSITES', 2), ('PLURALS', 2), ('VERBS', 3))
  def test_rows_are_whole_and_differ(self, table, columns):
    rows = getattr(words, table)
    self.assertEqual({len(row) for row in rows}, {columns})
    self.assertLen({row[0] for row in rows}, len(rows))

  def test_a_thing_is_of_one_kind(self):
    things = [thing for _, listed in words.KINDS for thing in listed]
    self.assertLen(set(things), len(things))
    self.assertIn('body part', [kind for (kind, *_), _ in words.KINDS])


if __name__ == '__main__':
  absltest.main()
