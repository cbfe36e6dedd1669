"""Angles between probes, by hand counts, float64 and simulation."""

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from probes.comparing import geometry


def normal(*shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class CosineTest(parameterized.TestCase):
  def test_hand_counts(self):
    w = jnp.array([[3.0, 4.0, 0.0], [4.0, 3.0, 0.0], [0.0, 0.0, -2.0]])
    np.testing.assert_allclose(
      geometry.cosine(w), [[1, 0.96, 0], [0.96, 1, 0], [0, 0, 1]], atol=1e-6
    )

  @parameterized.parameters(1e-30, 1e30)
  def test_lengths_do_not_matter_however_small_or_large(self, factor):
    w = jnp.asarray(normal(4, 7))
    scaled = w * jnp.array([factor, -1.0, 1.0, 2.0])[:, None]
    sign = np.array([1, -1, 1, 1])
    np.testing.assert_allclose(
      geometry.cosine(scaled),
      geometry.cosine(w) * sign[:, None] * sign,
      atol=1e-6,
    )

  def test_zero_vector_is_nan_in_its_own_row_and_column(self):
    w = jnp.asarray(normal(3, 5)).at[1].set(0.0)
    nan = np.isnan(geometry.cosine(w))
    np.testing.assert_array_equal(nan, [[0, 1, 0], [1, 1, 1], [0, 1, 0]])

  def test_half_precision_is_summed_in_float32(self):
    # In float16 the squares of 300 overflow.
    w = jnp.full((2, 9), 300.0, jnp.float16)
    got = geometry.cosine(w)
    self.assertEqual(got.dtype, jnp.float32)
    np.testing.assert_allclose(got, 1, atol=1e-6)


class BasisTest(parameterized.TestCase):
  def test_cosine_depends_on_it(self):
    w = jnp.array([[1.0, 1.0], [1.0, -1.0]])
    self.assertAlmostEqual(float(geometry.cosine(w)[0, 1]), 0.0, places=6)
    raw = geometry.raw_basis(w, jnp.array([1.0, 3.0]))
    # (1, 1/3) and (1, -1/3): (1 - 1/9) / (1 + 1/9).
    self.assertAlmostEqual(float(geometry.cosine(raw)[0, 1]), 0.8, places=6)

  @parameterized.parameters(True, False)
  def test_scores_are_those_of_the_standardised_probe(self, shared):
    shape = (5,) if shared else (3, 5)
    w, b, x = normal(3, 5), normal(3, seed=1), normal(11, 5, seed=2)
    mean, scale = normal(*shape, seed=3), np.exp(normal(*shape, seed=4))
    raw = geometry.raw_basis(jnp.asarray(w), jnp.asarray(scale))
    raw_b = geometry.raw_intercept(raw, jnp.asarray(b), jnp.asarray(mean))
    for t in range(3):
      m, s = (mean, scale) if shared else (mean[t], scale[t])
      np.testing.assert_allclose(
        x @ np.asarray(raw[t]) + float(raw_b[t]),
        (x - m) / s @ w[t] + b[t],
        rtol=1e-4,
        atol=1e-5,
      )


class CovarianceTest(absltest.TestCase):
  def test_equals_float64_far_from_zero(self):
    x = normal(40, 6) + 1000 * normal(6, seed=1)
    want = np.cov(x.astype(np.float64).T, bias=True)
    got = geometry.covariance(jnp.asarray(x))
    np.testing.assert_allclose(got, want, atol=1e-3)

  def test_padding_is_ignored_whatever_stands_there(self):
    x = normal(9, 4)
    want = geometry.covariance(jnp.asarray(x[:6]))
    x[6:] = [[np.nan], [np.inf], [1e30]]
    got = geometry.covariance(jnp.asarray(x), jnp.arange(9) < 6)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)

  def test_half_precision_is_summed_in_float32(self):
    x = jnp.asarray(normal(4000, 2) + 8.0, jnp.bfloat16)
    got = geometry.covariance(x)
    self.assertEqual(got.dtype, jnp.float32)
    want = np.cov(np.asarray(x, np.float64).T, bias=True)
    np.testing.assert_allclose(got, want, atol=1e-4)


class MahalanobisTest(absltest.TestCase):
  def test_number_of_the_spec(self):
    # Section 9, oracle 6.
    w = jnp.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    cov = jnp.diag(jnp.array([9.0, 1.0, 1.0]))
    self.assertAlmostEqual(float(geometry.cosine(w)[0, 1]), 0.5, places=6)
    got = geometry.mahalanobis_cosine(w, cov)
    np.testing.assert_allclose(got, [[1, 0.9], [0.9, 1]], atol=1e-6)

  def test_is_the_correlation_of_the_scores(self):
    x = normal(50, 6) @ normal(6, 6, seed=1)
    w = normal(4, 6, seed=2)
    got = geometry.mahalanobis_cosine(
      jnp.asarray(w), geometry.covariance(jnp.asarray(x))
    )
    want = np.corrcoef((x.astype(np.float64) @ w.T).T)
    np.testing.assert_allclose(got, want, atol=1e-5)

  def test_does_not_depend_on_the_basis(self):
    x, w = normal(50, 6), jnp.asarray(normal(4, 6, seed=2))
    scale = np.exp(2 * normal(6, seed=3))
    got = geometry.mahalanobis_cosine(
      geometry.raw_basis(w, jnp.asarray(scale)),
      geometry.covariance(jnp.asarray(x * scale)),
    )
    want = geometry.mahalanobis_cosine(w, geometry.covariance(jnp.asarray(x)))
    np.testing.assert_allclose(got, want, atol=1e-5)
    plain = geometry.cosine(geometry.raw_basis(w, jnp.asarray(scale)))
    self.assertGreater(np.abs(plain - geometry.cosine(w)).max(), 0.1)

  def test_scores_that_do_not_vary_are_nan(self):
    w = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    got = geometry.mahalanobis_cosine(w, jnp.diag(jnp.array([1.0, 0.0])))
    nan = np.isnan(got)
    np.testing.assert_array_equal(nan, [[0, 1, 1], [1, 1, 1], [1, 1, 1]])


