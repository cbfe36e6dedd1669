"""Graphs of similarity whose eigenvalues are known."""

import math

import numpy as np
from absl.testing import absltest, parameterized
from scipy import linalg

from calibration.estimators import graph

S = 4


def blocks(*sizes, inside=1.0):
  """[1, S, S]: samples are alike within a block, and not between."""
  out = linalg.block_diag(*(np.full((n, n), inside) for n in sizes))
  return np.where(np.eye(len(out), dtype=bool), 1, out)[None].astype(np.float32)


def one(value):
  return float(np.asarray(value)[0])


ALL_ALIKE, NONE_ALIKE = blocks(S), blocks(1, 1, 1, 1)


class GraphTest(parameterized.TestCase):
  @parameterized.parameters(
    (blocks(4), 1, 0.0, 0.0),
    (blocks(1, 1, 1, 1), 4, 0.75, math.sqrt(3)),
    (blocks(2, 2), 2, 0.5, 1.0),
    (blocks(3, 1), 2, 1 - 10 / 16, 1.0),
  )
  def test_blocks_are_counted(self, similarity, sets, degree, away):
    self.assertAlmostEqual(one(graph.eigenvalue_sum(similarity)), sets, 5)
    self.assertEqual(one(graph.semantic_sets(similarity > 0.5)), sets)
    self.assertAlmostEqual(one(graph.degree(similarity)), degree, 6)
    # K eigenvectors of 0, constant on blocks: norms 1, of which the means take
    # size / S each. sqrt(K - 1) is left.
    self.assertAlmostEqual(one(graph.eccentricity(similarity)), away, 5)

  def test_two_samples_by_hand(self):
    # W = [[1, w], [w, 1]]: D = 1 + w, L has eigenvalues 0 and 2 w / (1 + w).
    w = 0.25
    similarity = blocks(2, inside=w)
    self.assertAlmostEqual(
      one(graph.eigenvalue_sum(similarity)), 2 - 2 * w / (1 + w), 5
    )
    self.assertAlmostEqual(
      one(graph.degree(similarity)), 1 - (2 + 2 * w) / 4, 6
    )
    # Both are kept; (1, 1) / sqrt 2 has no spread, (1, -1) / sqrt 2 has all.
    self.assertAlmostEqual(one(graph.eccentricity(similarity)), 1, 5)
    # The weight 2 w, as both directions count: eigenvalues 0 and 4 w of D - W.
    for kernel, high in (
      ('heat', math.exp(-0.3 * 4 * w)),
      ('matern', 2 / (2 + 4 * w)),
    ):
      # [[a, b], [b, a]] of eigenvalues 1 and `high`, scaled to a diagonal 1/2.
      ratio = (1 - high) / (1 + high)
      p = np.array([(1 + ratio) / 2, (1 - ratio) / 2])
      want = -np.sum(p * np.log(p))
      found = one(graph.kernel_entropy(similarity, kernel=kernel))
      self.assertAlmostEqual(found, want, 5)

  @parameterized.parameters(*graph.KERNELS)
  def test_entropy_of_a_kernel_is_log_s_where_nothing_is_alike(self, kernel):
    found = one(graph.kernel_entropy(NONE_ALIKE, kernel=kernel))
    self.assertAlmostEqual(found, math.log(S), 5)
    alike = one(graph.kernel_entropy(ALL_ALIKE, kernel=kernel))
    half = one(graph.kernel_entropy(blocks(2, 2), kernel=kernel))
    self.assertLess(alike, half)
    self.assertLess(half, math.log(S))

  def test_direction_and_order_do_not_matter(self):
    rng = np.random.default_rng(0)
    some = rng.random((3, S, S)).astype(np.float32)
    turn = np.array([2, 0, 3, 1])
    for function in (
      graph.eigenvalue_sum,
      graph.degree,
      graph.eccentricity,
      graph.kernel_entropy,
    ):
      want = function(some)
      for other in (some.transpose(0, 2, 1), some[:, turn][:, :, turn]):
        np.testing.assert_allclose(function(other), want, rtol=2e-5)

  def test_sets_are_joined_by_chains_that_hold_both_ways(self):
    same = np.eye(S, dtype=bool)[None].copy()
    same[0, 0, 1] = same[0, 1, 2] = same[0, 2, 3] = True
    back = same.transpose(0, 2, 1)
    self.assertEqual(one(graph.semantic_sets(same)), S)
    self.assertEqual(one(graph.semantic_sets(back)), S)
    self.assertEqual(one(graph.semantic_sets(same | back)), 1)
    entail = np.full((1, S, S), 0.4, np.float32)
    self.assertFalse(np.asarray(graph.entails_more(entail, entail)).any())
    self.assertAlmostEqual(
      float(np.asarray(graph.nli_similarity(entail, entail))[0, 0, 0]), 0.5
    )

  def test_what_is_no_sample_counts_nowhere(self):
    rng = np.random.default_rng(1)
    some = rng.random((1, S, S)).astype(np.float32)
    real = np.array([[True, True, True, False]])
    few = some[:, :3, :3]
    for function in (
      graph.eigenvalue_sum,
      graph.degree,
      graph.eccentricity,
      graph.kernel_entropy,
    ):
      np.testing.assert_allclose(function(some, real), function(few), rtol=2e-5)
    self.assertEqual(one(graph.semantic_sets(some > 2, real)), 3)

  def test_one_sample_is_certain_and_none_gives_a_number(self):
    alone = np.ones((1, 1, 1), np.float32)
    nobody = np.zeros((1, 1), bool)
    for function, want, empty in (
      (graph.eigenvalue_sum, 1, 0),
      (graph.degree, 0, 0),
      (graph.eccentricity, 0, 0),
      (graph.kernel_entropy, 0, 0),
    ):
      self.assertAlmostEqual(one(function(alone)), want, 6)
      self.assertEqual(one(function(alone, nobody)), empty)
    self.assertEqual(one(graph.semantic_sets(alone > 0)), 1)
    self.assertEqual(one(graph.semantic_sets(alone > 0, nobody)), 0)

  def test_a_sample_that_resembles_nothing_stands_for_itself(self):
    # The peers divide by its degree, 0.
    lonely = blocks(3, 1)
    want = {
      function: one(function(lonely))
      for function in (graph.eigenvalue_sum, graph.degree, graph.eccentricity)
    }
    lonely[0, 3, 3] = 0
    for function, value in want.items():
      self.assertAlmostEqual(one(function(lonely)), value, 6)

  def test_another_kernel_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'kernel must be one of heat, mat'):
      graph.kernel_entropy(ALL_ALIKE, kernel='rbf')


if __name__ == '__main__':
  absltest.main()
