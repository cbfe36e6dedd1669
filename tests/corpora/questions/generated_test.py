"""Generated questions: answers by hand, and again from the prompts' words."""

import collections
import hashlib
import re

from absl.testing import absltest, parameterized

from corpora.questions import generated, words


class GradedTest(parameterized.TestCase):
  @parameterized.parameters(
    ('addition_1', 'What is the sum of 7 and 8?', ('15',)),
    ('subtraction_1', 'What is left of 9 when 5 is taken away?', ('4',)),
    ('multiplication_1', 'What is 7 x 8?', ('56',)),
    ('opposites', 'What is the opposite of "rich"?', ('poor',)),
    ('opposites', 'What is the opposite of "poor"?', ('rich', 'wealthy')),
    ('plurals', 'What is the plural of "mouse"?', ('mice',)),
    ('plurals', 'Complete: one cactus, two ...', ('cacti', 'cactuses')),
    ('past_tense', 'What is the past tense of "go"?', ('went',)),
    ('participle', 'Complete: to go, they have ...', ('gone',)),
    ('kinds', 'What kind of thing is this: trout?', ('fish',)),
    ('kinds', '"Knee" is the name of a what?', ('body part',)),
    ('addition_2', 'How much is 24 and 28 together?', ('52',)),
    ('arithmetic', 'What is 7 times 6?', ('42',)),
  )
  def test_answers(self, name, prompt, answers):
    found = [q.answers for q in generated.pool(name) if q.prompt == prompt]
    self.assertEqual(found, [answers])

  def test_the_largest_is_the_answer_wherever_it_stands(self):
    places = set()
    for question in generated.pool('maximum'):
      numbers = [int(found) for found in re.findall(r'\d+', question.prompt)]
      self.assertLen(numbers, 5)
      self.assertEqual(question.answers, (str(max(numbers)),), question.prompt)
      listed = '+'.join(str(number) for number in sorted(numbers))
      self.assertStartsWith(question.id, f'maximum-{listed}-')
      places.add(numbers.index(max(numbers)))
    self.assertLen(places, 5)

  @parameterized.parameters(
    ('addition_1', 5 * 100),
    # Eight wordings, and from 0 to 9 one pair more each time.
    ('subtraction_1', 8 * 55),
    ('multiplication_1', 5 * 100),
    ('maximum', 2000),
    ('opposites', 2 * 333),
    ('plurals', 3 * 156),
    ('past_tense', 3 * 172),
    ('participle', 3 * 172),
    ('kinds', 2 * 359),
    ('addition_2', 5 * 400),
    # Six combinations of 1, 2 and 3 digits.
    ('arithmetic', 3 * 6 * 50),
  )
  def test_so_many_there_are(self, name, expected):
    self.assertLen(generated.pool(name), expected)

  @parameterized.parameters(*generated.NAMES)
  def test_questions_differ_and_are_enough(self, name):
    pool = generated.pool(name)
    self.assertGreaterEqual(len(pool), 400)
    self.assertLen({question.prompt for question in pool}, len(pool))
    self.assertLen({question.id for question in pool}, len(pool))
    for question in pool:
      self.assertRegex(question.id, rf'^{name}-.+-\d+$')
      self.assertEqual(question.source, f'graded/{name}')
      self.assertNotIn('', question.answers)

  @parameterized.parameters(*generated.NAMES)
  def test_a_pool_is_the_same_again(self, name):
    self.assertEqual(generated.pool(name), generated.pool(name))

  def test_a_sum_and_its_reverse_are_one_group(self):
    ids = {q.prompt: q.id for q in generated.pool('addition_1')}
    self.assertEqual(ids['What is 3 plus 8?'], 'addition_1-3+8-0')
    self.assertEqual(ids['What is 8 plus 3?'], 'addition_1-3+8-5')

  def test_sums_of_two_digits_are_right_and_no_pair_comes_twice(self):
    pairs = []
    for question in generated.pool('addition_2'):
      a, b = (int(found) for found in re.findall(r'\d+', question.prompt))
      self.assertBetween(min(a, b), 10, 99)
      self.assertBetween(max(a, b), 10, 99)
      self.assertEqual(question.answers, (str(a + b),), question.prompt)
      pairs.append(frozenset((a, b)))
    self.assertEqual(set(collections.Counter(pairs).values()), {5})

  def test_mixed_arithmetic_is_right_and_of_all_numbers_of_digits(self):
    digits = collections.Counter()
    for question in generated.pool('arithmetic'):
      words = question.prompt.removesuffix('?').split()
      a, b = int(words[2]), int(words[4])
      right = {'plus': a + b, 'minus': a - b, 'times': a * b}[words[3]]
      self.assertGreaterEqual(right, 0)
      self.assertEqual(question.answers, (str(right),), question.prompt)
      sizes = sorted((len(words[2]), len(words[4])))
      digits[words[3], *sizes] += 1
    self.assertLen(digits, 3 * 6)
    self.assertEqual(set(digits.values()), {50})

  def test_the_order_of_a_drawn_pair_is_drawn_too(self):
    for name in ('addition_2', 'arithmetic'):
      orders = collections.Counter()
      for question in generated.pool(name):
        a, b = (int(found) for found in re.findall(r'\d+', question.prompt))
        if 'minus' not in question.prompt:
          orders[a > b] += 1
      self.assertBetween(orders[True] / orders.total(), 0.3, 0.7)

  def test_numeric_names_the_tasks_whose_answers_are_numbers(self):
    others = set(generated.NAMES) - generated.NUMERIC
    self.assertIn('maximum', generated.NUMERIC)
    for name in generated.NAMES:
      for question in generated.pool(name):
        isdecimal = [answer.isdecimal() for answer in question.answers]
        self.assertEqual(any(isdecimal), name not in others)

  def test_an_unknown_task_is_told_the_known_ones(self):
    with self.assertRaisesRegex(ValueError, "one of addition_1, .*'division'"):
      generated.pool('division')


class WordsTest(parameterized.TestCase):
  @parameterized.parameters(
    (
      'OPPOSITES',
      'c2f6851b362cd64cb2fdce51a132d03b0fee496a6f24ea3fd4ece43ad6f27fbe',
    ),
    (
      'PLURALS',
      'e955ba2bb75d558fb08853d92bb75f44ea6f4dd1415bd26f2537a0f325256a65',
    ),
    (
      'VERBS',
      '14b938abaa5e0ae3011e7300cb7b627e98c9740ae327cf07741087d51f746acf',
    ),
    (
      'KINDS',
      '9d436bad1ce3f1049f7037f1f03deffe6f3d6fa222bb26fcc14d0dd74d4e98b4',
    ),
  )
  def test_lists_are_those_of_the_recorded_results(self, table, digest):
    text = repr(getattr(words, table)).encode()
    self.assertEqual(hashlib.sha256(text).hexdigest(), digest)

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
