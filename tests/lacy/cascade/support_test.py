"""Supported names and numbers, counted by hand."""

import math

import numpy as np
from absl.testing import absltest, parameterized

from lacy.cascade import support

REFERENCE = (
  'Marie Sk\u0142odowska Curie (1867\u20131934) was born in Warsaw. She won '
  'the Nobel Prize in Physics with 2,000 others of the United States.'
)


def counted(text, *, reference=REFERENCE, given=''):
  spans = support.capitalised(text)
  return support.support(text, spans, reference, given=given)


class CapitalisedTest(parameterized.TestCase):
  @parameterized.parameters(
    ('He left Warsaw in 1891.', ['Warsaw', '1891']),
    ('Warsaw is large. Paris too.', []),  # their capitals say nothing
    ('It is New York, in the USA', ['New York', 'USA']),
    ('Then Pierre Curie met her; "Marie" is', ['Pierre Curie', 'Marie']),
    ('the Apollo program of 1,200.5 men', ['Apollo', '1,200.5']),
    ('on April 4,1999', ['April', '4', '1999']),
    ('of 1,2,3 and 12,345,678', ['1', '2', '3', '12,345,678']),
    ('', []),
  )
  def test_spans(self, text, want):
    got = [text[start:end] for start, end in support.capitalised(text)]
    self.assertEqual(got, want)

  def test_a_number_within_a_name_is_the_name(self):
    text = 'on Apollo 11 in 1969'
    got = support.with_numbers(text, [(3, 12)])
    self.assertEqual([text[a:b] for a, b in got], ['Apollo 11', '1969'])


class SurfaceTest(parameterized.TestCase):
  @parameterized.parameters(
    ('The United States', 'united states'),
    ("Curie's", 'curie'),
    ('2,000', '2000'),
    ('12,345,678.9', '12345678 9'),
    ('4,1999', '4 1999'),  # a day and a year
    ('April 4,1999', 'april 4 1999'),
    ('1234,567', '1234 567'),
    ('1,234,56', '1 234 56'),
    ('1867\u20131934', '1867 1934'),
    ('Theodore', 'theodore'),
    ('\u2014', ''),
  )
  def test_surface(self, text, want):
    self.assertEqual(support.surface(text), want)

  @parameterized.parameters(
    ('curie', True),
    ('warsaw', True),
    ('1867', True),
    ('2000', True),
    ('nobel prize', True),
    ('marie curie', False),  # not these words in this order
    ('war', False),  # no part of a word
    ('186', False),
    ('arsaw', False),  # nor the end of one
    ('67', False),
  )
  def test_stated(self, key, want):
    self.assertEqual(support.stated(key, REFERENCE), want)


class PrecisionTest(absltest.TestCase):
  def test_hand_count(self):
    # Warsaw and 1867 stand there; Paris and 1868 do not.
    got = counted('She left Warsaw in 1867 for Paris in 1868.')
    self.assertEqual(got, (2, 4))

  def test_saying_it_twice_counts_once(self):
    self.assertEqual(counted('in Warsaw, in WARSAW, in the Warsaw'), (1, 1))

  def test_what_the_prompt_states_is_left_out(self):
    got = counted('to Warsaw and Paris', given='Born in Warsaw, she was')
    self.assertEqual(got, (0, 1))

  def test_a_part_of_a_word_is_neither_supported_nor_given(self):
    self.assertEqual(counted('to War in 67', given='Of Warsaw, 1967'), (0, 2))

  def test_texts_are_pooled(self):
    counts = [
      support.Support(1, 1),
      support.Support(0, 3),
      support.Support(0, 0),
    ]
    self.assertEqual(support.supported_entity_precision(counts), 1 / 4)

  def test_nothing_said_is_no_score(self):
    none = [support.Support(0, 0)]
    self.assertTrue(math.isnan(support.supported_entity_precision(none)))
    self.assertTrue(all(map(math.isnan, support.bootstrap(none))))

  def test_the_reference_itself_is_supported(self):
    got = counted(REFERENCE)
    self.assertEqual(got.supported, got.entities)
    self.assertGreater(got.entities, 5)


class BootstrapTest(absltest.TestCase):
  def test_equal_texts_leave_no_doubt(self):
    self.assertEqual(
      support.bootstrap([support.Support(1, 4)] * 9), (0.25, 0.25)
    )

  def test_is_about_two_standard_errors_of_a_share(self):
    rng = np.random.default_rng(3)
    counts = [support.Support(int(hit), 1) for hit in rng.random(400) < 0.3]
    p = support.supported_entity_precision(counts)
    low, high = support.bootstrap(counts)
    error = math.sqrt(p * (1 - p) / 400)
    self.assertAlmostEqual((high - low) / (2 * 1.96 * error), 1.0, delta=0.1)
    self.assertBetween(p, low, high)

  def test_draws_the_texts_that_it_always_drew(self):
    counts = [support.Support(i * i % 5, 5 + i % 3) for i in range(12)]
    # As recorded before the shared bootstrap.
    self.assertEqual(
      support.bootstrap(counts), (0.14285714285714285, 0.44285714285714284)
    )


class FinderTest(absltest.TestCase):
  def test_spacy_finds_names_and_numbers(self):
    text = 'Marie Curie was born in Warsaw in 1867.'
    (spans,) = support.finder('ner')([text])
    found = [text[start:end] for start, end in spans]
    # The model is noisy: what it finds without doubt.
    self.assertIn('Warsaw', found)
    self.assertIn('1867', found)
    self.assertNotIn('born', found)

  def test_without_spacy(self):
    (spans,) = support.finder('caps_digits')(['She left Warsaw.'])
    self.assertEqual(spans, [(9, 15)])

  def test_unknown_rule(self):
    with self.assertRaisesRegex(ValueError, 'ner, caps_digits'):
      support.finder('regex')


if __name__ == '__main__':
  absltest.main()
