"""int8 matmuls against float64 sums, and int8 models against float32 ones."""

import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from lm import int8, transformer
from lm.checkpoints import weights
from lm.decoding import generate
from tests import files


def drawn(*shape):
  return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


matmul = jax.jit(int8.matmul, static_argnums=3)


def multiply(x, values, scale, contract=1):
  return matmul(x.astype(np.float32), values, scale, contract)


class MatmulTest(parameterized.TestCase):
  def test_rounded_by_hand(self):
    # The largest magnitude of a channel is 127 steps, and 0.5 steps go to even.
    values, scale = int8.quantize(
      np.array([[2.54, -1.27, 0.03], [0, 0, 0], [1, 1, -1]], np.float32)
    )
    np.testing.assert_array_equal(
      values, [[127, -64, 2], [0, 0, 0], [127, 127, -127]]
    )
    np.testing.assert_allclose(scale, [0.02, 0, 1 / 127], rtol=1e-6)

  @parameterized.parameters(1, 2, 5)
  def test_what_is_on_the_grid_is_exact(self, rows):
    # Integers whose largest is 127 are what int8 can say: nothing is rounded,
    # so the product is the one of integers, each side by a power of two.
    rng = np.random.default_rng(1)
    x, kernel = rng.integers(-127, 128, (2, 64, 48))
    x[:, 0], kernel[:, 0] = 127, -127
    x, kernel = x[:rows], kernel[:32]
    values, scale = int8.quantize(kernel.astype(np.float32) / 4)
    got = multiply(x / 8, values, scale)
    np.testing.assert_allclose(got, x @ kernel.T / 32, rtol=1e-6)

  def test_error_of_rounding_is_bounded(self):
    # Each factor is off by half a step at most.
    x, kernel = drawn(6, 3, 40), drawn(8, 5, 3, 40)
    values, scale = int8.quantize(kernel, 2)
    got = multiply(x, values, scale, 2)
    want = np.einsum('rnh,oknh->rok', x.astype(np.float64), kernel)
    half_x = np.abs(x).max((1, 2)) / 254
    half_k = np.abs(kernel).max((2, 3)) / 254
    bound = (
      half_x[:, None, None] * np.abs(kernel).sum((2, 3))
      + np.abs(x).sum((1, 2))[:, None, None] * half_k
      + 120 * half_x[:, None, None] * half_k
    )
    error = np.abs(got - want)
    self.assertTrue((error < bound).all(), error.max())
    self.assertGreater(error.max(), 0)

  @parameterized.parameters(1, 3)
  def test_zeros(self, rows):
    # A channel of zeros, and a token of zeros, beside others that are not.
    kernel, x = drawn(4, 8), drawn(rows, 8)
    kernel[2], x[0] = 0, 0
    values, scale = int8.quantize(kernel)
    got = np.asarray(multiply(x, values, scale))
    np.testing.assert_array_equal(got[:, 2], 0)
    np.testing.assert_array_equal(got[0], 0)
    self.assertTrue(np.isfinite(got).all())

  @parameterized.parameters(np.nan, np.inf)
  def test_refuses_what_is_not_finite(self, value):
    kernel = drawn(4, 8)
    kernel[1, 1] = value
    with self.assertRaisesRegex(ValueError, 'finite'):
      int8.quantize(kernel)


def in_floats(x, kernel, scale, contract=1):
  """`int8.matmul` by its definition, on numbers that int8 can say."""
  leading, outputs = x.shape[: x.ndim - contract], scale.shape
  rows = x.reshape(*leading, -1).astype(jnp.float32)
  peak = jnp.abs(rows).max(-1, keepdims=True)
  peak = jnp.where(peak > 0, peak, 1)
  said = jnp.round(rows * (127 / peak)) * (peak / 127)
  weights_OI = kernel.reshape(scale.size, -1) * scale.reshape(-1, 1)
  y = jnp.einsum('...i,oi->...o', said, weights_OI)
  return y.reshape(*leading, *outputs).astype(x.dtype)


def logits(loaded, tokens):
  """Traced anew: what is patched is seen."""

  @jax.jit
  def run(params, tokens):
    model = transformer.Transformer(loaded.config)
    out = model.apply({'params': params}, tokens)
    return out.hidden @ transformer.unembedding(params).T

  return np.asarray(run(loaded.params, jnp.asarray(tokens)), np.float32)


class ModelTest(parameterized.TestCase):
  @parameterized.parameters('llama', 'qwen2', 'qwen3', 'gemma3')
  def test_is_near_float32(self, family):
    with np.load(files.PEERS / family / 'peer.npz') as data:
      tokens, want = data['tokens'], data['logits']
    loaded = weights.load(
      files.PEERS / family, fused=True, dtype='int8', param_dtype='int8'
    )
    kernels = [
      leaf.dtype
      for path, leaf in jax.tree_util.tree_leaves_with_path(loaded.params)
      if path[-1].key == 'kernel'
    ]
    self.assertEqual(set(kernels), {np.dtype('int8')})
    # Activations in float32, so that rounding to int8 is all that differs; and
    # the same rounding with its products in floats: nothing but the order of
    # sums is left.
    with mock.patch.object(type(loaded.config), 'activations', jnp.float32):
      got = logits(loaded, tokens)
      with mock.patch.object(int8, 'matmul', in_floats):
        same = logits(loaded, tokens)
    rounding = np.linalg.norm(got - want)
    self.assertLess(np.linalg.norm(got - same), 1e-3 * rounding)
    self.assertGreater(rounding, 1e-4 * np.linalg.norm(want))

  def test_stacked_layers_are_the_same(self):
    load = functools.partial(
      weights.load,
      files.PEERS / 'qwen2',
      fused=True,
      dtype='int8',
      param_dtype='int8',
    )
    plain, stacked = load(), load(scan_layers=True)
    block = stacked.params['layers']['block']
    for index in range(plain.config.layers):
      jax.tree.map(
        np.testing.assert_array_equal,
        jax.tree.map(lambda a, i=index: np.asarray(a)[i], block),
        plain.params[f'layer_{index}'],
      )

  def test_decodes(self):
    loaded = weights.load(
      files.PEERS / 'llama', fused=True, dtype='int8', param_dtype='int8'
    )
    out = generate.greedy(
      loaded.config, loaded.params, [[3, 5], [7]], max_new_tokens=4
    )
    np.testing.assert_array_equal(out.lengths, 4)

  def test_refuses(self):
    path = files.PEERS / 'llama'
    with self.assertRaisesRegex(ValueError, 'both are int8'):
      weights.load(path, fused=True, dtype='int8')
    with self.assertRaisesRegex(ValueError, 'model.fused=True'):
      weights.load(path, dtype='int8', param_dtype='int8')
    with self.assertRaisesRegex(ValueError, 'bfloat16, int8, got int4'):
      weights.load(path, dtype='int4')
    loaded = weights.load(path, fused=True, dtype='int8', param_dtype='int8')
    with self.assertRaisesRegex(ValueError, 'without dtype=int8'):
      weights.export('never written', *loaded)


if __name__ == '__main__':
  absltest.main()
