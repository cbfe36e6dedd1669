"""A tiny random BERT against what transformers makes of it."""

import dataclasses
import json
import pathlib
import shutil
import tempfile

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from absl.testing import absltest, parameterized

from engine import mesh as mesh_lib
from lm import bert
from lm.checkpoints import weights
from tests import files

PEER = files.PEERS / 'bert'


def peer():
  with np.load(PEER / 'peer.npz') as data:
    return {key: data[key] for key in data.files}


def run(loaded, tokens, mask, types=None):
  arrays = (jnp.asarray(tokens), jnp.asarray(mask))
  if types is not None:
    arrays += (jnp.asarray(types),)
  return np.asarray(
    bert.Bert(loaded.config).apply({'params': loaded.params}, *arrays)
  )


class BertTest(absltest.TestCase):
  def test_hidden_states_equal_transformers(self):
    want = peer()
    got = run(bert.load(PEER), want['tokens'], want['mask'], want['types'])
    seen = want['mask']
    self.assertEqual(seen.sum(), 13 + 8)
    # float32; of a size of 3.
    np.testing.assert_allclose(got[seen], want['hidden'][seen], atol=1e-5)

  def test_loading_inside_a_mesh_is_loading(self):
    want, outside = peer(), bert.load(PEER)
    mesh = mesh_lib.make(mesh_lib.MeshConfig(data=2, model=2))
    with mesh_lib.use(mesh):
      inside = bert.load(PEER)
      got = run(inside, want['tokens'], want['mask'], want['types'])
    jax.tree.map(np.testing.assert_array_equal, inside.params, outside.params)
    np.testing.assert_allclose(
      got[want['mask']], want['hidden'][want['mask']], atol=1e-5
    )

  def test_types_count_and_are_the_first_where_none_are_given(self):
    data, loaded = peer(), bert.load(PEER)
    tokens, mask, types = data['tokens'], data['mask'], data['types']
    without = run(loaded, tokens, mask)
    zeros = run(loaded, tokens, mask, np.zeros_like(types))
    np.testing.assert_array_equal(without, zeros)
    other = run(loaded, tokens, mask, types)
    self.assertGreater(np.abs(without - other).max(), 0.1)

  def test_what_is_masked_is_not_seen(self):
    data, loaded = peer(), bert.load(PEER)
    tokens, mask = data['tokens'], data['mask']
    other = np.where(mask, tokens, (tokens + 7) % 90)
    np.testing.assert_array_equal(
      run(loaded, tokens, mask)[mask], run(loaded, other, mask)[mask]
    )

  def test_order_counts(self):
    data, loaded = peer(), bert.load(PEER)
    tokens, mask = data['tokens'], np.ones_like(data['mask'])
    turned = run(loaded, tokens[:, ::-1], mask)[:, ::-1]
    self.assertGreater(np.abs(turned - run(loaded, tokens, mask)).max(), 0.1)

  def test_the_tree_is_the_one_that_the_model_makes(self):
    loaded, data = bert.load(PEER), peer()
    made = jax.eval_shape(
      bert.Bert(loaded.config).init,
      jax.random.key(0),
      jnp.asarray(data['tokens']),
      jnp.asarray(data['mask']),
    )['params']
    self.assertEqual(
      jax.tree.map(np.shape, loaded.params),
      jax.tree.map(np.shape, nn.meta.unbox(made)),
    )


class CheckpointTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    temporary = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(temporary) / 'model'
    shutil.copytree(PEER, self.folder)
    self.file = self.folder / 'model.safetensors'

  def rewrite(self, change):
    tensors = safetensors.numpy.load_file(self.file)
    change(tensors)
    self.file.unlink()
    safetensors.numpy.save_file(tensors, self.file)

  def test_a_missing_tensor_is_named(self):
    name = 'encoder.layer.1.output.dense.bias'
    self.rewrite(lambda tensors: tensors.pop(name))
    with self.assertRaisesRegex(weights.CheckpointError, f'lacks {name}$'):
      bert.load(self.folder)

  def test_an_extra_tensor_is_named(self):
    name = 'encoder.layer.3.output.dense.bias'
    self.rewrite(lambda tensors: tensors.update({name: np.zeros(12)}))
    with self.assertRaisesRegex(
      weights.CheckpointError, f'3 layers .* has an unknown {name}$'
    ):
      bert.load(self.folder)

  @parameterized.parameters(
    ('embeddings.LayerNorm.weight', (13,)),
    ('encoder.layer.0.attention.self.key.weight', (12, 11)),
    ('encoder.layer.2.attention.self.value.bias', (13,)),
    ('embeddings.word_embeddings.weight', (89, 12)),
  )
  def test_a_misshapen_tensor_is_named(self, name, shape):
    self.rewrite(lambda tensors: tensors.update({name: np.zeros(shape)}))
    with self.assertRaisesRegex(
      weights.CheckpointError, rf'{name} must become .*came \({shape[0]}'
    ):
      bert.load(self.folder)

  def test_the_head_of_the_next_sentence_task_may_be_missing(self):
    def change(tensors):
      for name in [name for name in tensors if name.startswith('pooler')]:
        del tensors[name]
      tensors['embeddings.position_ids'] = np.arange(24)[None]

    before = bert.load(self.folder).params
    self.rewrite(change)
    jax.tree.map(
      np.testing.assert_array_equal, bert.load(self.folder).params, before
    )

  @parameterized.parameters(
    ('hidden_act', 'relu', "hidden_act must be 'gelu'.*has 'relu'"),
    ('model_type', 'roberta', "model_type must be 'bert'.*has 'roberta'"),
    (
      'position_embedding_type',
      'relative_key',
      "position_embedding_type must be 'absolute'",
    ),
    ('num_attention_heads', 5, 'encoder.width=12 must divide over'),
    ('num_hidden_layers', 0, 'encoder.layers must be positive, got 0'),
    ('layer_norm_eps', None, "must hold 'layer_norm_eps'"),
    ('hidden_size', '12', 'config.json: '),
    ('is_decoder', True, 'is_decoder must be False'),
    ('embedding_size', 8, 'embedding_size=8, a key that is not known'),
  )
  def test_another_config_is_refused(self, key, value, what):
    file = self.folder / 'config.json'
    data = json.loads(file.read_text()) | {key: value}
    if value is None:
      del data[key]
    file.write_text(json.dumps(data))
    with self.assertRaisesRegex(weights.CheckpointError, what):
      bert.load(self.folder)

  def test_without_a_config_the_folder_is_named(self):
    (self.folder / 'config.json').unlink()
    with self.assertRaisesRegex(FileNotFoundError, 'found no config.json'):
      bert.load(self.folder)

  def test_a_config_is_what_the_file_says(self):
    config = bert.load(self.folder).config
    self.assertEqual(
      dataclasses.asdict(config),
      dict(
        vocab_size=90,
        layers=3,
        width=12,
        heads=3,
        mlp_width=20,
        positions=24,
        types=2,
        norm_eps=1e-3,
      ),
    )


if __name__ == '__main__':
  absltest.main()
