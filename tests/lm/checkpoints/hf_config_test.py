"""config.json: every key is read, known to change nothing, or refused."""

import json
import pathlib
import shutil
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from absl.testing import absltest, parameterized

from lm import cache as caches
from lm import transformer
from lm.checkpoints import hf_config, weights
from tests import files

LENGTH, WINDOW = 13, 4


def config_json(name):
  return json.loads((files.PEERS / name / 'config.json').read_text())


def plain_logits(name, tokens, window_of):
  """A tiny Qwen in NumPy; `window_of` gives a layer's window, or None."""
  c = config_json(name)
  w = {
    key: np.asarray(value, np.float64)
    for key, value in safetensors.numpy.load_file(
      files.PEERS / name / 'model.safetensors'
    ).items()
  }
  heads, pairs = c['num_attention_heads'], c['num_key_value_heads']
  size = c.get('head_dim', c['hidden_size'] // heads)

  def norm(x, scale):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * w[scale]

  def project(x, name):
    return x @ w[f'{name}.weight'].T + w.get(f'{name}.bias', 0.0)

  def turned(x_TNH):
    half = size // 2
    angles = np.arange(len(x_TNH))[:, None] * 1e4 ** (-np.arange(half) / half)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    one, two = x_TNH[..., :half], x_TNH[..., half:]
    return np.concatenate([one * cos - two * sin, two * cos + one * sin], -1)

  def attention(x, layer, window):
    at = f'model.layers.{layer}.self_attn'
    q, k, v = (
      project(x, f'{at}.{part}_proj').reshape(len(x), -1, size)
      for part in 'qkv'
    )
    if f'{at}.q_norm.weight' in w:
      q, k = norm(q, f'{at}.q_norm.weight'), norm(k, f'{at}.k_norm.weight')
    q, k = turned(q), turned(k)
    out = np.zeros((len(x), heads, size))
    for t in range(len(x)):
      first = 0 if window is None else max(0, t - window + 1)
      for n in range(heads):
        pair = n // (heads // pairs)
        scores = k[first : t + 1, pair] @ q[t, n] / np.sqrt(size)
        shares = np.exp(scores - scores.max())
        out[t, n] = shares / shares.sum() @ v[first : t + 1, pair]
    return project(out.reshape(len(x), -1), f'{at}.o_proj')

  def mlp(x, at):
    gate = project(x, f'{at}.gate_proj')
    return project(
      gate / (1 + np.exp(-gate)) * project(x, f'{at}.up_proj'),
      f'{at}.down_proj',
    )

  rows = []
  for row in tokens:
    x = w['model.embed_tokens.weight'][row]
    for i in range(c['num_hidden_layers']):
      at = f'model.layers.{i}'
      y = norm(x, f'{at}.input_layernorm.weight')
      x = x + attention(y, i, window_of(i))
      y = norm(x, f'{at}.post_attention_layernorm.weight')
      x = x + mlp(y, f'{at}.mlp')
    table = w.get('lm_head.weight', w['model.embed_tokens.weight'])
    rows.append(norm(x, 'model.norm.weight') @ table.T)
  return np.stack(rows)


class WindowTest(parameterized.TestCase):
  """Qwen: layers from `max_window_layers` on see `sliding_window` positions."""

  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )

  def windowed(self, name, out='windowed', **fields):
    shutil.copytree(files.PEERS / name, self.folder / out)
    data = config_json(name) | fields
    data = {key: value for key, value in data.items() if value != 'absent'}
    (self.folder / out / 'config.json').write_text(json.dumps(data))
    return self.folder / out

  @parameterized.parameters(('qwen2', 2, False), ('qwen3', 1, True))
  def test_logits_beyond_the_window(self, name, first, scan):
    with np.load(files.PEERS / name / 'peer.npz') as data:
      tokens, full = data['tokens'], data['logits']
    # The oracle is transformers' model where nothing is cut off.
    oracle = plain_logits(name, tokens, lambda layer: None)
    np.testing.assert_allclose(oracle, full, atol=1e-4)
    want = plain_logits(
      name, tokens, lambda layer: WINDOW if layer >= first else None
    )
    self.assertGreater(np.abs(want - full).max(), 0.1)
    path = self.windowed(
      name,
      use_sliding_window=True,
      sliding_window=WINDOW,
      max_window_layers=first,
      layer_types='absent',
    )
    loaded = weights.load(path, scan_layers=scan)
    model = transformer.Transformer(loaded.config)
    table = transformer.unembedding(loaded.params)

    @jax.jit
    def whole(params, tokens):
      return model.apply({'params': params}, tokens).hidden @ table.T

    @jax.jit
    def one(params, token, cache):
      out = model.apply({'params': params}, token, cache=cache)
      return out.hidden[:, 0] @ table.T, out.cache

    got = whole(loaded.params, jnp.asarray(tokens))
    np.testing.assert_allclose(got, want, atol=1e-4)
    cache, steps = caches.Cache.create(loaded.config, 2, LENGTH), []
    for t in range(LENGTH):
      logits, cache = one(loaded.params, tokens[:, t : t + 1], cache)
      steps.append(logits)
    np.testing.assert_allclose(np.stack(steps, 1), want, atol=1e-4)

  def test_the_first_layers_see_everything(self):
    for first in range(3):
      _, c = hf_config.read(
        EXAMPLES['qwen2']
        | dict(use_sliding_window=True, max_window_layers=first)
      )
      self.assertEqual(
        [c.is_local(i) for i in range(4)], [i >= first for i in range(4)]
      )
      self.assertEqual((c.window, c.local_rope_base), (4096, c.rope_base))

  def test_layer_types_say_the_same_and_are_written_back(self):
    types = ['full_attention', 'sliding_attention', 'sliding_attention']
    path = self.windowed(
      'qwen3',
      use_sliding_window=True,
      sliding_window=WINDOW,
      max_window_layers=28,  # layer_types come first, as in transformers
      layer_types=types,
    )
    loaded = weights.load(path)
    c = loaded.config
    self.assertEqual([c.is_local(i) for i in range(3)], [False, True, True])
    weights.export(self.folder / 'out', *loaded)
    written = json.loads((self.folder / 'out' / 'config.json').read_text())
    self.assertEqual(written['layer_types'], types)
    self.assertEqual(written['max_window_layers'], 1)
    self.assertEqual(weights.load(self.folder / 'out').config, c)

  def test_a_window_that_is_off_or_reaches_no_layer_is_none(self):
    for i, fields in enumerate(
      (
        dict(use_sliding_window=False, max_window_layers=0),
        dict(use_sliding_window=True, max_window_layers=3),
      )
    ):
      _, config = weights.open_source(
        self.windowed(
          'qwen2', str(i), sliding_window=4, layer_types='absent', **fields
        )
      ).config()
      self.assertIsNone(config.window)

  def test_contradictions(self):
    sliding = ['sliding_attention'] * 3
    mixed = ['sliding_attention', 'full_attention', 'full_attention']
    for i, (fields, message) in enumerate(
      (
        (dict(layer_types=sliding), 'use_sliding_window'),
        (dict(use_sliding_window=True, sliding_window=None), 'sliding_window'),
        (
          dict(use_sliding_window=True, sliding_window=4, layer_types=mixed),
          'layer_types',
        ),
        (
          dict(use_sliding_window=True, sliding_window=4, layer_types=['x']),
          'layer_types',
        ),
      )
    ):
      with self.assertRaisesRegex(weights.CheckpointError, message):
        weights.load(self.windowed('qwen2', str(i), **fields))


