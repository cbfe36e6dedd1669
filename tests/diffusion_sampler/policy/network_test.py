"""The policy network against known figures (section 12.7)."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.policy import network


@functools.partial(jax.jit, static_argnums=0)
def _init(config, key):
  return network.Policy(config).init(
    key,
    jnp.zeros((1, 4, config.confidences)),
    jnp.zeros((1, 4), bool),
    jnp.zeros(1),
  )['params']


@functools.partial(jax.jit, static_argnums=0)
def _apply(config, params, confidence, masked, time):
  return network.Policy(config).apply(
    {'params': params}, confidence, masked, time
  )


_features = jax.jit(network.time_features, static_argnums=(1, 2))


def made(config=None, key=0):
  config = config or network.PolicyConfig()
  params = _init(config, jax.random.key(key))

  def apply(*inputs):
    return np.asarray(_apply(config, params, *inputs))

  return apply, params


def inputs(length=7, rows=2):
  rng = np.random.default_rng(5)
  confidence = rng.random((rows, length, 1), np.float32)
  masked = rng.random((rows, length)) < 0.5
  return confidence, masked, np.linspace(0.1, 0.6, rows, dtype=np.float32)


class PolicyTest(parameterized.TestCase):
  def test_the_paper_s_sizes_have_331_265_parameters(self):
    _, params = made()
    sizes = {
      name: sum(x.size for x in jax.tree.leaves(part))
      for name, part in params.items()
    }
    attention = sum(sizes[n] for n in ('query', 'key', 'value', 'out'))
    self.assertEqual(sum(sizes.values()), 331_265)
    self.assertEqual(sizes['time_1'] + sizes['time_2'], 33_024)
    self.assertEqual(sizes['confidence'], 256)
    self.assertEqual(sizes['mask'], 256)
    self.assertEqual(attention, 66_048)
    self.assertEqual(sizes['mlp_1'] + sizes['mlp_2'], 131_712)
    self.assertEqual(sizes['modulation'], 99_072)
    self.assertEqual(sizes['attention_norm'] + sizes['mlp_norm'], 512)
    self.assertEqual(sizes['head_norm'], 256)
    self.assertEqual(sizes['head'], 129)

  def test_period_1_gives_the_two_values_of_the_release(self):
    features = np.asarray(_features(np.float32([0.25]), 128, 1.0))[0]
    np.testing.assert_allclose(features[:64], 0.968912, atol=1e-6)
    np.testing.assert_allclose(features[64:], 0.247404, atol=1e-6)

  def test_a_longer_period_is_a_ladder_of_frequencies(self):
    got = np.asarray(_features(np.float32([2.0]), 4, 100.0))[0]
    want = [math.cos(2), math.cos(0.2), math.sin(2), math.sin(0.2)]
    np.testing.assert_allclose(got, want, atol=1e-6)

  def test_at_first_only_confidences_matter(self):
    apply, _ = made()
    confidence, masked, time = inputs()
    first = apply(confidence, masked, time)
    np.testing.assert_array_equal(first, apply(confidence, ~masked, time))
    np.testing.assert_array_equal(first, apply(confidence, masked, time + 0.3))
    other = apply(1.0 - confidence, masked, time)
    self.assertGreater(np.abs(first - other).max(), 1e-3)

  @parameterized.parameters('mask', 'time')
  def test_what_is_withheld_does_not_matter(self, what):
    def answers(config):
      apply, params = made(config)
      shape = params['modulation']['kernel'].shape
      drawn = np.random.default_rng(1).standard_normal(shape)
      params['modulation']['kernel'] = drawn.astype(np.float32)
      confidence, masked, time = inputs()
      return (
        apply(confidence, masked, time),
        apply(confidence, ~masked, time)
        if what == 'mask'
        else apply(confidence, masked, time + 0.3),
      )

    first, second = answers(network.PolicyConfig())
    self.assertGreater(np.abs(first - second).max(), 1e-3)
    first, second = answers(network.PolicyConfig(**{f'see_{what}': False}))
    np.testing.assert_array_equal(first, second)

  def test_order_matters(self):
    apply, _ = made()
    confidence, masked, time = inputs()
    masked = np.ones_like(masked)
    flipped = apply(confidence[:, ::-1], masked, time)[:, ::-1]
    difference = np.abs(apply(confidence, masked, time) - flipped).max()
    self.assertGreater(difference, 1e-5)

  def test_parameters_of_one_length_serve_another(self):
    apply, _ = made()
    self.assertEqual(apply(*inputs(512)).shape, (2, 512))

  def test_the_modulation_learns_from_the_first_step(self):
    config = network.PolicyConfig()
    _, params = made(config)

    @jax.jit
    @jax.grad
    def slopes(params, *inputs):
      return _apply(config, params, *inputs).sum()

    grads = slopes(params, *inputs())
    norm = np.linalg.norm(grads['modulation']['kernel'])
    self.assertGreater(float(norm), 1e-4)

  def test_it_begins_by_unmasking_little(self):
    # The head's bias is -2 and its kernel is that of any linear layer.
    means = [float(made(key=k)[0](*inputs()).mean()) for k in range(20)]
    self.assertBetween(np.mean(means), -2.5, -1.5)

  @parameterized.parameters(
    (dict(width=30, heads=4), 'policy.width=30'),
    (dict(time_features=7), 'policy.time_features=7'),
    (dict(confidences=0), 'policy.confidences=0'),
  )
  def test_refuses(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      network.PolicyConfig(**fields)


if __name__ == '__main__':
  absltest.main()
