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


if __name__ == '__main__':
  absltest.main()
