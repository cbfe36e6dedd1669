"""Meshes and shardings: what fits, and what is said where it does not."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized
from jax.sharding import PartitionSpec as P

from engine import mesh as mesh_lib


def box(value, *names):
  return nn.LogicallyPartitioned(value, names)


def make(**sizes):
  return mesh_lib.make(mesh_lib.MeshConfig(**sizes), jax.devices()[:4])


class MeshTest(parameterized.TestCase):
  @parameterized.parameters(
    ({}, (4, 1, 1)),
    ({'model': 2}, (2, 1, 2)),
    ({'data': 2, 'fsdp': -1}, (2, 2, 1)),
    ({'data': 1, 'fsdp': 2, 'model': 2}, (1, 2, 2)),
  )
  def test_shape(self, sizes, shape):
    self.assertEqual(tuple(make(**sizes).shape.values()), shape)

  @parameterized.parameters(
    ({'model': 3}, 'must multiply to the 4 devices'),
    ({'data': 8}, 'must multiply to the 4 devices'),
    ({'data': -1, 'fsdp': -1}, 'at most one of them -1'),
    ({'data': 0}, 'must be positive'),
  )
  def test_refuses_what_does_not_multiply(self, sizes, message):
    with self.assertRaisesRegex(ValueError, message):
      make(**sizes)

  def test_shardings_follow_the_table(self):
    mesh = make(data=1, fsdp=2, model=2)
    state = {
      'kernel': box(jnp.zeros((4, 6, 3)), 'embed', 'heads', 'head_dim'),
      'step': jnp.int32(0),
    }
    got = mesh_lib.state_shardings(mesh, state)
    self.assertEqual(got['kernel'].spec, P('fsdp', 'model', None))
    self.assertEqual(got['step'].spec, P())

  def test_a_misspelt_axis_is_not_taken_for_replicated(self):
    state = {'w': box(jnp.zeros((4,)), 'embedd')}
    with self.assertRaisesRegex(ValueError, "'embedd'.*did you mean 'embed'"):
      mesh_lib.state_shardings(make(), state)

  def test_an_axis_that_does_not_divide_names_array_and_key(self):
    state = {'layer': {'w': box(jnp.zeros((4, 5)), 'embed', 'mlp')}}
    with self.assertRaisesRegex(
      ValueError, r"\['layer'\]\['w'\].*axis 1 \(mlp\).*config.mesh.model"
    ):
      mesh_lib.state_shardings(make(data=2, model=2), state)

  def test_a_batch_that_does_not_divide_names_the_key(self):
    with self.assertRaisesRegex(
      ValueError, 'data.batch_size=6 must divide over the 4 devices'
    ):
      mesh_lib.device_batch({'x': np.zeros((6, 2))}, make())

  def test_a_batch_is_spread_over_the_data_axes(self):
    x = np.arange(8.0).reshape(4, 2)
    got = mesh_lib.device_batch({'x': x}, make(data=2, fsdp=2))['x']
    shards = sorted(got.addressable_shards, key=lambda s: s.index[0].start)
    for row, shard in enumerate(shards):
      np.testing.assert_array_equal(shard.data, x[row : row + 1])

  def test_unboxes_under_a_mesh(self):
    with mesh_lib.use(make()):
      state = {'w': box(jax.ShapeDtypeStruct((4,), jnp.float32), 'embed')}
      self.assertEqual(mesh_lib.unbox(state)['w'].shape, (4,))

  def test_replicated_results(self):
    with mesh_lib.use(make()) as mesh:
      x = mesh_lib.device_batch(np.ones((8, 3)), mesh)
      out = mesh_lib.replicated_jit(lambda x: 2 * x)(x)
      self.assertTrue(out.is_fully_replicated)


if __name__ == '__main__':
  absltest.main()
