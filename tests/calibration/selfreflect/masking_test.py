"""Section 9's oracle of masking, and answers that are hard to split."""

from absl.testing import absltest, parameterized

from calibration.selfreflect import make_stop_words, masking

STOPS = frozenset(('the', 'is', 'you', 'with'))


class MaskTest(parameterized.TestCase):
  @parameterized.parameters(
    (
      'The easiest is backstroke, clearly.',
      ['easiest', 'backstroke,', 'clearly.'],
    ),
    ('you is the', ['you', 'is', 'the']),
    ('', []),
    (' \n ', []),
    ('The "is".', ['The', '"is".']),
    ('about 3.14,  or so', ['about', '3.14,', 'or', 'so']),
    # A word that is punctuation alone is no stop word: it is not in the list.
    ('the -', ['-']),
  )
  def test_words(self, answer, words):
    found = masking.mask(answer, STOPS)
    self.assertEqual([task.word for task in found], words)

  def test_the_gap_takes_the_place_of_this_word_alone(self):
    found = masking.mask('no, no\tno', STOPS)
    self.assertEqual(
      [task.text for task in found], ['_ no\tno', 'no, _\tno', 'no, no\t_']
    )

  def test_the_same_task_is_counted(self):
    found = masking.tasks(['Lima', 'the Lima', 'Lima', ''], STOPS)
    self.assertEqual(
      found,
      {masking.Masked('_', 'Lima'): 2, masking.Masked('the _', 'Lima'): 1},
    )

  def test_our_stop_words(self):
    words = masking.stop_words()
    self.assertTrue({'the', 'is', 'was', 'of'} <= words)
    self.assertNotIn('paris', words)
    self.assertEqual(words, {masking.plain(word) for word in words})


class MakeTest(absltest.TestCase):
  def test_mean_tfidf_by_hand(self):
    # Smooth idf: 1 + ln((1 + 2) / (1 + df)); rows of length 1.
    found = make_stop_words.mean_tfidf(['The cat', 'the DOG a'])
    rare = 1.4054651  # 1 + ln(3 / 2); of 'the' it is 1
    length = (1 + rare**2) ** 0.5
    self.assertAlmostEqual(found['the'], 1 / length, places=6)
    self.assertAlmostEqual(found['cat'], rare / length / 2, places=6)
    self.assertNotIn('a', found)
    self.assertEqual(make_stop_words.above(found, 0.5), ['the'])


if __name__ == '__main__':
  absltest.main()
