"""Oracles O6 and O7 of docs/papers/lacy.md: first mentions and alignment."""

import numpy as np
from absl.testing import absltest, parameterized

from lacy.facts import spans
from lm import tokenizer as tokenizer_lib

CURIE = 'Marie Curie was born in Warsaw. Curie left Warsaw in 1891.'
ENTITIES = [(0, 11), (24, 30), (32, 37), (43, 49), (53, 57)]
EARL = 'Earl \u2013 1751'


class FirstMentionsTest(parameterized.TestCase):
  def test_o6_by_surface(self):
    got = spans.first_mentions(CURIE, ENTITIES)
    self.assertEqual(got, [(0, 11), (24, 30), (32, 37), (53, 57)])

  def test_o6_by_word(self):
    got = spans.first_mentions(CURIE, ENTITIES, 'word')
    self.assertEqual(got, [(0, 11), (24, 30), (53, 57)])

  def test_o6_the_memory_is_one_documents(self):
    once = spans.first_mentions(CURIE, ENTITIES)
    self.assertEqual(spans.first_mentions(CURIE, ENTITIES), once)

  def test_case_does_not_make_a_new_mention(self):
    text = 'Warsaw, WARSAW'
    self.assertEqual(spans.first_mentions(text, [(0, 6), (8, 14)]), [(0, 6)])

  def test_by_word_splits_around_what_was_seen(self):
    text = 'Curie. Marie Curie Prize'
    got = spans.first_mentions(text, [(0, 5), (7, 24)], 'word')
    self.assertEqual(got, [(0, 5), (7, 12), (19, 24)])

  def test_unknown_unit(self):
    with self.assertRaisesRegex(ValueError, 'surface or word'):
      spans.first_mentions('', [], 'letter')


class CapsDigitsTest(absltest.TestCase):
  def test_runs_and_numbers(self):
    got = [CURIE[a:b] for a, b in spans.caps_digits(CURIE)]
    self.assertEqual(got, ['Marie Curie', 'Warsaw', 'Curie', 'Warsaw', '1891'])

  def test_other_alphabets(self):
    text = '\u00c9mile Zola, \u041c\u043e\u0441\u043a\u0432\u0430, 3.14'
    got = [text[a:b] for a, b in spans.caps_digits(text)]
    self.assertEqual(got, ['\u00c9mile Zola', text[12:18], '3.14'])

  def test_numbers_of_a_name_are_part_of_it(self):
    text = 'Apollo-11 left on 16 July 1969'
    got = [text[a:b] for a, b in spans.caps_digits(text)]
    self.assertEqual(got, ['Apollo-11', '16', 'July', '1969'])


class TokenMaskTest(parameterized.TestCase):
  def test_o7_character_offsets(self):
    tokenizer = tokenizer_lib.Tokenizer.train([EARL] * 3, vocab_size=300)
    ids, offsets = tokenizer.encode_with_offsets(EARL)
    mask = spans.token_mask(offsets, [(7, 11)], len(EARL))
    flagged = [i for i, on in zip(ids, mask, strict=True) if on]
    self.assertEqual(tokenizer.decode(flagged).strip(), '1751')
    rest = [i for i, on in zip(ids, mask, strict=True) if not on]
    self.assertNotRegex(tokenizer.decode(rest), r'\d')

  def test_o7_byte_offsets(self):
    # Bytes: 'Earl' 0-4, ' ' 4-5, en dash 5-8, ' ' 8-9, '1751' 9-13.
    in_bytes = np.array([[0, 4], [5, 8], [9, 11], [11, 13]])
    offsets = spans.byte_to_char_offsets(EARL, in_bytes)
    np.testing.assert_array_equal(offsets, [[0, 4], [5, 6], [7, 9], [9, 11]])
    mask = spans.token_mask(offsets, [(7, 11)], len(EARL))
    np.testing.assert_array_equal(mask, [False, False, True, True])
    # Unconverted they would miss the first half and overrun the text.
    self.assertGreater(in_bytes.max(), len(EARL))

  def test_bytes_inside_a_character_cover_it(self):
    offsets = spans.byte_to_char_offsets('a\u6771b', np.array([[1, 2], [2, 4]]))
    np.testing.assert_array_equal(offsets, [[1, 2], [1, 2]])

  def test_touching_is_enough_and_empty_tokens_are_none(self):
    offsets = np.array([[0, 2], [2, 5], [5, 5], [5, 6]])
    mask = spans.token_mask(offsets, [(4, 6), (5, 6)], 6)
    np.testing.assert_array_equal(mask, [False, True, False, True])

  @parameterized.parameters(
    ('1,200 and 12,345,678.5', ['1,200', '12,345,678.5']),
    ('4,1999 or 1,2,3', ['4', '1999', '1', '2', '3']),
    ('1234,567 and 1,234,5', ['1234', '567', '1', '234', '5']),
    ('3.14, 1.2.3, 7.', ['3.14', '1.2.3', '7']),
  )
  def test_commas_of_a_number_part_groups_of_three(self, text, want):
    found = spans.caps_digits(text)
    self.assertEqual([text[start:end] for start, end in found], want)

  def test_no_spans_no_facts(self):
    mask = spans.token_mask(np.array([[0, 1]]), [], 1)
    np.testing.assert_array_equal(mask, [False])


if __name__ == '__main__':
  absltest.main()
