"""Figures over seeds."""

from absl.testing import absltest, parameterized

from engine.report import claims

SUMMARIES = {
  'one': [{'error': 0.5, 'rule': 'x'}, {'error': 0.25, 'rule': 'x'}],
  'two:b': [{'error': 1.0, 'rule': 'y'}, {'error': 1.0, 'rule': 'y'}],
}


class SpreadTest(parameterized.TestCase):
  @parameterized.parameters(
    ([0.5, 0.25], [0.375, 0.25, 0.5]),
    ([2, 2], 2),
    (['x', 'x'], 'x'),
    (['x', 'y'], 'x, y'),
  )
  def test_spread(self, values, want):
    self.assertEqual(claims.spread(values), want)

  def test_flat_results(self):
    got = claims.flatten(SUMMARIES)
    self.assertEqual(got['one/error'], [0.375, 0.25, 0.5])
    self.assertEqual(got['two:b/rule'], 'y')


class MarginsTest(absltest.TestCase):
  def test_over_seeds_by_hand(self):
    found = claims.margins(
      {
        'one less two': lambda v: v['one']['error'] - v['two:b']['error'],
        'one alone': lambda v: v['one']['error'],
      },
      SUMMARIES,
    )
    self.assertEqual(
      found,
      {
        'one less two': [-0.625, -0.75, -0.5],
        'one alone': [0.375, 0.25, 0.5],
      },
    )

  def test_three_numbers_where_the_seeds_agree(self):
    found = claims.over({'x': lambda run: run}, [1 / 3, 1 / 3])
    self.assertEqual(found, {'x': [0.333333] * 3})

  def test_what_cannot_be_made_is_left_out(self):
    runs = [{'a': 1.0, 'word': 'x'}, {'word': 'y', 'nan': float('nan')}]
    found = claims.over(
      {
        'missing for one seed': lambda run: run['a'],
        'undefined for one seed': lambda run: run.get('nan', 1.0),
        'no number': lambda run: run['word'],
        'a difference of words': lambda run: run['word'] - 1,
        'made': lambda run: 2,
      },
      runs,
    )
    self.assertEqual(found, {'made': [2.0, 2.0, 2.0]})
    self.assertEqual(claims.margins({'x': lambda v: 1}, {}), {})

  def test_each_variant_has_its_own(self):
    found = claims.margins_of_each(
      {'error': lambda run: run['error']}, SUMMARIES
    )
    self.assertEqual(
      found, {'one: error': [0.375, 0.25, 0.5], 'two:b: error': [1.0] * 3}
    )

  def test_variants_have_the_same_seeds(self):
    with self.assertRaises(ValueError):
      claims.margins({}, {'one': [{}], 'two': [{}, {}]})


if __name__ == '__main__':
  absltest.main()
