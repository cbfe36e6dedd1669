"""Checkpoints on four devices against one: reading, sampling, scores."""

import dataclasses
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from engine import mesh as mesh_lib
from lm import transformer
from lm.checkpoints import weights
from lm.decoding import generate, scoring
from tests import files

PROMPTS = ([7], [1, 2, 3, 4, 5, 6, 7, 8], list(range(20, 37)), [60, 0, 9])


def padded(family, folder):
  """A checkpoint whose vocabulary of 61 is filled up to divide over devices."""
  model = weights.load(files.PEERS / family)
  config = dataclasses.replace(model.config, vocab_size=64)
  table = jnp.pad(model.params['embedding'], ((0, 3), (0, 0)))
  params = model.params | {'embedding': table}
  if not config.tied:
    params['unembedding'] = jnp.pad(params['unembedding'], ((0, 3), (0, 0)))
  weights.export(folder, model.family, config, params)
  return folder


class ShardedTest(parameterized.TestCase):
  @parameterized.parameters(
    dict(family='llama', scan_layers=False),
    dict(family='llama', scan_layers=True),
    dict(family='gemma3', scan_layers=False),
  )
  def test_four_devices_equal_one(self, family, scan_layers):
    temporary = self.enter_context(tempfile.TemporaryDirectory())
    path = padded(family, pathlib.Path(temporary) / 'padded')
    plain = weights.load(path, scan_layers=scan_layers)
    mesh = mesh_lib.make(mesh_lib.MeshConfig(data=2, model=2))
    with mesh_lib.use(mesh):
      boxed = jax.eval_shape(
        transformer.Transformer(plain.config).init,
        jax.random.key(0),
        jnp.zeros((1, 2), jnp.int32),
      )['params']
      shardings = mesh_lib.state_shardings(mesh, boxed)
      spread = weights.load(path, scan_layers=scan_layers, shardings=shardings)
      jax.tree.map(np.testing.assert_array_equal, spread.params, plain.params)
      # Spread indeed: each of two devices along 'model' holds a part.
      kernels = [
        a for a in jax.tree.leaves(spread.params) if not a.is_fully_replicated
      ]
      self.assertNotEmpty(kernels)
      for array in kernels:
        self.assertEqual(array.addressable_shards[0].data.size * 2, array.size)
      settings = dict(max_new_tokens=5, num_samples=2, temperature=0.9)
      key = jax.random.key(0)
      got = generate.sample(
        spread.config, spread.params, PROMPTS, key, **settings
      )
      options = [[[1, 2], [3]]] * 4
      scores = scoring.score(spread.config, spread.params, PROMPTS, options)
    want = generate.sample(plain.config, plain.params, PROMPTS, key, **settings)
    np.testing.assert_array_equal(got.tokens, want.tokens)
    np.testing.assert_allclose(got.logprobs, want.logprobs, atol=1e-4)
    alone = scoring.score(plain.config, plain.params, PROMPTS, options)
    for some, others in zip(scores, alone, strict=True):
      for one, other in zip(some, others, strict=True):
        self.assertAlmostEqual(one.total, other.total, places=4)


if __name__ == '__main__':
  absltest.main()
