"""What texts mean: labels told by hand, classes and clusters by counting."""

import numpy as np
from absl.testing import absltest, parameterized

from calibration.correctness import collapse
from calibration.recording import prompts, question_mix
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
    self.assertEqual(collapse.right(nothing), frozenset())


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
    self.assertEqual(collapse.right(question), labels)

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
    # A part of the option that is named is not named.
    ('on the stove top', 'stove top'),
    # Two options are named, or none.
    ('on the stove or in a lake', ''),
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

  @parameterized.parameters(
    # Options that are punctuation, or that differ in punctuation or case alone.
    (('/', '//', '%', '|'), '//'),
    (('-2', '-4', '-1', '1'), '-1'),
    (('111.9 ohm', '11.19 ohm', '108 ohm', '115 ohm'), '111.9 ohm'),
    (('12*sqrt(2)', '1/(2*sqrt(2))'), '12*sqrt(2)'),
    (('BB Bb', 'Bb Bb', 'Bb bb'), 'Bb Bb'),
    # The letter of another option.
    (('As', 'P', 'Sb', 'B'), 'B'),
    (
      ('I only.', 'II only.', 'III only.', 'I and III only.'),
      'I and III only.',
    ),
    # A set that repeats an option.
    (('mortal', 'dying', 'mortal'), 'mortal'),
  )
  def test_every_option_can_be_said_and_is_no_other(self, choices, answer):
    asked = self.ASKED._replace(choices=choices, answers=(answer,))
    for choice in choices:
      for style, text in (
        ('concise', choice),
        ('concise', f'{choice}.'),
        ('sentence', f'It would be {choice}.'),
        ('cot', f'{prompts.MARK} {choice}.'),
      ):
        said = collapse.label(asked, text, style)
        self.assertEqual(
          collapse.is_right(asked, style, said),
          choice == answer,
          msg=f'{text!r} in style {style}',
        )

  def test_an_option_may_be_longer_than_a_sentence(self):
    long = 'They differ. So they never meet.'
    asked = self.ASKED._replace(choices=(long, 'They do.'), answers=(long,))
    for text, want in ((f'{long} Yes.', True), ('A. They do.', True)):
      said = collapse.label(asked, f'{prompts.MARK} {text}', 'cot')
      self.assertEqual(collapse.is_right(asked, 'cot', said), want)


class NumberOfAnOpenQuestionTest(parameterized.TestCase):
  ASKED = of_open('when did the war that began in 1939 end', '1945')

  @parameterized.parameters(
    ('sentence', 'It ended on 2 September 1945.', True),
    ('sentence', 'In 1945 the war of 1939 ended.', True),
    ('sentence', 'The war that began in 1945 ended in 1947.', False),
    ('concise', 'September 2, 1945', True),
    ('cot', 'It was long. The answer is 1,945.', True),
    ('concise', '-1945', False),
    ('sentence', 'It ended in summer.', False),
  )
  def test_is_read_as_a_number(self, style, text, want):
    said = collapse.label(self.ASKED, text, style)
    self.assertEqual(collapse.is_right(self.ASKED, style, said), want)

  def test_its_spellings_are_one_class_and_words_another(self):
    labels = [
      collapse.label(self.ASKED, text, 'sentence')
      for text in ('It was 1945.', 'The war ended in 1945', 'In summer.')
    ]
    self.assertEqual(labels, ['1945', '1945', 'summer'])

  @parameterized.parameters(
    ('There are 24 of them in season 2.', True),
    ('Season 2 has 24 episodes', True),
    ('Season 24 has 2 episodes and 7 more', False),
  )
  def test_numbers_of_the_question_are_no_result(self, text, want):
    asked = of_open('how many episodes are in season 2', '24', '24 episodes')
    said = collapse.label(asked, text, 'sentence')
    self.assertEqual(collapse.is_right(asked, 'sentence', said), want)


