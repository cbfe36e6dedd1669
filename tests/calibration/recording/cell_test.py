"""Records become arrays: classes, masses and repetitions by hand."""

import pathlib
import tempfile

import numpy as np
from absl.testing import absltest

from calibration.recording import cell, log
from tests.calibration import support

SAID = (
  support.said(support.question(4), ['5', '6', '5.0', 'six', '5', '']),
  support.said(support.question(6), ['8', '8', '8', '8', '8', '8']),
)


class CellTest(absltest.TestCase):
  def test_classes_by_hand(self):
    found = cell.of(SAID, 'concise')
    self.assertEqual(found.labels, (('5', '6', '5', '', '5', ''), ('8',) * 6))
    np.testing.assert_array_equal(found.numbers, [[0, 1, 0, 2, 0, 2], [0] * 6])
    self.assertEqual(found.classes, 3)
    # Of the second question there is one class, and it is wrong.
    np.testing.assert_array_equal(
      found.right, [[True, False, False], [False] * 3]
    )
    np.testing.assert_array_equal(
      found.answered, [[True, True, False], [True, False, False]]
    )
    self.assertEqual(found.groups.tolist(), [one.group for one in SAID])

  def test_totals_count_the_end_and_repetitions_are_of_tokens(self):
    found = cell.of(SAID, 'concise')
    tokens = [[2, 2, 4, 4, 2, 1], [2] * 6]
    np.testing.assert_allclose(
      found.totals, np.log(0.5) * np.array(tokens), rtol=1e-6
    )
    # '5.0' is another text of the same class, and the fifth is the first.
    np.testing.assert_array_equal(
      found.unique,
      [[True, True, True, True, False, True], [True] + [False] * 5],
    )

  def test_the_style_says_how_texts_are_read(self):
    chain = '1 and 4. The answer is 5.'
    one = (support.said(support.question(4), [chain, '5']),)
    self.assertEqual(cell.of(one, 'cot').labels, (('5', ''),))
    self.assertEqual(cell.of(one, 'concise').labels, (('1', '5'),))

  def test_answers_that_are_all_empty(self):
    found = cell.of((support.said(support.question(), ['', '']),), 'concise')
    self.assertEqual(found.classes, 1)
    self.assertFalse(found.right.any() or found.answered.any())
    np.testing.assert_array_equal(found.unique, [[True, False]])

  def test_read_from_files(self):
    with tempfile.TemporaryDirectory() as made:
      folder = pathlib.Path(made)
      for number, one in enumerate(SAID):
        log.write(log.shard(folder, 'addition_1-concise', number), [one])
      found = cell.load(folder, 'addition_1', 'concise')
      with self.assertRaisesRegex(FileNotFoundError, 'of addition_1-cot'):
        cell.load(folder, 'addition_1', 'cot')
    want = cell.of(SAID, 'concise')
    for name in ('numbers', 'right', 'answered', 'totals', 'unique'):
      np.testing.assert_array_equal(getattr(found, name), getattr(want, name))

  def test_padded(self):
    np.testing.assert_array_equal(
      cell.padded([[1, 2], [], [3]], 3), [[1, 2, 0], [0] * 3, [3, 0, 0]]
    )


class ExactMassesTest(absltest.TestCase):
  def test_names_of_one_thing_are_added(self):
    one = support.said(
      support.question(4),
      ['5'],
      candidates=('5', '6', '5.0', '7'),
      candidate_logprobs=np.array(
        [*np.log([0.3, 0.2, 0.1]), -np.inf], np.float32
      ),
    )
    masses = cell.exact_masses(one, 'concise')
    self.assertEqual(list(masses), ['5', '6', '7'])
    np.testing.assert_allclose([*masses.values()], [0.4, 0.2, 0], atol=1e-7)

  def test_none_of_open_questions(self):
    self.assertEqual(cell.exact_masses(SAID[0], 'concise'), {})


if __name__ == '__main__':
  absltest.main()
