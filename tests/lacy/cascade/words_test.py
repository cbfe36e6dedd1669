"""Pieces of hand-made documents."""

from absl.testing import absltest, parameterized

from lacy.cascade import words

DOCUMENT = 'Marie Curie (born 1,867) met Marie Anne.'
#           0     6      13   18      25  29
ENTITIES = [(0, 11), (18, 23), (29, 39)]
MARKS = [' (', ')', '.']


def follow(text, unit='word', document=DOCUMENT, entities=ENTITIES):
  return words.Words(document, entities).follow(text, unit)


class WordsTest(parameterized.TestCase):
  def test_the_words_and_marks_of_the_document_with_their_spaces(self):
    each = [' Marie', ' Curie', ' born', ' 1,867', ' met', ' Anne']
    self.assertEqual(follow('She'), each + MARKS)

  def test_no_second_space(self):
    each = ['Marie', 'Curie', 'born', '1,867', 'met', 'Anne']
    self.assertEqual(follow('She '), [*each, '(', ')', '.'])

  def test_a_word_that_is_begun_may_be_ended(self):
    got = follow('Mar')
    self.assertEqual(got[0], 'ie')
    self.assertIn(' Curie', got)
    self.assertEqual(follow('in 1')[0], ',867')
    self.assertEqual(follow('Xar')[0], ' Marie')  # no word begins so

  def test_behind_a_mark_with_a_space_or_without(self):
    got = follow('(')
    self.assertEqual(got[:3], ['Marie', 'Curie', 'born'])
    self.assertIn(' born', got)

  def test_a_span_is_the_rest_of_a_name(self):
    want = [' Marie Curie', ' Curie', ' born', ' 1,867', ' met', ' Marie Anne']
    self.assertEqual(follow('She', 'span'), [*want, ' Anne', *MARKS])
    self.assertEqual(follow('Mar', 'span')[:2], ['ie Curie', 'ie Anne'])

  @parameterized.parameters('', ' ', '...', '() \u2014')
  def test_without_a_word_there_is_no_piece(self, document):
    self.assertEqual(follow('She', document=document, entities=[]), [])

  def test_every_piece_stands_in_the_document(self):
    text = 'Jean-Luc O\u2019Neil, 19th of 1.5 \u00e9t\u00e9s (1,200).'
    for piece in follow('x', document=text, entities=[]):
      self.assertIn(piece.strip(), text)
    got = follow('x', document=text, entities=[])
    for piece in (' 19th', ' 1.5', ' 1,200', ' \u00e9t\u00e9s', '-', ' ('):
      self.assertIn(piece, got)


if __name__ == '__main__':
  absltest.main()