class AcceptedAnswersTest(parameterized.TestCase):
  """Accepted answers keep their words, whatever the question says."""

  @parameterized.parameters(
    # The question names the answer.
    ('who won india vs west indies 2018', 'India', 'India won.', True),
    ('who won india vs west indies 2018', 'India', 'It was won by India', True),
    (
      'who won india vs west indies 2018', 'India',
      'West Indies won against India.', False,
    ),
    ('who won the match india or miami', 'India', 'The match India or Miami.',
     False),
    ('What is the plural of "sheep"?', 'sheep', 'The plural of "sheep" is '
     '"sheep".', True),
    ('What is the plural of "sheep"?', 'sheep', 'It is sheep.', True),
    ('What is the plural of "sheep"?', 'sheep', 'The plural of "sheep" is '
     '"sheeps".', False),
    ('What is the plural of "sheep"?', 'sheep', 'The plural of sheep', False),
    # The answer is a word of any sentence.
    ('What is the opposite of "out"?', 'in', 'The opposite of out is in.',
     True),
    ('What is the opposite of "out"?', 'in', 'It is found in houses.', False),
    # The question has a part of the answer: the rest alone is not the answer.
    ('what key is bahia honda on', 'Bahia Honda Key', 'It is Bahia Honda Key.',
     True),
    ('who rules england', 'the Queen of England', 'The Queen of Spain', False),
    ('who rules england', 'the Queen of England', 'England has a Queen.',
     False),
    (
      'What happens if you eat seeds?', 'You might not notice',
      'You might.', False,
    ),
    ('What happens if you eat seeds?', 'You might not notice',
     'If you eat seeds, you might not notice.', True),
    # Initials and titles do not end a sentence.
    ('who leads', 'Michael D. Higgins', 'It is Michael D. Higgins.', True),
  )  # fmt: skip
  def test_sentences(self, prompt, answer, text, want):
    asked = of_open(prompt, answer)
    for style, said in (('sentence', text), ('cot', f'{prompts.MARK} {text}')):
      found = collapse.label(asked, said, style)
      if style == 'sentence' or want:
        self.assertEqual(collapse.is_right(asked, style, found), want)

  @parameterized.parameters(
    ('Michael D. Higgins. He won.', 'michael d higgins'),
    ("St. John's", 'st johns'),
    ('McDonald v. Smith. It was long.', 'mcdonald v smith'),
    ('Paris! Not Rome.', 'paris'),
  )
  def test_where_the_answer_of_a_chain_ends(self, text, want):
    asked = of_open('who', 'x')
    found = collapse.label(asked, f'{prompts.MARK} {text}', 'cot')
    self.assertEqual(found, want)

  @parameterized.parameters('nq_open', 'truthful_qa', 'plurals', 'opposites')
  def test_every_question_of_a_set_can_be_right(self, name):
    questions = question_mix.load(name, count=300, seed=0)
    for asked in questions:
      for style in prompts.STYLES:
        start = '' if style == 'concise' else f'{prompts.MARK} '
        self.assertTrue(
          any(
            collapse.is_right(
              asked, style, collapse.label(asked, f'{start}{answer}.', style)
            )
            for answer in asked.answers
          ),
          msg=f'{asked} in style {style}',
        )


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


class AloneTest(absltest.TestCase):
  def test_share_of_samples_that_share_their_class_with_none(self):
    # 2 of 4 and 4 of 4.
    numbers = np.array([[0, 1, 0, 2], [0, 1, 2, 3]], np.int32)
    self.assertEqual(collapse.alone(numbers), 6 / 8)
    self.assertEqual(
      collapse.measured(numbers), {'alone': 0.75, 'collapse': 0.0}
    )

  def test_a_report_says_that_the_collapse_is_measured(self):
    numbers = np.arange(40, dtype=np.int32)[None]
    found = collapse.measured(numbers)
    self.assertEqual((found['alone'], found['collapse']), (1.0, 1.0))
    self.assertIn('not how sure the model is', found['note'])
    # At the limit it does not yet: 36 of 40 are alone.
    numbers = np.array([[*range(36), 36, 36, 37, 37]], np.int32)
    self.assertEqual(collapse.measured(numbers)['collapse'], 0.0)
    self.assertEqual(collapse.alone(np.zeros((0, 5), np.int32)), 0.0)


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
