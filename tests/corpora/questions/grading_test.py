"""What each grader accepts and refuses, by hand."""

from absl.testing import absltest, parameterized

from corpora.questions import grading


class GradingTest(parameterized.TestCase):
  @parameterized.parameters(
    ('The  Eiffel Tower!', 'eiffel tower'),
    ('a cat, an owl and the dog', 'cat owl and dog'),
    ("Nuku'alofa", 'nukualofa'),
    ('theatre anna', 'theatre anna'),
    ('São Tomé', 'sao tome'),
    ('A', 'a'),
    (' "a". ', 'a'),
    ('?', ''),
    # Numbers are values: sign, decimals and thousands.
    ('-5', '-5'),
    ('It is −5.', 'it is -5'),
    ('3.20 m', '3.2 m'),
    ('1,640', '1640'),
    ('$15,582,363,648.00!', '15582363648'),
    ('007', '7'),
    ('COVID (19)', 'covid 19'),
    ('1939-1945', '1939 1945'),
    # Parts of names are not.
    ('F-16', 'f16'),
    ('a 3-D A320', '3d a320'),
    ('the 1990s', '1990s'),
    ('1,234-a', '1234a'),
    ('v2.5', 'v2 5'),
  )
  def test_normalise(self, text, expected):
    self.assertEqual(grading.normalise(text), expected)

  @parameterized.parameters(
    ('exact', 'the Netherlands.', ('Holland', 'Netherlands'), True),
    ('exact', 'Netherlands, I think', ('Netherlands',), False),
    ('exact', 'Nether lands', ('Netherlands',), False),
    ('exact', '', ('a',), False),
    ('contains', 'It is the US dollar.', ('euro', 'Dollar'), True),
    ('contains', 'dollars', ('dollar',), False),
    ('contains', 'New South Wales', ('south-wales',), False),
    ('contains', 'in South, Wales', ('South Wales',), True),
    ('contains', '?', ('!',), False),
    ('contains', 'It is -5.', ('5',), False),
    ('contains', 'It is 5.', ('-5',), False),
    ('contains', 'It fell by 1,640 m', ('1640',), True),
    ('contains', 'pi is 3.14', ('314',), False),
    ('exact', '-5', ('5',), False),
    ('exact', '5.0', ('5',), True),
    ('numeric', 'It is 12,345.50 dollars', ('12345.5',), True),
    ('numeric', '7', ('5', '7.0'), True),
    ('numeric', '-7', ('7',), False),
    ('numeric', 'minus: −7', ('-7',), True),
    ('numeric', '+7', ('7',), True),
    ('numeric', '9 - 7', ('9',), True),
    ('numeric', 'item-7', ('7',), True),
    ('numeric', '.5', ('0.5',), True),
    ('numeric', '1,2', ('1',), True),
    ('numeric', '12,3456', ('12',), True),
    ('numeric', '5 or 7', ('7',), False),
    ('numeric', '1000000.5', ('1000000',), True),
    ('numeric', '1000002', ('1000000',), False),
    ('numeric', 'seven', ('7',), False),
    # Two words of three are shared by both: 2 * 2 / (3 + 3).
    ('f1', 'big red dog', ('big red cat',), True),
    # One of three: 2 * 1 / (3 + 3).
    ('f1', 'big red dog', ('big blue cat',), False),
    # A word counts as often as both have it: 2 * 1 / (1 + 4).
    ('f1', 'big', ('big big big big', 'x'), False),
    ('f1', 'dog', ('cat', 'dog'), True),
    ('f1', '', ('dog',), False),
  )
  def test_grade(self, name, answer, answers, expected):
    self.assertEqual(grading.grade(name, answer, answers), expected)

  @parameterized.parameters(
    (('9',), True),
    (('9 apples', '9'), True),
    (('-5',), True),
    (('$1,200.50',), True),
    (('11', '14', '24'), True),
    (('9 apples',), False),
    (('10 Downing Street',), False),
    (('5', 'five'), False),
    (('2 September 1945', '1945'), False),
    (('Apollo 11',), False),
    (('72–41',), False),
    (('1990s',), False),
    (('Paris',), False),
    ((), False),
  )
  def test_accepted_answers_show_whether_a_number_is_asked(self, answers, want):
    self.assertEqual(grading.asks_number(answers), want)

  @parameterized.parameters(
    ('', 'The sum of 1 and 2,000 is 2,001.', 2001),
    ('', 'There are 24 episodes in season 2.', 2),
    ('How long is season 2?', 'There are 24 episodes in season 2.', 24),
    ('What is 6 plus 4?', '10 is the sum of 6 and 4.', 10),
    # The question names all of them.
    ('What is 5 times 1?', '5 times 1 is 5.', 5),
    ('What is 3 minus 8?', '3 minus 8 is −5', -5),
    ('What is 3 minus 8?', 'It is negative.', None),
  )
  def test_the_final_number_of_a_sentence(self, question, text, want):
    self.assertEqual(grading.final_number(text, question=question), want)

  @parameterized.parameters(
    # A restated operand is no answer.
    ('What do you get when you multiply 0 by 0 is 77.', ('0',), False),
    ('9 minus 2 is 6, not 9', ('7',), False),
    ('Tom had 9 apples and has 4 left.', ('9', '9 apples'), False),
    ('Tom had 4 apples and has 9 now.', ('9', '9 apples'), True),
    ('It is -5', ('5',), False),
    ('It is 5.000001', ('5',), True),
    ('It is seven.', ('7',), False),
    # Words, and dates whose accepted answers are more than a number.
    ('It ended on 2 September 1945, after 6 years.', ('1945', 'in 1945'), True),
    ('It is in Paris.', ('Paris',), True),
  )
  def test_a_sentence_says_an_answer(self, text, answers, want):
    self.assertEqual(grading.says(text, answers), want)

  def test_f1_passes_at_its_threshold(self):
    # 2 * 1 / (1 + 3) = 0.5.
    self.assertTrue(grading.f1('dog', ['big red dog'], threshold=0.5))
    self.assertFalse(grading.f1('dog', ['big red dog'], threshold=0.51))

  @parameterized.parameters(0.0, 1.1)
  def test_f1_refuses_a_threshold_that_says_nothing(self, threshold):
    with self.assertRaisesRegex(ValueError, 'threshold must lie in'):
      grading.f1('dog', ['dog'], threshold=threshold)

  def test_an_accepted_answer_without_number_is_refused(self):
    with self.assertRaisesRegex(ValueError, "a number each, got \\['seven'\\]"):
      grading.numeric('7', ['seven'])

  def test_an_unknown_grader_is_told_the_known_ones(self):
    with self.assertRaisesRegex(
      ValueError, "one of exact, contains, numeric, f1, got 'fuzzy'"
    ):
      grading.grade('fuzzy', '7', ['7'])


if __name__ == '__main__':
  absltest.main()