class KeysTest(parameterized.TestCase):
  @parameterized.parameters(
    ('llama', 'mlp_bias', True),
    ('llama', 'attention_bias', True),
    ('qwen3', 'attention_bias', True),
    ('llama', 'partial_rotary_factor', 0.5),
    ('llama', 'rope_parameters', {'partial_rotary_factor': 0.5}),
    ('llama', 'rope_scaling', {'type': 'linear', 'factor': 2.0}),
    ('llama', 'rope_scaling', {'mrope_section': [1, 1, 2]}),
    ('qwen2', 'final_logit_softcapping', 30.0),
    ('gemma3', 'final_logit_softcapping', 30.0),
    ('gemma3', 'attn_logit_softcapping', 50.0),
    ('gemma3', 'use_bidirectional_attention', True),
    ('llama', 'sliding_window', 4096),
    ('dream', 'use_sliding_window', True),
    ('llama', 'quantization_config', {'quant_method': 'fp8'}),
    ('llama', 'auto_map', {'AutoModelForCausalLM': 'mine.Model'}),
    ('qwen2', 'is_causal', False),
    ('llama', 'logit_scale', 0.5),
    ('llama', 'qk_layernorm', True),
    ('llama', 'some_new_switch', False),
    ('llada', 'alibi', True),
    ('llada', 'rope', False),
    ('llada', 'include_qkv_bias', True),
    ('llada', 'layer_norm_type', 'default'),
    ('llada', 'scale_logits', True),
    ('llada', 'input_emb_norm', True),
  )
  def test_what_changes_logits_is_refused_by_its_name(self, name, key, value):
    with self.assertRaisesRegex(
      ValueError,
      f'{key}|{next(iter(value), key)}' if isinstance(value, dict) else key,
    ):
      hf_config.read(EXAMPLES[name] | {key: value})

  def test_gemma_wants_both_rotations_unscaled(self):
    rope = {
      'full_attention': {'rope_theta': 1e6, 'rope_type': 'default'},
      'sliding_attention': {
        'rope_theta': 1e4,
        'rope_type': 'linear',
        'factor': 8.0,
      },
    }
    with self.assertRaisesRegex(ValueError, 'unscaled'):
      hf_config.read(config_json('gemma3') | {'rope_parameters': rope})

  def test_a_null_is_the_default(self):
    _, config = hf_config.read(
      EXAMPLES['llama'] | {'some_new_switch': None, 'head_dim': None}
    )
    self.assertEqual(config.head_dim, 64)

  @parameterized.parameters('llama', 'qwen2', 'dream', 'llada', 'gemma3')
  def test_published_configs_open(self, name):
    family, config = hf_config.read(EXAMPLES[name])
    self.assertEqual(family.name, name)
    self.assertIsNone(None if name == 'gemma3' else config.window)

  def test_defaults_are_those_of_the_family(self):
    gemma = dict(EXAMPLES['gemma3'])
    for key in ('head_dim', 'rope_theta', 'sliding_window'):
      del gemma[key]
    _, config = hf_config.read(gemma)
    self.assertEqual(
      (config.head_dim, config.rope_base, config.window), (256, 1e6, 4096)
    )
    qwen = {k: v for k, v in config_json('qwen3').items() if k != 'head_dim'}
    _, config = hf_config.read(qwen)
    self.assertEqual(config.head_dim, 128)


