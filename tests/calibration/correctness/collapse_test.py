"""What texts mean: labels told by hand, classes and clusters by counting."""

import numpy as np
from absl.testing import absltest, parameterized

from calibration.correctness import collapse
from calibration.recording import prompts
from corpora.questions.question import Question
from tests.calibration import support


def fact(relation, prompt, *answers):
  return Question(
    id=f'{relation}-XX-0',
    prompt=prompt,
    answers=answers,
    source=f'world_facts/{relation}',
  )


def of_open(prompt, *answers):
  return Question(id='n-1', prompt=prompt, answers=answers, source='nq_open/v')


class NumbersTest(parameterized.TestCase):
  @parameterized.parameters(
    ('8', '8'),
    ('1,234', '1234'),
    ('$1,234.50.', '1234.5'),
    ('about 12.0 km', '12'),
    ('-3', '-3'),
    ('−3 degrees', '-3'),
    ('+3', '3'),
    ('-0', '0'),
    ('.5', '0.5'),
    ('€-7', '-7'),
    ('007', '7'),
    ('3-4', '3'),
    ('4, 5, 6', '4'),
    ('1,2', '1'),
    ('seven', ''),
    ('', ''),
    ('-', ''),
  )
  def test_the_first_is_the_answer_of_a_few_words(self, text, want):
    got = collapse.label(support.question(), text, 'concise')
    self.assertEqual(got, want)

  def test_the_last_is_that_of_a_sentence(self):
    text = 'The sum of 1 and 2,000 is 2,001.'
    self.assertEqual(collapse.label(support.question(), text, 'concise'), '1')
    self.assertEqual(
      collapse.label(support.question(), text, 'sentence'), '2001'
    )

  def test_spellings_of_a_value_are_right_and_no_answer_never_is(self):
    asked = support.question(999, answers=('1,000',))
    for style in prompts.STYLES:
      mark = f'{prompts.MARK} ' if style == 'cot' else ''
      for text, want in (
        ('1000', True),
        ('$1,000.00', True),
        ('100', False),
        ('none', False),
        ('', False),
      ):
        said = collapse.label(asked, mark + text, style)
        self.assertEqual(collapse.is_right(asked, style, said), want)
    nothing = asked._replace(answers=('',))
    self.assertFalse(collapse.is_right(nothing, 'concise', ''))
    self.assertEqual(collapse.right(nothing, 'concise'), frozenset())


class ChainsTest(parameterized.TestCase):
  @parameterized.parameters(
    ('4 and 4 is 8. The answer is 24.', '24'),
    # The last mark, and the sentence after it only.
    ('The answer is 5. No! The answer is 6. So 7.', '6'),
    ('The answer is 3.5. It is.', '3.5'),
    # A chain that was cut has no answer, whatever numbers it went through.
    ('4 and 4 is 8, and 3 times 8 is', ''),
    ('The answer is', ''),
    ('the answer is 24.', ''),
  )
  def test_what_stands_after_the_mark(self, text, want):
    self.assertEqual(collapse.label(support.question(), text, 'cot'), want)


class FactsTest(parameterized.TestCase):
  def label(self, relation, prompt, text, style='sentence'):
    return collapse.label(fact(relation, prompt), text, style)

  def test_the_longest_name_is_read_first(self):
    ask = 'Juba is the capital of which country?'
    south = self.label('country', ask, 'Juba is in South Sudan.')
    self.assertEqual(south, 'south sudan')
    self.assertEqual(self.label('country', ask, 'Sudan'), 'sudan')
    # Bahasa alone is Indonesian.
    ask = 'Name a language spoken in Malaysia.'
    for text, want in (('Bahasa Melayu', 'malay'), ('Bahasa', 'indonesian')):
      self.assertEqual(self.label('language', ask, text), want)
    # Not within a word, either.
    self.assertNotEqual(self.label('country', ask, 'Omani food'), 'oman')

  def test_names_of_one_country_are_one_label(self):
    ask = 'Which country has the capital Amsterdam?'
    labels = {
      self.label('country', ask, text)
      for text in ('Holland.', 'It is the Netherlands', 'NETHERLANDS')
    }
    self.assertLen(labels, 1)
    question = fact('country', ask, 'Netherlands', 'Holland')
    self.assertEqual(collapse.right(question, 'sentence'), labels)

  def test_accents_do_not_count(self):
    ask = 'What is the capital of Cameroon?'
    self.assertEqual(
      self.label('capital', ask, 'Yaoundé'),
      self.label('capital', ask, 'yaounde'),
    )

  def test_what_the_question_names_is_no_answer(self):
    ask = 'Which country is next to France?'
    text = 'France borders Spain and Germany.'
    self.assertEqual(self.label('neighbour', ask, text), 'spain')

  def test_unless_nothing_else_is_named(self):
    question = fact(
      'continent', 'Name the continent of South Africa.', 'Africa'
    )
    for text, want in (
      ('South Africa is in Africa.', True),
      ('South Africa is a country in Asia.', False),
      ('Africa', True),
    ):
      said = collapse.label(question, text, 'sentence')
      self.assertEqual(collapse.is_right(question, 'sentence', said), want)

  def test_what_is_not_in_the_list_is_its_words(self):
    ask = 'What is the capital of France?'
    said = self.label('capital', ask, 'The capital of France is Gotham City.')
    self.assertEqual(said, 'gotham city')
    self.assertEqual(self.label('capital', ask, 'The capital of France is'), '')


