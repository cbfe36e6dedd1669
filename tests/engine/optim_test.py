"""The schedule by hand, what decays, and L-BFGS by the normal equations."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from engine import experiment, optim


class OptimTest(parameterized.TestCase):
  @parameterized.parameters(
    ('cosine', [0.25, 0.5, 0.75, 1.0, 0.775, 0.325, 0.1]),
    ('linear', [0.25, 0.5, 0.75, 1.0, 0.7, 0.4, 0.1]),
    ('constant', [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]),
  )
  def test_schedule(self, kind, want):
    config = optim.OptimConfig(
      peak_lr=1.0, warmup_steps=4, schedule=kind, final_ratio=0.1
    )
    rate = optim.schedule(config, 7)
    got = jax.jit(jax.vmap(rate))(np.arange(7))
    np.testing.assert_allclose(got, want, atol=1e-6)

  def test_without_warm_up_it_begins_at_the_peak(self):
    rate = optim.schedule(optim.OptimConfig(peak_lr=2.0, warmup_steps=0), 5)
    self.assertAlmostEqual(float(jax.jit(rate)(0)), 2.0)

  def test_scales_and_biases_do_not_decay(self):
    config = optim.OptimConfig(
      peak_lr=0.5, warmup_steps=0, weight_decay=0.1, schedule='constant'
    )
    optimiser, _ = optim.make(config, 10)
    # A scanned layer's scale has two axes and is a scale all the same.
    params = {
      'norm': {'scale': np.ones((3, 2), np.float32)},
      'dense': {'kernel': np.ones(2, np.float32)}
      | {'bias': np.ones(2, np.float32)},
    }

    @jax.jit
    def one_step(params):
      state = experiment.TrainState(
        step=jnp.int32(0), params=params, opt_state=optimiser.init(params)
      )
      zeros = jax.tree.map(jnp.zeros_like, params)
      return optim.apply(optimiser, state, zeros)

    state, norms = one_step(params)
    np.testing.assert_allclose(state.params['dense']['kernel'], 0.95)
    np.testing.assert_allclose(state.params['dense']['bias'], 1.0)
    np.testing.assert_allclose(state.params['norm']['scale'], 1.0)
    self.assertEqual(norms['grad_norm'], 0.0)
    self.assertEqual(state.step, 1)

  def test_clips_by_the_global_norm(self):
    config = optim.OptimConfig(
      peak_lr=1.0, warmup_steps=0, clip_norm=1.0, weight_decay=0.0
    )
    optimiser, _ = optim.make(config, 10)

    @jax.jit
    def update(grads):
      params = jax.tree.map(jnp.zeros_like, grads)
      return optimiser.update(grads, optimiser.init(params), params)

    grads = {'a': np.float32([30.0]), 'b': np.float32([40.0])}
    _, opt_state = update(grads)
    first = jax.tree.leaves(opt_state)  # count, mu, nu, count
    np.testing.assert_allclose(first[1], 0.1 * 0.6, rtol=1e-5)
    np.testing.assert_allclose(first[2], 0.1 * 0.8, rtol=1e-5)

  @parameterized.parameters(
    ({'schedule': 'cosin'}, 'optim.schedule must be one of'),
    ({'peak_lr': 0.0}, 'optim.peak_lr must be positive'),
  )
  def test_refuses(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      optim.OptimConfig(**fields)

  def test_lbfgs_solves_least_squares(self):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(9, 4)).astype(np.float32)
    y = rng.normal(size=9).astype(np.float32)

    @jax.jit
    def fit(x, y):
      def loss(w):
        return jnp.sum((x[:, :3] @ w['a'] + x[:, 3] * w['b'] - y) ** 2)

      start = {'a': jnp.zeros(3), 'b': jnp.float32(0)}
      return optim.lbfgs(loss, start, 30)

    want, *_ = np.linalg.lstsq(x, y)
    got = fit(x, y)
    np.testing.assert_allclose(got['a'], want[:3], atol=1e-4)
    np.testing.assert_allclose(got['b'], want[3], atol=1e-4)


if __name__ == '__main__':
  absltest.main()
