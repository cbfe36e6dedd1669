"""Overlap of supports, by hand, by enumerating all sets and by simulation."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from probes.comparing import overlap


def supports(sets, d):
  return jnp.array([[j in s for j in range(d)] for s in sets])


class OverlapTest(absltest.TestCase):
  def test_numbers_of_the_spec(self):
    # Section 9, oracle 3; disjoint, and both empty, too.
    rows = supports([{1, 2, 3, 4}, {3, 4, 5, 6}, {0, 7}, set(), set()], 9)
    jaccard, least = overlap.jaccard(rows), overlap.overlap_coefficient(rows)
    self.assertAlmostEqual(float(jaccard[0, 1]), 2 / 6, places=6)
    self.assertAlmostEqual(float(least[0, 1]), 0.5, places=6)
    self.assertEqual(float(jaccard[0, 2]), 0)
    self.assertEqual(float(least[1, 2]), 0)
    self.assertTrue(np.isnan(jaccard[3, 4]))
    self.assertTrue(np.isnan(least[3, 4]))

  def test_sizes_differ(self):
    rows = supports([{0, 1, 2, 3, 4}, {4, 3}, {4, 8}, set()], 9)
    np.testing.assert_allclose(
      overlap.jaccard(rows)[:3, :3],
      [[1, 2 / 5, 1 / 6], [2 / 5, 1, 1 / 3], [1 / 6, 1 / 3, 1]],
      atol=1e-6,
    )
    np.testing.assert_allclose(
      overlap.overlap_coefficient(rows)[:3, :3],
      [[1, 1, 1 / 2], [1, 1, 1 / 2], [1 / 2, 1 / 2, 1]],
      atol=1e-6,
    )
    # Nothing in common with an empty one, and nothing of which to have a share.
    np.testing.assert_array_equal(overlap.jaccard(rows)[3, :3], 0)
    self.assertTrue(np.isnan(overlap.overlap_coefficient(rows)[3, :3]).all())


class ChanceTest(parameterized.TestCase):
  def test_equals_the_mean_over_all_sets(self):
    d, sizes = 6, [2, 3, 0, 6, 5]
    every = {
      n: [set(c) for c in itertools.combinations(range(d), n)] for n in sizes
    }
    got = overlap.chance_jaccard(jnp.array(sizes), d)
    for i, j in itertools.product(range(5), repeat=2):
      pairs = itertools.product(every[sizes[i]], every[sizes[j]])
      if sizes[i] + sizes[j] == 0:
        self.assertTrue(np.isnan(got[i, j]))
        continue
      want = np.mean([len(a & b) / len(a | b) for a, b in pairs])
      self.assertAlmostEqual(got[i, j], want, places=12)

  @parameterized.parameters((0.01, 0.005), (0.05, 0.0256), (0.2, 0.111))
  def test_densities_of_the_spec(self, p, want):
    self.assertAlmostEqual(overlap.density_jaccard(p), want, delta=5e-4)

  def test_simulated_sets_agree_with_both_formulas(self):
    # Section 9, oracle 4: 10,000 pairs at d = 4096.
    rng, d, p = np.random.default_rng(0), 4096, 0.05
    values = []
    for _ in range(20):
      a, b = rng.random((2, 500, d), np.float32) < p
      values.append((a & b).sum(-1) / (a | b).sum(-1))
    got = np.mean(values)
    self.assertAlmostEqual(overlap.density_jaccard(p), 0.02564, places=5)
    self.assertAlmostEqual(got, overlap.density_jaccard(p), delta=1e-3)
    size = round(p * d)
    exact = overlap.chance_jaccard([size, size], d)[0, 1]
    self.assertAlmostEqual(got, exact, delta=1e-3)

  def test_nonsense_is_refused(self):
    with self.assertRaisesRegex(ValueError, r'\[0, d=5\], got \[2, 6\]'):
      overlap.chance_jaccard([2, 6], 5)
    with self.assertRaisesRegex(ValueError, r'density.*got 0'):
      overlap.density_jaccard(0.0)


class PermutationTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.enter_context(jax.debug_key_reuse(True))

  def test_equals_the_share_of_all_sets(self):
    d, draws = 7, 1500
    sets = [{0, 1, 2}, {1, 2, 3, 4}, {0, 6}, {2, 3, 4, 5, 6}]
    got = overlap.permutation_p(jax.random.key(0), supports(sets, d), draws)
    for i, j in itertools.combinations(range(4), 2):
      observed = len(sets[i] & sets[j])
      others = list(itertools.combinations(range(d), len(sets[j])))
      p = np.mean([len(sets[i] & set(o)) >= observed for o in others])
      error = np.sqrt(p * (1 - p) / draws) + 1e-3
      self.assertAlmostEqual(float(got[i, j]), p, delta=4 * error)
      self.assertEqual(got[i, j], got[j, i])
    self.assertTrue(np.isnan(np.diagonal(got)).all())

  def test_extremes(self):
    rows = supports([set(range(30)), set(range(30)), {40}, set()], 60)
    got = overlap.permutation_p(jax.random.key(1), rows, 49)
    # Of 10^17 sets one is equal: no draw is, and p is never 0.
    self.assertAlmostEqual(float(got[0, 1]), 1 / 50, places=6)
    # What is disjoint, or empty, is never surprising.
    np.testing.assert_array_equal(got[2:, :2], 1)
    self.assertEqual(float(got[2, 3]), 1)

  def test_needs_a_draw(self):
    with self.assertRaisesRegex(ValueError, 'draws must be positive, got 0'):
      overlap.permutation_p(jax.random.key(0), supports([{0}, {1}], 3), 0)


class TopTest(parameterized.TestCase):
  def test_largest_in_size_with_equals_to_the_lowest_index(self):
    w = jnp.array([[0.1, -3.0, 2.0, 0.0, -2.0], [1.0, 1.0, -1.0, 1.0, 1.0]])
    want = supports([{1, 2}, {0, 1}], 5)
    np.testing.assert_array_equal(overlap.top_k(w, 2), want)

  @parameterized.parameters(0, 1, 4, 5)
  def test_exactly_k_even_of_zeros(self, k):
    w = jnp.zeros((3, 5)).at[0, 4].set(1.0)
    np.testing.assert_array_equal(overlap.top_k(w, k).sum(axis=-1), [k] * 3)

  @parameterized.parameters(-1, 6)
  def test_k_beyond_the_width_is_refused(self, k):
    with self.assertRaisesRegex(ValueError, rf'\[0, 5\].*got {k}'):
      overlap.top_k(jnp.zeros((3, 5)), k)


if __name__ == '__main__':
  absltest.main()
