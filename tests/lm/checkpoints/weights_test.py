"""Checkpoints against what transformers makes of them (make_peers.py)."""

import dataclasses
import functools
import json
import os
import pathlib
import shutil
import tempfile

import flax.linen as nn
import gguf
import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from absl.testing import absltest, parameterized

from lm import cache as caches
from lm import layout, transformer
from lm.checkpoints import hf_config, weights
from tests import files
from tests.lm.checkpoints import tokenizer_support as support

FAMILIES = ('llama', 'qwen2', 'qwen3', 'gemma3')


@functools.partial(jax.jit, static_argnums=0, static_argnames='causal')
def run(config, params, tokens, **kwargs):
  """Logits, and the cache if one is given."""
  model = transformer.Transformer(config)
  out = model.apply({'params': params}, tokens, **kwargs)
  return out.hidden @ transformer.unembedding(params).T, out.cache


def logits(loaded, tokens, **kwargs):
  return np.asarray(run(loaded.config, loaded.params, tokens, **kwargs)[0])


def peer(name):
  with np.load(files.PEERS / name / 'peer.npz') as data:
    return data['tokens'], data['logits']


def tensors_of(name):
  return safetensors.numpy.load_file(files.PEERS / name / 'model.safetensors')


class Folder(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )


class FamiliesTest(Folder):
  @parameterized.product(family=FAMILIES, scan_layers=(False, True))
  def test_logits_equal_transformers(self, family, scan_layers):
    loaded = weights.load(files.PEERS / family, scan_layers=scan_layers)
    tokens, want = peer(family)
    got = logits(loaded, tokens)
    error = np.abs(got - want).max() / np.abs(want).max()
    self.assertLess(error, 1e-5)

  @parameterized.product(family=FAMILIES, scan_layers=(False, True))
  def test_fused_equals_transformers_and_splits_again(
    self, family, scan_layers
  ):
    plain = weights.load(files.PEERS / family, scan_layers=scan_layers)
    fused = weights.load(
      files.PEERS / family, scan_layers=scan_layers, fused=True
    )
    tokens, want = peer(family)
    error = np.abs(logits(fused, tokens) - want).max() / np.abs(want).max()
    self.assertLess(error, 1e-5)
    # The tree is the one that the model itself would make.
    made = jax.eval_shape(
      transformer.Transformer(fused.config).init,
      jax.random.key(0),
      jnp.asarray(tokens),
    )['params']
    self.assertEqual(
      jax.tree.map(np.shape, fused.params),
      jax.tree.map(np.shape, nn.meta.unbox(made)),
    )
    config, params = layout.split(fused.config, fused.params)
    self.assertEqual(config, plain.config)
    jax.tree.map(np.testing.assert_array_equal, params, plain.params)
    weights.export(self.folder / 'out', *fused)
    again = weights.load(self.folder / 'out').params
    jax.tree.map(
      functools.partial(np.testing.assert_allclose, atol=1e-6),
      again,
      layout.unrolled(plain.params, config.layers),
    )

  @parameterized.parameters('float16', 'bfloat16')
  def test_half_precision_files(self, dtype):
    shutil.copy(files.PEERS / 'llama' / 'config.json', self.folder)
    tensors = tensors_of('llama')
    half = {n: v.astype(jnp.dtype(dtype)) for n, v in tensors.items()}
    safetensors.numpy.save_file(half, self.folder / 'model.safetensors')
    got = weights.load(self.folder)
    rounded = {n: v.astype(np.float32) for n, v in half.items()}
    os.remove(self.folder / 'model.safetensors')
    safetensors.numpy.save_file(rounded, self.folder / 'model.safetensors')
    jax.tree.map(
      np.testing.assert_array_equal,
      got.params,
      weights.load(self.folder).params,
    )
    self.assertEqual(got.params['embedding'].dtype, np.float32)

  def test_what_a_family_cannot_say_is_refused(self):
    loaded = weights.load(files.PEERS / 'llama')
    config = dataclasses.replace(loaded.config, qkv_bias=True)
    with self.assertRaisesRegex(ValueError, 'a llama has qkv_bias=False'):
      weights.export(self.folder / 'out', loaded.family, config, {})
    self.assertFalse((self.folder / 'out').exists())
    shutil.copytree(files.PEERS / 'llama', self.folder / 'relu')
    file = self.folder / 'relu' / 'config.json'
    data = json.loads(file.read_text()) | {'hidden_act': 'relu'}
    file.write_text(json.dumps(data))
    with self.assertRaisesRegex(
      weights.CheckpointError, 'one of silu, swish, config.json names relu'
    ):
      weights.load(self.folder / 'relu')

  @parameterized.parameters(*FAMILIES)
  def test_cached_equals_full(self, family):
    loaded = weights.load(files.PEERS / family)
    tokens, want = peer(family)
    cache = caches.Cache.create(loaded.config, 2, 16)
    for t in range(tokens.shape[1]):
      got, cache = run(
        loaded.config, loaded.params, tokens[:, t : t + 1], cache=cache
      )
      error = np.abs(np.asarray(got)[:, 0] - want[:, t]).max()
      self.assertLess(error / np.abs(want).max(), 1e-5)

  @parameterized.product(family=FAMILIES, scan_layers=(False, True))
  def test_export_writes_what_was_read(self, family, scan_layers):
    loaded = weights.load(files.PEERS / family, scan_layers=scan_layers)
    out = self.folder / 'out'
    weights.export(out, *loaded)
    want = tensors_of(family)
    got = safetensors.numpy.load_file(out / 'model.safetensors')
    self.assertEqual(set(got), set(want))
    for name, value in want.items():
      np.testing.assert_allclose(got[name], value, atol=1e-6, err_msg=name)
    again = weights.load(out)
    unscanned = weights.load(files.PEERS / family)
    self.assertEqual(again.config, unscanned.config)

  def test_export_in_half_precision(self):
    loaded = weights.load(files.PEERS / 'qwen2')
    weights.export(self.folder / 'half', *loaded, dtype='bfloat16')
    size = (self.folder / 'half' / 'model.safetensors').stat().st_size
    parameters = loaded.config.parameters()
    self.assertBetween(size, 2 * parameters, 2 * parameters + 8192)
    again = weights.load(self.folder / 'half').params
    jax.tree.map(
      lambda a, b: np.testing.assert_array_equal(
        a, np.asarray(b).astype(jnp.bfloat16).astype(np.float32)
      ),
      again,
      loaded.params,
    )

  def test_shards_are_one_model(self):
    tensors = tensors_of('qwen2')
    names = sorted(tensors)
    where = {n: f'part-{i % 3}.safetensors' for i, n in enumerate(names)}
    for file in set(where.values()):
      part = {n: tensors[n] for n in names if where[n] == file}
      safetensors.numpy.save_file(part, self.folder / file)
    (self.folder / weights.INDEX).write_text(json.dumps({'weight_map': where}))
    shutil.copy(files.PEERS / 'qwen2' / 'config.json', self.folder)
    got = weights.load(self.folder).params
    want = weights.load(files.PEERS / 'qwen2').params
    jax.tree.map(np.testing.assert_array_equal, got, want)
    (self.folder / 'part-1.safetensors').unlink()
    with self.assertRaisesRegex(weights.CheckpointError, 'part-1.*missing'):
      weights.load(self.folder)

  def test_dream_is_qwen2_both_ways(self):
    shutil.copytree(files.PEERS / 'qwen2', self.folder / 'dream')
    file = self.folder / 'dream' / 'config.json'
    file.write_text(
      json.dumps(json.loads(file.read_text()) | {'model_type': 'Dream'})
    )
    dream = weights.load(self.folder / 'dream')
    self.assertFalse(dream.family.causal)
    tokens, want = peer('qwen2')
    # The last position sees all in either case; others see more.
    both = logits(dream, tokens, causal=dream.family.causal)
    self.assertGreater(np.abs(both - want).max(), 1e-2)
    np.testing.assert_allclose(
      logits(dream, tokens, causal=True), want, rtol=1e-4, atol=1e-4
    )

  def test_llada_is_llama_under_other_names(self):
    words = {
      'model.embed_tokens.': 'model.transformer.wte.',
      'model.norm.': 'model.transformer.ln_f.',
      'lm_head.': 'model.transformer.ff_out.',
      'model.layers.': 'model.transformer.blocks.',
      'self_attn.o_proj': 'attn_out',
      'self_attn.': '',
      'post_attention_layernorm': 'ff_norm',
      'input_layernorm': 'attn_norm',
      'mlp.gate_proj': 'ff_proj',
      'mlp.up_proj': 'up_proj',
      'mlp.down_proj': 'ff_out',
    }

    def renamed(name):
      for old, new in words.items():
        name = name.replace(old, new)
      return name

    tensors = {renamed(n): v for n, v in tensors_of('llama').items()}
    safetensors.numpy.save_file(tensors, self.folder / 'model.safetensors')
    config = dict(
      model_type='llada',
      vocab_size=61,
      embedding_size=61,
      d_model=16,
      n_layers=3,
      n_heads=4,
      n_kv_heads=2,
      mlp_hidden_size=24,
      rope_theta=10000.0,
      rms_norm_eps=1e-5,
      weight_tying='lm_head.weight' not in tensors_of('llama'),
    )
    (self.folder / 'config.json').write_text(json.dumps(config))
    loaded = weights.load(self.folder)
    self.assertFalse(loaded.family.causal)
    want = weights.load(files.PEERS / 'llama').params
    jax.tree.map(np.testing.assert_array_equal, loaded.params, want)


