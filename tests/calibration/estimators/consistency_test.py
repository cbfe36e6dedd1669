"""Agreement of answers against means by hand."""

import numpy as np
from absl.testing import absltest

from calibration.estimators import consistency


class ConsistencyTest(absltest.TestCase):
  def test_mean_over_pairs_leaves_out_the_diagonal_and_no_samples(self):
    # The diagonal holds what must not count.
    similarity = np.full((1, 3, 3), 9, np.float32)
    for i, j, value in ((0, 1, 0.2), (0, 2, 0.4), (1, 2, 0.9)):
      similarity[0, i, j] = similarity[0, j, i] = value
    found = consistency.dissimilarity(similarity)
    np.testing.assert_allclose(found, [-0.5], rtol=1e-6)
    real = np.array([[True, False, True]])
    found = consistency.dissimilarity(similarity, real)
    np.testing.assert_allclose(found, [-0.4], rtol=1e-6)
    one = np.array([[True, False, False]])
    found = consistency.dissimilarity(similarity, one)
    np.testing.assert_array_equal(found, [-1])

  def test_cocoa_is_a_product(self):
    u = np.array([2, 0.5, 3], np.float32)
    similarity = np.array([[0.5, 0.1], [1, 1], [0, 0.7]], np.float32)
    real = np.array([[True, True], [True, True], [True, False]])
    found = consistency.cocoa(u, similarity, real)
    np.testing.assert_allclose(found, [2 * 0.7, 0, 3], rtol=1e-6)
    nobody = np.zeros((3, 2), bool)
    found = consistency.cocoa(u, similarity, nobody)
    np.testing.assert_array_equal(found, [0, 0, 0])


if __name__ == '__main__':
  absltest.main()