class ChoicesTest(parameterized.TestCase):
  ASKED = Question(
    id='c-1',
    prompt='Where is a pan put?',
    answers=('the stove',),
    choices=('a lake', 'the stove', 'stove top'),
    source='commonsense_qa/v',
  )

  @parameterized.parameters(
    ('B', 'stove'),
    ('(b).', 'stove'),
    ('A', 'lake'),
    ('B. the stove', 'stove'),
    ('Stove', 'stove'),
    ('on the stove', 'stove'),
    # Two options are named, or none.
    ('on the stove top', ''),
    ('in the sky', ''),
    ('', ''),
  )
  def test_by_letter_and_by_text(self, text, want):
    self.assertEqual(collapse.label(self.ASKED, text, 'concise'), want)

  def test_only_the_option_itself_is_right(self):
    for text, want in (('b', True), ('c', False), ('stove top', False)):
      said = collapse.label(self.ASKED, text, 'concise')
      self.assertNotEqual(said, '')
      # All that is in doubt is no answer; `stove top` contains the answer.
      self.assertEqual(collapse.is_right(self.ASKED, 'concise', said), want)


class OpenTest(parameterized.TestCase):
  ASKED = of_open(
    'who sets interest rates in england', 'the Bank of England', 'BoE'
  )

  @parameterized.parameters(
    ('concise', 'Bank of England', True),
    ('concise', 'the bank of england!', True),
    ('concise', 'It is the Bank of England', True),
    ('concise', 'Bank', False),
    ('concise', 'Parliament', False),
    ('sentence', 'Interest rates are set by the Bank of England.', True),
    ('sentence', 'The BoE sets interest rates in England.', True),
    ('sentence', 'Parliament sets interest rates in England.', False),
    ('sentence', 'Interest rates in England are', False),
    ('cot', 'Rates are set. The answer is Bank of England.', True),
    ('cot', 'The Bank of England sets rates.', False),
  )
  def test_a_right_answer_may_stand_in_a_sentence(self, style, text, want):
    said = collapse.label(self.ASKED, text, style)
    self.assertEqual(collapse.is_right(self.ASKED, style, said), want)

  def test_sentences_of_one_answer_are_one_class(self):
    labels = {
      collapse.label(self.ASKED, text, 'sentence')
      for text in (
        'Parliament sets interest rates in England.',
        'In England, interest rates are set by the Parliament',
      )
    }
    # 'set' is not 'sets': what is left is more than the answer.
    self.assertEqual(labels, {'parliament', 'set parliament'})

  def test_generated_questions_about_words_are_open(self):
    asked = support.question(
      source='graded/opposites',
      prompt='What is the opposite of "hot"?',
      answers=('cold',),
    )
    self.assertEqual(prompts.kind(asked), 'open')
    self.assertTrue(collapse.is_right(asked, 'concise', 'cold'))


class ClassesTest(absltest.TestCase):
  def test_numbers_are_by_first_appearance(self):
    numbers, names = collapse.classes(['b', 'a', '', 'b', 'a', 'c'])
    self.assertEqual(numbers.tolist(), [0, 1, 2, 0, 1, 3])
    self.assertEqual(names, ['b', 'a', '', 'c'])
    numbers, names = collapse.classes([])
    self.assertEqual((numbers.tolist(), names), ([], []))


class ClustersTest(absltest.TestCase):
  def test_compared_with_the_first_of_each_in_order(self):
    asked = []

    def near(one, other):
      asked.append((one, other))
      return abs(int(one) - int(other)) <= 2

    # 2 is near to 4, but it is 0 that stands for the first class.
    found = collapse.clusters(['0', '2', '4', '3', '0', '1', '4'], near)
    self.assertEqual(found.tolist(), [0, 0, 1, 1, 0, 0, 1])
    # 3 is near to both 2 and 4, and compared with 0 first.
    self.assertEqual(
      asked,
      [
        ('0', '2'),
        ('0', '4'),
        ('0', '3'),
        ('4', '3'),
        ('0', '1'),
      ],
    )

  def test_entailment_must_go_both_ways(self):
    follows = {
      ('a dog', 'an animal'),
      ('a dog', 'a hound'),
      ('a hound', 'a dog'),
    }
    same = collapse.both_ways(lambda one, other: (one, other) in follows)
    self.assertFalse(same('a dog', 'an animal'))
    self.assertFalse(same('an animal', 'a dog'))
    self.assertTrue(same('a dog', 'a hound'))

  def test_similar_by_the_cosine_of_texts_that_are_encoded_once(self):
    calls = []

    def sentences(texts):
      calls.append(list(texts))
      angles = np.radians([float(text) for text in texts])
      return np.stack([np.cos(angles), np.sin(angles)], 1)

    texts = ['0', '50', '100', '0']
    same = collapse.similar(texts, sentences, threshold=0.6)
    # cos 50 = 0.64, cos 100 = -0.17; the limit is at 53 degrees.
    self.assertEqual(
      [same(*pair) for pair in (('0', '50'), ('50', '100'), ('0', '100'))],
      [True, True, False],
    )
    self.assertEqual(collapse.clusters(texts, same).tolist(), [0, 0, 1, 0])
    self.assertEqual(calls, [['0', '50', '100']])

  def test_nonsense_is_refused(self):
    for threshold in (0.0, 1.1, -0.5):
      with self.assertRaisesRegex(ValueError, r'threshold must be in \(0, 1\]'):
        collapse.similar([], lambda texts: None, threshold=threshold)
    self.assertEqual(
      collapse.clusters([], collapse.similar([], None, threshold=1.0)).size, 0
    )


if __name__ == '__main__':
  absltest.main()