class SpanTest(parameterized.TestCase):
  @parameterized.named_parameters(
    # e1 and e2 leave one of three; (1, 1, 1) and e2 have half of e1.
    ('three', [5, 0, 0, 0], [0, 2, 0, 0], [1, 1, 1, 0], [0.5, 0.5, 2 / 3, 0]),
    ('copies', [1, 0, 0, 0], [2, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0.5, 0]),
    ('none', [1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0.25, np.nan, 0.25, 0]),
  )
  def test_hand_counts(self, first, second, third, want):
    w = jnp.array([first, second, third, [0, 0, 0, 3]], jnp.float32)
    np.testing.assert_allclose(geometry.span_recovery(w), want, atol=1e-6)

  def test_equals_least_squares_in_float64(self):
    w = normal(4, 9) * np.array([[1.0], [100.0], [1e-3], [1.0]])
    wide = w.astype(np.float64)
    want = []
    for t in range(4):
      others = np.delete(wide, t, 0).T
      fit = others @ np.linalg.lstsq(others, wide[t], rcond=None)[0]
      want.append(1 - np.sum((wide[t] - fit) ** 2) / np.sum(wide[t] ** 2))
    got = geometry.span_recovery(jnp.asarray(w, jnp.float32))
    np.testing.assert_allclose(got, want, atol=1e-5)

  def test_more_probes_than_dimensions_recover_all(self):
    got = geometry.span_recovery(jnp.asarray(normal(5, 3)))
    np.testing.assert_allclose(got, 1, atol=1e-5)
    self.assertEqual(geometry.span_chance(5, 3), 1.0)

  def test_random_directions_have_the_chance_of_the_spec(self):
    # Section 9, oracle 9: one of 7 on 6 others. R2 is Beta(3, 285).
    self.assertAlmostEqual(geometry.span_chance(7, 576), 0.0104, places=4)
    got = np.mean(
      [
        geometry.span_recovery(jnp.asarray(normal(7, 576, seed=seed)))
        for seed in range(20)
      ]
    )
    self.assertAlmostEqual(got, 6 / 576, delta=0.002)


class ChanceTest(parameterized.TestCase):
  @parameterized.parameters((576, 0.0332), (2048, 0.0176), (4096, 0.0125))
  def test_random_cosine_of_the_spec(self, d, want):
    # Section 9, oracle 7.
    self.assertAlmostEqual(geometry.random_cosine(d), want, delta=6e-5)

  @parameterized.parameters((1, 1.0), (2, 2 / np.pi), (3, 0.5))
  def test_random_cosine_of_a_line_a_circle_and_a_sphere(self, d, want):
    self.assertAlmostEqual(geometry.random_cosine(d), want, places=12)

  def test_random_cosine_is_that_of_random_vectors(self):
    cosine = np.abs(geometry.cosine(jnp.asarray(normal(120, 23))))
    got = cosine[np.triu_indices(120, 1)].mean()
    self.assertAlmostEqual(got, geometry.random_cosine(23), delta=0.004)

  @parameterized.parameters((2, 0.7071), (7, 0.3780), (17, 0.2425))
  def test_best_mean_cosine_is_reached_and_never_passed(self, k, want):
    # Section 9, oracle 8.
    best = geometry.best_mean_cosine(k)
    self.assertAlmostEqual(best, want, places=4)
    basis = np.linalg.qr(normal(20, k).astype(np.float64))[0].T
    shared = basis.sum(axis=0)
    reached = basis @ shared / np.linalg.norm(shared)
    self.assertAlmostEqual(reached.mean(), best, places=9)
    near = shared + 0.3 * normal(500, 20, seed=1)
    near /= np.linalg.norm(near, axis=-1, keepdims=True)
    self.assertLess((near @ basis.T).mean(axis=-1).max(), best)

  def test_nonsense_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'd must be positive, got 0'):
      geometry.random_cosine(0)
    with self.assertRaisesRegex(ValueError, 'k must be positive, got 0'):
      geometry.best_mean_cosine(0)
    with self.assertRaisesRegex(ValueError, 'tasks=0'):
      geometry.span_chance(0, 5)


if __name__ == '__main__':
  absltest.main()
