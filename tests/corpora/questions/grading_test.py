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
