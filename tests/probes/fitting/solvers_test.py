"""Tests of probes.solvers, against closed forms and scipy in float64."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized
from scipy import optimize

from engine import mesh as mesh_lib
from probes.fitting import objective, solvers

# Oracle 1: one feature x = +-1, four samples each, three and one right.
COIN_X = np.array([[1.0]] * 4 + [[-1.0]] * 4, np.float32)
COIN_Y = np.array([1, 1, 1, 0, 1, 0, 0, 0], np.float32)


def data(seed, samples=60, features=20, *, scale=1.0):
  """Correlated features, and labels that a few of them carry."""
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(samples, features)) @ (
    np.eye(features) + 0.3 * rng.normal(size=(features, features))
  )
  z = x[:, :4] @ rng.normal(size=4) + rng.logistic(size=samples)
  return (scale * x).astype(np.float32), (z > 0).astype(np.float32)


def fit(x, y, penalty, weights=None, *, lambdas=None, bare=True, **options):
  """One fit path of one site; `bare` leaves the features as they are."""
  x, y = jnp.array(x)[None], jnp.array(y)[None]
  w = jnp.ones(x.shape[1]) if weights is None else jnp.array(weights)
  d = x.shape[-1]
  if bare:
    options['basis'] = jnp.zeros((1, d)), jnp.ones((1, d))
  if lambdas is not None:
    lambdas = jnp.array(lambdas, jnp.float32)[None, None]
  return solvers.fit_paths(
    x, y, w[None, None], penalty, lambdas=lambdas, **options
  )


def reference(x, y, l1, mu):
  """F at its least by L-BFGS-B in float64 on w = u - v, u, v >= 0."""
  n, d = x.shape
  s = 2 * y.astype(np.float64) - 1

  def f(p):
    u, v, b = p[:d], p[d : 2 * d], p[-1]
    w = u - v
    z = s * (x @ w + b)
    r = -s / (1 + np.exp(z)) / n
    g = x.T @ r + mu * w
    total = np.logaddexp(0, -z).mean() + l1 * (u + v).sum() + mu / 2 * w @ w
    return total, np.concatenate([g + l1, l1 - g, [r.sum()]])

  bounds = [(0, None)] * (2 * d) + [(None, None)]
  options = dict(maxiter=20000, maxfun=100000, ftol=1e-16, gtol=1e-11)
  return optimize.minimize(
    f,
    np.zeros(2 * d + 1),
    jac=True,
    bounds=bounds,
    method='L-BFGS-B',
    options=options,
  ).fun


class ClosedFormTest(parameterized.TestCase):
  @parameterized.parameters((1.0, 0.1, 0.6190392), (0.5, 0.2, 0.4333254))
  def test_coin(self, share, lam, expected):
    # logit(.75 - .1), and the root of sigma(w) = .75 - .1 - .1 w.
    penalty = solvers.Penalty(share=share)
    path = fit(COIN_X, COIN_Y, penalty, lambdas=[lam])
    self.assertAlmostEqual(float(path.w[0, 0, 0, 0]), expected, places=5)
    self.assertAlmostEqual(float(path.b[0, 0, 0]), 0.0, places=6)

  def test_coin_unpenalised(self):
    path = fit(COIN_X, COIN_Y, solvers.L2, lambdas=[1e-6])
    self.assertAlmostEqual(float(path.w[0, 0, 0, 0]), np.log(3), places=4)
    self.assertAlmostEqual(float(path.b[0, 0, 0]), 0.0, places=6)

  def test_coin_lambda_max(self):
    grid = fit(COIN_X, COIN_Y, solvers.L1).lambdas
    self.assertEqual(float(grid[0, 0, 0]), 0.25)

  def test_first_feature(self):
    x = np.array([[2, 0], [1, 1], [0, 2], [-1, -1], [-2, 0], [0, -1]])
    y = np.array([1, 1, 0, 0, 0, 1])
    path = fit(x.astype(np.float32), y.astype(np.float32), solvers.L1)
    self.assertAlmostEqual(float(path.lambdas[0, 0, 0]), 0.5, places=6)
    self.assertEqual(int(path.nnz[0, 0, 0]), 0)
    on = np.asarray(path.w[0, 0, 1]) != 0
    np.testing.assert_array_equal(on, [True, False])

  def test_gap_at_zero(self):
    # Both sides equal ln 2 for balanced labels.
    problem = objective.Problem(
      jnp.array(COIN_X), jnp.array(COIN_Y), jnp.full(8, 1 / 8)
    )
    w = jnp.zeros(1)
    value = float(objective.value(problem, w, 0.0, 0.25, 0.0))
    self.assertAlmostEqual(value, np.log(2), places=6)
    gap = float(objective.gap(problem, w, 0.0, 0.25, 0.0))
    self.assertAlmostEqual(gap, 0.0, places=6)

  def test_ridge_is_symmetric_in_labels(self):
    x, y = data(0)
    one, other = (fit(x, v, solvers.L2) for v in (y, 1 - y))
    np.testing.assert_allclose(one.w, -other.w, atol=1e-5)
    np.testing.assert_allclose(one.b, -other.b, atol=1e-5)

  @parameterized.parameters(1, 2, 5)
  def test_gram_by_its_sum(self, rows):
    keys = jax.random.split(jax.random.key(rows), 2)
    x, c = jax.random.normal(keys[0], (rows, 7)), jax.random.uniform(keys[1], 7)
    want = np.zeros((rows, rows))
    for n in range(7):
      want += float(c[n]) * np.outer(x[:, n], x[:, n])
    np.testing.assert_allclose(objective.gram(x, c), want, atol=1e-5)

  def test_losses_are_those_of_two_exponentials(self):
    z = np.linspace(-30, 30, 25)
    got = objective.losses(jnp.float32(z), jnp.ones(25))
    np.testing.assert_allclose(got, np.log1p(np.exp(-z)), rtol=1e-5, atol=1e-12)
    # Nothing overflows, and labels are symmetric.
    far = objective.losses(jnp.array([-1e4, 1e4]), jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(far, 1e4)


class ReferenceTest(parameterized.TestCase):
  @parameterized.parameters(
    (1.0, 60, 20), (0.5, 60, 20), (0.0, 60, 20), (1.0, 30, 80), (0.0, 30, 80)
  )
  def test_value(self, share, samples, features):
    x, y = data(1, samples, features)
    penalty = solvers.Penalty(share=share, lambdas=12, ratio=0.03)
    path = fit(x, y, penalty)
    value, gap, _ = solvers.certify(
      jnp.array(x), jnp.array(y), jnp.ones(samples), path, 0, 0, share
    )
    lam = np.asarray(path.lambdas[0, 0], np.float64)
    least = [reference(x, y, share * v, (1 - share) * v) for v in lam]
    np.testing.assert_allclose(value, least, rtol=1e-6)
    # The gap bounds the distance, and is small.
    self.assertTrue(np.all(gap >= value - least - 1e-9 * value))
    self.assertLess(np.max(gap / value), 2e-5)
    self.assertLess(float(jnp.max(path.kkt)), 1e-5)

  def test_value_is_float64s(self):
    x, y = data(1)
    path = fit(x, y, solvers.L1)
    value, gap, kkt = solvers.certify(
      jnp.array(x), jnp.array(y), jnp.ones(60), path, 0, 0, 1.0
    )
    self.assertEqual(value.dtype, np.float64)
    np.testing.assert_allclose(value, path.value[0, 0], rtol=1e-5)
    np.testing.assert_allclose(gap, path.gap[0, 0], atol=1e-5)
    np.testing.assert_allclose(kkt, path.kkt[0, 0], atol=1e-6)

  def test_gap_sees_a_bad_point(self):
    x, y = data(1)
    problem = objective.Problem(
      jnp.array(x), jnp.array(y), jnp.full(60, 1 / 60)
    )
    lam = 0.1 * float(objective.lambda_max(problem))
    w = jnp.full(20, 0.1)
    value = float(objective.value(problem, w, 0.0, lam, 0.0))
    least = reference(x, y, lam, 0.0)
    gap = float(objective.gap(problem, w, 0.0, lam, 0.0))
    self.assertGreaterEqual(gap, value - least)
    self.assertGreater(float(objective.kkt(problem, w, 0.0, lam, 0.0)), lam)


class BatchTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    found = [data(seed, 40, 36) for seed in range(5)]
    self.x, self.y = (jnp.array(np.stack(v)) for v in zip(*found, strict=True))
    rng = np.random.default_rng(0)
    self.weights = jnp.array(rng.random((5, 3, 40)) < 0.8, jnp.float32)

  @parameterized.product(share=(1.0, 0.5, 0.0), batch=(2, 5))
  def test_lockstep(self, share, batch):
    penalty = solvers.Penalty(share=share, lambdas=8, ratio=0.1)
    alone = solvers.fit_paths(self.x, self.y, self.weights, penalty)
    together = solvers.fit_paths(
      self.x, self.y, self.weights, penalty, batch=batch
    )
    np.testing.assert_allclose(alone.lambdas, together.lambdas, rtol=1e-5)
    np.testing.assert_allclose(alone.value, together.value, rtol=1e-5)
    np.testing.assert_allclose(alone.w, together.w, atol=3e-3)

  def test_mesh(self):
    mesh = mesh_lib.make(mesh_lib.MeshConfig(data=-1))
    penalty = solvers.Penalty(lambdas=8, ratio=0.1)
    alone = solvers.fit_paths(self.x, self.y, self.weights, penalty)
    spread = solvers.fit_paths(self.x, self.y, self.weights, penalty, mesh=mesh)
    np.testing.assert_allclose(alone.w, spread.w, atol=1e-5)

  def test_left_out_samples_are_not_seen(self):
    weights = np.ones((5, 1, 40), np.float32)
    weights[..., 35:] = 0
    part = solvers.fit_paths(
      self.x[:, :35], self.y[:, :35], jnp.ones((5, 1, 35)), solvers.L2
    )
    x = self.x.at[:, 35:].set(1e6)
    y = self.y.at[:, 35:].set(0)
    whole = solvers.fit_paths(x, y, jnp.array(weights), solvers.L2)
    np.testing.assert_allclose(part.lambdas, whole.lambdas, rtol=1e-4)
    np.testing.assert_allclose(part.value, whole.value, rtol=1e-4)

  def test_double_weight_is_a_double_sample(self):
    x, y = data(3)
    weights = np.ones(60, np.float32)
    weights[:10] = 2
    one = fit(x, y, solvers.L1, weights, bare=False)
    twice = np.concatenate([np.arange(60), np.arange(10)])
    other = fit(x[twice], y[twice], solvers.L1, bare=False)
    np.testing.assert_allclose(one.w, other.w, atol=2e-3)
    np.testing.assert_allclose(one.value, other.value, rtol=1e-5)

  def test_raw_basis(self):
    path = solvers.fit_paths(self.x, self.y, self.weights, solvers.L1)
    w, b = path.raw()
    x = self.x[1]
    z = (x - path.mean[1, 2]) / path.scale[1, 2]
    np.testing.assert_allclose(
      solvers.predict(path.w[1, 2], path.b[1, 2], z),
      solvers.predict(w[1, 2], b[1, 2], x),
      atol=1e-4,
    )

  def test_own_basis_forgets_scale_and_offset(self):
    x, y = data(4)
    one = fit(x, y, solvers.L1, bare=False)
    other = fit(x * 7 + 3, y, solvers.L1, bare=False)
    np.testing.assert_allclose(one.value, other.value, rtol=1e-4)

  def test_compiles_once(self):
    traces = chex.assert_max_traces(solvers._sweep.__wrapped__, 1)
    sweep = jax.jit(traces, static_argnums=(0, 1, 2))
    for seed in range(3):
      x = self.x + seed
      sweep(None, solvers.L2, 1, x, self.y, self.weights, None, None)


class BadInputTest(absltest.TestCase):
  def test_one_label(self):
    x, _ = data(0)
    with self.assertRaisesRegex(ValueError, 'site 0, fit 0: both labels'):
      fit(x, np.ones(60, np.float32), solvers.L1)

  def test_nan_is_named(self):
    x, y = data(0)
    x[3, 7] = np.nan
    with self.assertRaisesRegex(ValueError, 'sample 3 .* feature 7'):
      fit(x, y, solvers.L1)
    with self.assertRaisesRegex(ValueError, 'site capitals@12'):
      solvers.check(x[None], y[None], np.ones((1, 1, 60)), ['capitals@12'])

  def test_labels_of_another_kind(self):
    x, y = data(0)
    with self.assertRaisesRegex(ValueError, 'must be 0 or 1'):
      fit(x, 2 * y - 1, solvers.L1)

  def test_constant_features(self):
    x, y = data(0)
    x[:, 2] = 5.0
    for penalty in (solvers.L1, solvers.L2):
      path = fit(x, y, penalty, bare=False)
      self.assertTrue(np.isfinite(path.w).all())
      np.testing.assert_allclose(path.w[..., 2], 0.0, atol=1e-6)

  def test_duplicated_rows_and_columns(self):
    x, y = data(0)
    twice = np.concatenate([x, x], 1)
    one = fit(x, y, solvers.L1)
    for other in (
      fit(twice, y, solvers.L1),
      fit(np.tile(x, (2, 1)), np.tile(y, 2), solvers.L1),
    ):
      np.testing.assert_allclose(one.value, other.value, rtol=1e-5)

  def test_above_lambda_max(self):
    path = fit(COIN_X, COIN_Y, solvers.L1, lambdas=[9.0, 0.3, 0.25, 0.2])
    np.testing.assert_array_equal(path.nnz[0, 0], [0, 0, 0, 1])

  def test_separable(self):
    x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    y = (x[:, 0] > 0).astype(np.float32)
    for penalty in (solvers.L1, solvers.L2):
      path = fit(x, y, penalty)
      self.assertTrue(np.isfinite(path.w).all())
      self.assertLess(float(path.gap[0, 0, -1]), 1e-4)

  def test_penalty(self):
    for bad in (dict(share=1.5), dict(lambdas=0), dict(ratio=0.0)):
      with self.assertRaisesRegex(ValueError, f'penalty.{next(iter(bad))}'):
        solvers.Penalty(**bad)


class DebiasTest(absltest.TestCase):
  def test_support_and_size(self):
    x, y = data(5, 60, 20)
    path = fit(x, y, solvers.L1)
    at = int(np.argmax(np.asarray(path.nnz[0, 0]) >= 3))
    support = (path.w[:, :, at] != 0).astype(jnp.float32)
    again = solvers.debiased(
      jnp.array(x)[None],
      jnp.array(y)[None],
      jnp.ones((1, 1, 60)),
      path,
      support,
    )
    on = np.asarray(support[0, 0], bool)
    w = np.asarray(again.w[0, 0, 0])
    np.testing.assert_array_equal(w != 0, on)
    self.assertGreater(np.linalg.norm(w), np.linalg.norm(path.w[0, 0, at]))
    # Ridge on those columns alone is the same fit.
    alone = fit(x[:, on], y, solvers.L2, lambdas=[1e-3])
    np.testing.assert_allclose(w[on], alone.w[0, 0, 0], atol=1e-3)


if __name__ == '__main__':
  absltest.main()
