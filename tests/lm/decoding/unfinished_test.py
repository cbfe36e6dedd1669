"""Rows that stay, by hand."""

import numpy as np
from absl.testing import absltest, parameterized

from lm.decoding import generate


class KeptTest(parameterized.TestCase):
  def check(self, done, fewest, shape):
    done = np.array(done, bool)
    kept = generate.unfinished(done, fewest)
    self.assertEqual(kept.shape, shape)
    self.assertLen(set(kept.ravel().tolist()), kept.size)
    self.assertContainsSubset(np.flatnonzero(~done), kept.ravel())
    rows = kept // done.shape[1]
    np.testing.assert_array_equal(rows, rows[:, :1] + 0 * rows)
    self.assertEqual(rows[:, 0].tolist(), sorted(rows[:, 0].tolist()))

  def test_of_one_group_a_power_of_two_of_rows(self):
    done = [[1, 1, 0, 1, 1, 0, 1, 0, 1, 1]]
    self.check(done, 1, (1, 4))
    self.check(done, 7, (1, 8))
    self.check(done, 30, (1, 10))

  def test_of_several_as_many_as_the_busiest_has(self):
    done = np.ones((6, 5))
    done[1, 3] = done[4, 0] = done[4, 4] = 0
    self.check(done, 1, (2, 2))
    # Four are asked for, or more, and each of two gives as many.
    self.check(done, 4, (2, 2))
    self.check(done, 5, (2, 4))
    done[0, 0] = 0
    self.check(done, 1, (4, 2))
    done[:, 2] = 0
    self.check(done, 1, (6, 4))

  def test_nothing_leaves_where_all_are_at_work(self):
    self.check(np.zeros((3, 5)), 1, (3, 5))


if __name__ == '__main__':
  absltest.main()