_USUAL = dict(
  attention_dropout=0.0,
  bos_token_id=0,
  eos_token_id=[0, 2],
  initializer_range=0.02,
  max_position_embeddings=8192,
  torch_dtype='bfloat16',
  transformers_version='4.42.3',
  use_cache=True,
)
# The keys of published files: SmolLM2-135M-Instruct, Qwen2.5-Math-1.5B,
# Dream-v0-Instruct-7B, LLaDA-8B-Instruct, gemma-3-270m; sizes made small.
EXAMPLES = {
  'llama': _USUAL
  | {
    'architectures': ['LlamaForCausalLM'],
    'attention_bias': False,
    'hidden_act': 'silu',
    'hidden_size': 576,
    'intermediate_size': 1536,
    'is_llama_config': True,
    'mlp_bias': False,
    'model_type': 'llama',
    'num_attention_heads': 9,
    'num_hidden_layers': 3,
    'num_key_value_heads': 3,
    'pad_token_id': 2,
    'pretraining_tp': 1,
    'rms_norm_eps': 1e-05,
    'rope_interleaved': False,
    'rope_scaling': None,
    'rope_theta': 100000,
    'tie_word_embeddings': True,
    'transformers.js_config': {'kv_cache_dtype': {'q4f16': 'float16'}},
    'vocab_size': 64,
  },
  'qwen2': _USUAL
  | {
    'architectures': ['Qwen2ForCausalLM'],
    'hidden_act': 'silu',
    'hidden_size': 16,
    'intermediate_size': 24,
    'max_window_layers': 21,
    'model_type': 'qwen2',
    'num_attention_heads': 4,
    'num_hidden_layers': 28,
    'num_key_value_heads': 2,
    'rms_norm_eps': 1e-06,
    'rope_theta': 10000.0,
    'sliding_window': 4096,
    'tie_word_embeddings': True,
    'use_mrope': False,
    'use_sliding_window': False,
    'vocab_size': 64,
  },
  'gemma3': _USUAL
  | {
    '_sliding_window_pattern': 6,
    'architectures': ['Gemma3ForCausalLM'],
    'attention_bias': False,
    'attn_logit_softcapping': None,
    'final_logit_softcapping': None,
    'head_dim': 8,
    'hidden_activation': 'gelu_pytorch_tanh',
    'hidden_size': 16,
    'intermediate_size': 24,
    'layer_types': (['sliding_attention'] * 5 + ['full_attention']) * 3,
    'model_type': 'gemma3_text',
    'num_attention_heads': 4,
    'num_hidden_layers': 18,
    'num_key_value_heads': 1,
    'pad_token_id': 0,
    'query_pre_attn_scalar': 256,
    'rms_norm_eps': 1e-06,
    'rope_local_base_freq': 10000.0,
    'rope_scaling': None,
    'rope_theta': 1000000.0,
    'sliding_window': 512,
    'use_bidirectional_attention': False,
    'vocab_size': 64,
  },
  'llada': {
    'activation_type': 'silu',
    'alibi': False,
    'alibi_bias_max': 8.0,
    'architectures': ['LLaDAModelLM'],
    'attention_dropout': 0.0,
    'attention_layer_norm': False,
    'attention_layer_norm_with_affine': True,
    'auto_map': {'AutoModel': 'modeling_llada.LLaDAModelLM'},
    'bias_for_layer_norm': False,
    'block_group_size': 1,
    'block_type': 'llama',
    'd_model': 16,
    'embedding_dropout': 0.0,
    'embedding_size': 64,
    'eos_token_id': 61,
    'flash_attention': False,
    'include_bias': False,
    'include_qkv_bias': False,
    'init_cutoff_factor': None,
    'init_device': 'meta',
    'init_fn': 'mitchell',
    'init_std': 0.02,
    'input_emb_norm': False,
    'layer_norm_type': 'rms',
    'layer_norm_with_affine': True,
    'mask_token_id': 62,
    'max_sequence_length': 4096,
    'mlp_hidden_size': 24,
    'mlp_ratio': 4,
    'model_type': 'llada',
    'multi_query_attention': None,
    'n_heads': 4,
    'n_kv_heads': 4,
    'n_layers': 3,
    'pad_token_id': 61,
    'precision': 'amp_bf16',
    'residual_dropout': 0.0,
    'rms_norm_eps': 1e-05,
    'rope': True,
    'rope_full_precision': True,
    'rope_theta': 500000.0,
    'scale_logits': False,
    'transformers_version': '4.46.3',
    'use_cache': False,
    'vocab_size': 64,
    'weight_tying': False,
  },
}
EXAMPLES['dream'] = {
  key: value for key, value in EXAMPLES['qwen2'].items() if key != 'use_mrope'
} | {
  'architectures': ['DreamModel'],
  'auto_map': {'AutoModel': 'modeling_dream.DreamModel'},
  'mask_token_id': 62,
  'model_type': 'Dream',
  'pad_token_id': 61,
  'rope_scaling': None,
  'sliding_window': None,
}
EXAMPLES['qwen3'] = config_json('qwen3')


if __name__ == '__main__':
  absltest.main()
