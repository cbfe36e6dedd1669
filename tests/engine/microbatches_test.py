"""A batch in parts adds up to the whole."""

import numpy as np
from absl.testing import absltest

from engine import microbatches


class MicrobatchesTest(absltest.TestCase):
  def test_parts_add_up_to_the_whole(self):
    batch = {'x': np.arange(6.0, dtype=np.float32).reshape(6, 1)}
    parts = microbatches.split(batch, 3)
    self.assertEqual(parts['x'].shape, (3, 2, 1))
    total = microbatches.add_up(
      lambda scale, part: scale * part['x'].sum(), np.float32(2.0), parts
    )
    self.assertEqual(float(total), 2.0 * 15.0)

  def test_what_does_not_divide_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'batch_size=6 must divide .*=4'):
      microbatches.split({'x': np.zeros((6, 1))}, 4)


if __name__ == '__main__':
  absltest.main()
