"""Openings, cuts and marks."""

from absl.testing import absltest, parameterized

from lacy.cascade import decode, writing

DOCS = [
  {'title': f'x {i}', 'topic': 'People' if i % 2 else 'Arts'}
  | {'text': f'Marie Curie {i} was born in Warsaw in {1800 + i}. She left.'}
  for i in range(120)
]


def marks(places):
  """{character: whether the partner wrote it} as decode has it."""
  return [decode.Mark(place, bool(by)) for place, by in places.items()]


def written(text, spans, characters=99, **made):
  made = decode.Cascaded(text=text, spans=spans, **made)
  return writing.Written([made], ['She was'], characters)


class OpeningTest(parameterized.TestCase):
  @parameterized.parameters(
    ('Marie Curie was a chemist. She is', 'Marie Curie was'),
    ('Cats are', 'Cats are'),
    ('The Isle of Man washed up', None),  # whole words only
    ('Is it', None),
    ('x' * 300 + ' is', None),
    ('Was there. It was', 'Was there. It was'),
  )
  def test_ends_with_the_first_copula(self, text, want):
    self.assertEqual(writing.opening(text), want)

  def test_articles_of_a_topic_in_order(self):
    got = writing.articles(DOCS, 3, 'People')
    self.assertEqual([a.title for a in got], ['x 1', 'x 3', 'x 5'])
    self.assertEqual(got[0].opening, 'Marie Curie 1 was')

  def test_no_article_is_refused(self):
    with self.assertRaisesRegex(ValueError, "topic='Chess'"):
      writing.articles(DOCS, 3, 'Chess')


class WrittenTest(absltest.TestCase):
  def test_counted_is_the_continuation_up_to_a_whole_word(self):
    text = 'She was in Warsaw then'
    for characters, want in ((3, ' in'), (9, ' in'), (10, ' in Warsaw')):
      got = written(text, [], characters).texts()
      self.assertEqual(got, [want])
    self.assertEqual(written(text, []).texts(), [' in Warsaw then'])

  def test_calls_are_counted_where_the_entities_are(self):
    # 'She was' is the opening; calls at the third word and the last.
    text = 'She was in Warsaw then in Paris'
    places = {7: 0, 10: 1, 17: 0, 22: 0, 25: 1}
    for characters, counted, want in (
      (99, ' in Warsaw then in Paris', (2 / 5, 2 / 5)),
      (12, ' in Warsaw', (1 / 2, 1 / 2)),
      (9, ' in', (0, 0)),
    ):
      made = written(
        text, [], characters, decisions=marks(places), tokens=marks(places)
      )
      self.assertEqual(made.texts(), [counted])
      got = made.accounts()
      self.assertEqual((got['call_rate'], got['delegated']), want)
      self.assertEqual(got['characters'], len(counted))

  def test_marks_join_neighbours_and_spare_the_space(self):
    text = 'She was in Warsaw then'
    got = written(text, [(10, 14), (14, 17), (17, 22)]).marked()
    self.assertEqual(got, ['She was in [[Warsaw then]]'])
    self.assertEqual(written('a b', [(1, 2)]).marked(), ['a[[ ]]b'])


if __name__ == '__main__':
  absltest.main()
