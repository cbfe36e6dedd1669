"""Summaries from counts, written out by hand."""

from absl.testing import absltest, parameterized

from calibration.selfreflect import constructions
from calibration.selfreflect.constructions import Option

FOUND = [Option('Lima', 0.6), Option('Cusco', 0.3), Option('Quito', 0.1)]
OTHER = [Option('Oslo', 1.0)]


class OptionsTest(absltest.TestCase):
  def test_counts_meanings_and_shows_the_usual_spelling(self):
    found = constructions.options(
      ['lima', 'Cusco', 'Lima.', 'Lima.', '', 'well'],
      ['lima', 'cusco', 'lima', 'lima', '', ''],
    )
    self.assertEqual(found, [Option('Lima', 0.5), Option('Cusco', 1 / 6)])

  def test_ties_go_to_the_first(self):
    found = constructions.options(['b', 'a'], ['b', 'a'])
    self.assertEqual([option.text for option in found], ['b', 'a'])


class MakeTest(parameterized.TestCase):
  def made(self, number=0, found=FOUND):
    return constructions.make(found, OTHER, samples=10, number=number)

  def test_texts(self):
    texts = self.made().texts
    self.assertEqual(
      texts['good'], 'Most likely Lima, quite possibly Cusco, maybe Quito.'
    )
    self.assertEqual(texts['percentages'], 'Lima: 60%, Cusco: 30%, Quito: 10%')
    self.assertEqual(texts['truncated'], 'Most likely Lima, quite')
    self.assertIn(texts['good'], texts['verbose'])
    self.assertTrue(texts['addition'].endswith('it may also be Oslo.'))
    self.assertTrue(texts['detailed'].startswith(texts['good']))

  @parameterized.parameters(
    (0, 'swapped', 'Most likely Cusco, quite possibly Lima, maybe Quito.'),
    (1, 'dropped', 'Most likely Lima, quite possibly Cusco.'),
    (
      2,
      'added',
      'Most likely Lima, quite possibly Cusco, maybe Quito, most likely Oslo.',
    ),
    (
      3,
      'flat',
      'Quite possibly Lima, quite possibly Cusco, quite possibly Quito.',
    ),
  )
  def test_faults_take_turns(self, number, fault, text):
    made = self.made(number)
    self.assertEqual((made.fault, made.texts['almost']), (fault, text))

  @parameterized.parameters(
    (0, 'replaced', 'Most likely Oslo, quite possibly Cusco, maybe Quito.'),
    (1, 'another', 'Oslo.'),
  )
  def test_bad(self, number, wrong, text):
    made = self.made(number)
    self.assertEqual((made.wrong, made.texts['bad']), (wrong, text))

  @parameterized.parameters(0, 1, 2, 3)
  def test_one_answer_stands_without_a_hedge(self, number):
    made = self.made(number, [Option('Lima', 1.0)])
    self.assertEqual(made.texts['good'], 'Lima.')
    # Only one fault is possible, and no construction is empty.
    self.assertEqual(made.fault, 'added')
    self.assertTrue(all(made.texts.values()))

  def test_equal_shares_cannot_be_swapped_or_flattened(self):
    even = [Option('a', 0.5), Option('b', 0.5)]
    self.assertEqual(self.made(0, even).fault, 'dropped')
    self.assertEqual(self.made(3, even).fault, 'dropped')

  def test_no_answer(self):
    with self.assertRaisesRegex(ValueError, 'at least one answer'):
      constructions.make([], OTHER, samples=10, number=0)


if __name__ == '__main__':
  absltest.main()