class GGUFTest(Folder):
  @parameterized.parameters(
    ('F32', 0.0),
    ('F16', 1e-3),
    ('BF16', 1e-2),
    ('Q8_0', 2e-2),
    ('Q4_0', 0.4),
    ('Q4_1', 0.3),
  )
  def test_tensors(self, kind, error):
    path = self.folder / 'model.gguf'
    kind = gguf.GGMLQuantizationType[kind]
    values = support.write_gguf(path, kind)
    loaded = weights.load(path)
    c = loaded.config
    self.assertEqual((c.layers, c.width, c.heads, c.kv_heads), (3, 32, 4, 2))
    got = loaded.params['layer_1']
    up = values['blk.1.ffn_up.weight']
    np.testing.assert_allclose(got['up']['kernel'], up.T, atol=error)
    q = values['blk.1.attn_q.weight']
    for head in range(4):
      for i in range(4):
        # Neighbours 2i and 2i + 1 there are i and i + 4 here.
        for ours, theirs in ((i, 2 * i), (i + 4, 2 * i + 1)):
          np.testing.assert_allclose(
            got['query']['kernel'][:, head, ours],
            q[8 * head + theirs],
            atol=error,
          )

  def test_truncated(self):
    path = self.folder / 'model.gguf'
    support.write_gguf(path, gguf.GGMLQuantizationType.F32)
    path.write_bytes(path.read_bytes()[:-5000])
    with self.assertRaisesRegex(weights.CheckpointError, 'whole GGUF file'):
      weights.load(path)

  def test_unknown_tensor_type(self):
    path = self.folder / 'model.gguf'
    support.write_gguf(path, gguf.GGMLQuantizationType.F32)
    data = bytearray(path.read_bytes())
    name = b'blk.0.attn_q.weight'
    # After the name: a count of axes (4 bytes), the axes (8 each), the type.
    at = data.index(name) + len(name) + 4 + 2 * 8
    data[at : at + 4] = (199).to_bytes(4, 'little')
    path.write_bytes(data)
    with self.assertRaisesRegex(weights.CheckpointError, 'unknown tensor type'):
      weights.load(path)


class BrokenTest(Folder):
  def changed(self, change):
    tensors = tensors_of('llama')
    change(tensors)
    safetensors.numpy.save_file(tensors, self.folder / 'model.safetensors')
    shutil.copy(files.PEERS / 'llama' / 'config.json', self.folder)
    return weights.load(self.folder)

  def test_missing_tensor(self):
    name = 'model.layers.1.mlp.up_proj.weight'
    with self.assertRaisesRegex(weights.CheckpointError, f'lacks {name}'):
      self.changed(lambda t: t.pop(name))

  def test_extra_tensor(self):
    extra = np.zeros(3, np.float32)
    with self.assertRaisesRegex(weights.CheckpointError, 'unknown some.weight'):
      self.changed(lambda t: t.update({'some.weight': extra}))

  def test_misshapen_tensor(self):
    name = 'model.norm.weight'
    with self.assertRaisesRegex(weights.CheckpointError, f'{name} must become'):
      self.changed(lambda t: t.update({name: np.zeros(3, np.float32)}))

  def test_nothing_there(self):
    with self.assertRaisesRegex(FileNotFoundError, 'found nothing'):
      weights.load(self.folder / 'none')

  def test_other_family(self):
    with self.assertRaisesRegex(ValueError, "came 'mamba'"):
      hf_config.read({'model_type': 'mamba'})


if __name__ == '__main__':
  absltest.main()
