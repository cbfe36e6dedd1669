"""Checkpoint families: whose tensors are called what, and how they are laid.

One row a tensor: our path, its name in a Hugging Face checkpoint and in a
GGUF, and its kind, which says how our layout follows from theirs. A family
adds what differs. GGUF's names are the same for all families.

Shapes in ours: V vocabulary, D width, N heads (query) or K (key, value), H
head width, F mlp width. Checkpoints hold matrices as [out, in].
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from lm import transformer

Config = transformer.TransformerConfig


class Kind(NamedTuple):
  """Ours from theirs, and back; `heads` is N or K, 0 where there are none."""

  ours: Callable[[np.ndarray, int], np.ndarray]
  theirs: Callable[[np.ndarray, int], np.ndarray]


def _split_rotary(w, heads):
  """Undoes the pairing (2i, 2i + 1) of Llama in GGUF; ours is (i, i + H/2)."""
  rows = w.reshape(heads, -1, 2, *w.shape[1:]).swapaxes(1, 2)
  return rows.reshape(w.shape)


def _pair_rotary(w, heads):
  rows = w.reshape(heads, 2, -1, *w.shape[1:]).swapaxes(1, 2)
  return rows.reshape(w.shape)


def _to_heads(w, heads):
  return w.T.reshape(w.shape[1], heads, -1)


def _from_heads(w, heads):
  del heads
  return w.reshape(w.shape[0], -1).T


KINDS = {
  'as_is': Kind(lambda w, n: w, lambda w, n: w),
  # Gemma's checkpoints hold scale - 1.
  'offset': Kind(lambda w, n: w + 1, lambda w, n: w - 1),
  'matrix': Kind(lambda w, n: w.T, lambda w, n: w.T),
  'heads': Kind(_to_heads, _from_heads),
  'heads_paired': Kind(
    lambda w, n: _to_heads(_split_rotary(w, n), n),
    lambda w, n: _pair_rotary(_from_heads(w, n), n),
  ),
  'heads_bias': Kind(lambda w, n: w.reshape(n, -1), lambda w, n: w.reshape(-1)),
  'heads_bias_paired': Kind(
    lambda w, n: _split_rotary(w, n).reshape(n, -1),
    lambda w, n: _pair_rotary(w.reshape(-1), n),
  ),
  'merge': Kind(
    lambda w, n: w.T.reshape(n, -1, w.shape[0]),
    lambda w, n: w.reshape(-1, w.shape[-1]).T,
  ),
}

# Of a layer: path, Hugging Face name, GGUF name, kind.
_LAYER = (
  ('attention_norm/scale', 'input_layernorm', 'attn_norm', 'as_is'),
  ('query/kernel', 'self_attn.q_proj', 'attn_q', 'heads'),
  ('query/bias', 'self_attn.q_proj', 'attn_q', 'heads_bias'),
  ('key/kernel', 'self_attn.k_proj', 'attn_k', 'heads'),
  ('key/bias', 'self_attn.k_proj', 'attn_k', 'heads_bias'),
  ('value/kernel', 'self_attn.v_proj', 'attn_v', 'heads'),
  ('value/bias', 'self_attn.v_proj', 'attn_v', 'heads_bias'),
  ('query_norm/scale', 'self_attn.q_norm', 'attn_q_norm', 'as_is'),
  ('key_norm/scale', 'self_attn.k_norm', 'attn_k_norm', 'as_is'),
  ('out/kernel', 'self_attn.o_proj', 'attn_output', 'merge'),
  ('mlp_norm/scale', 'post_attention_layernorm', 'ffn_norm', 'as_is'),
  ('gate/kernel', 'mlp.gate_proj', 'ffn_gate', 'matrix'),
  ('up/kernel', 'mlp.up_proj', 'ffn_up', 'matrix'),
  ('down/kernel', 'mlp.down_proj', 'ffn_down', 'matrix'),
  ('post_attention_norm/scale', '', 'post_attention_norm', 'as_is'),
  ('post_mlp_norm/scale', '', 'post_ffw_norm', 'as_is'),
)
_GLOBAL = (
  ('embedding', 'model.embed_tokens', 'token_embd', 'as_is'),
  ('unembedding', 'lm_head', 'output', 'as_is'),
  ('final_norm/scale', 'model.norm', 'output_norm', 'as_is'),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
  """What differs from Llama in names, layout and config.

  `renamed`: our path to the family's own Hugging Face name. `layers`: what
  precedes the names of a layer there. `offset_norms`: norms are stored less
  one in Hugging Face files (GGUF holds them whole). `paired`: queries and
  keys are stored for rotation by neighbouring pairs in GGUF. `causal`: a
  decoder, else a masked-diffusion model. `architecture`: the class that
  transformers builds, '' where it has none.
  """

  name: str
  architecture: str = ''
  renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
  layers: str = 'model.layers.{}.'
  offset_norms: bool = False
  paired: bool = False
  causal: bool = True
  keys: Mapping[str, str] = dataclasses.field(default_factory=dict)
  fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_LLADA = {
  'embedding': 'model.transformer.wte',
  'unembedding': 'model.transformer.ff_out',
  'final_norm/scale': 'model.transformer.ln_f',
  'attention_norm/scale': 'attn_norm',
  'query/kernel': 'q_proj',
  'key/kernel': 'k_proj',
  'value/kernel': 'v_proj',
  'out/kernel': 'attn_out',
  'mlp_norm/scale': 'ff_norm',
  'gate/kernel': 'ff_proj',
  'up/kernel': 'up_proj',
  'down/kernel': 'ff_out',
}
_GEMMA = {
  'post_attention_norm/scale': 'post_attention_layernorm',
  'mlp_norm/scale': 'pre_feedforward_layernorm',
  'post_mlp_norm/scale': 'post_feedforward_layernorm',
}
_LLADA_KEYS = {
  'hidden_size': 'd_model',
  'num_hidden_layers': 'n_layers',
  'num_attention_heads': 'n_heads',
  'num_key_value_heads': 'n_kv_heads',
  'intermediate_size': 'mlp_hidden_size',
  'tie_word_embeddings': 'weight_tying',
  'hidden_act': 'activation_type',
}

# By the `model_type` of config.json in lower case, and GGUF's architecture.
FAMILIES = {
  family.name: family
  for family in (
    Family(name='llama', architecture='LlamaForCausalLM', paired=True),
    Family(
      name='qwen2', architecture='Qwen2ForCausalLM', fixed={'qkv_bias': True}
    ),
    Family(
      name='qwen3', architecture='Qwen3ForCausalLM', fixed={'qk_norm': True}
    ),
    Family(
      name='gemma3',
      architecture='Gemma3ForCausalLM',
      renamed=_GEMMA,
      offset_norms=True,
      fixed={
        'qk_norm': True,
        'post_norms': True,
        'embed_scale': True,
        'activation': 'gelu',
      },
    ),
    Family(
      name='llada',
      renamed=_LLADA,
      layers='model.transformer.blocks.{}.',
      causal=False,
      keys=_LLADA_KEYS,
    ),
    Family(name='dream', causal=False, fixed={'qkv_bias': True}),
  )
}


# Our activations, and what a config.json may call them.
_ACTIVATION_NAMES = {
  'silu': ('silu', 'swish'),
  'gelu': ('gelu_pytorch_tanh', 'gelu_new'),
}


def find(name: str) -> Family:
  """The family of a model type; ValueError where there is none."""
  key = name.lower().removesuffix('_text')
  if key not in FAMILIES:
    raise ValueError(
      f'expected a model of the families {", ".join(FAMILIES)}, came {name!r}'
    )
  return FAMILIES[key]


def shapes(c: Config) -> dict[str, tuple[int, ...]]:
  """Our tensors of a layer and of the whole, by path, unrolled."""
  query, pair = (c.heads, c.head_dim), (c.kv_heads, c.head_dim)
  layer: dict[str, tuple[int, ...]] = {
    'attention_norm/scale': (c.width,),
    'query/kernel': (c.width, *query),
    'key/kernel': (c.width, *pair),
    'value/kernel': (c.width, *pair),
    'out/kernel': (*query, c.width),
    'mlp_norm/scale': (c.width,),
    'gate/kernel': (c.width, c.mlp_width),
    'up/kernel': (c.width, c.mlp_width),
    'down/kernel': (c.mlp_width, c.width),
  }
  if c.qkv_bias:
    layer |= {'query/bias': query, 'key/bias': pair, 'value/bias': pair}
  if c.qk_norm:
    layer |= {f'{n}_norm/scale': (c.head_dim,) for n in ('query', 'key')}
  if c.post_norms:
    layer |= {f'post_{n}_norm/scale': (c.width,) for n in ('attention', 'mlp')}
  table = (c.vocab_size, c.width)
  whole = {'embedding': table, 'final_norm/scale': (c.width,)}
  if not c.tied:
    whole['unembedding'] = table
  for index in range(c.layers):
    whole |= {f'layer_{index}/{path}': size for path, size in layer.items()}
  return whole


class Row(NamedTuple):
  """One tensor: our path and shape, its name there, how to lay it."""

  path: str
  shape: tuple[int, ...]
  name: str
  kind: Kind
  heads: int


def rows(family: Family, c: Config, style: str) -> list[Row]:
  """Every tensor of a model; `style` is 'hf' or 'gguf'."""
  known = {row[0]: row for row in (*_GLOBAL, *_LAYER)}
  out = []
  for path, shape in shapes(c).items():
    layer, _, rest = path.partition('/')
    inside = layer.startswith('layer_')
    short = rest if inside else path
    _, hf, gguf, kind = known[short]
    suffix = '.bias' if short.endswith('bias') else '.weight'
    number = layer.removeprefix('layer_')
    if style == 'gguf':
      name = (f'blk.{number}.' if inside else '') + gguf + suffix
      rotary = short.split('/')[0] in ('query', 'key')
      if family.paired and rotary and kind.startswith('heads'):
        kind += '_paired'
    else:
      prefix = family.layers.format(number) if inside else ''
      name = prefix + family.renamed.get(short, hf) + suffix
      if family.offset_norms and short.endswith('norm/scale'):
        kind = 'offset'
    keys = short.startswith(('key', 'value'))
    heads = c.kv_heads if keys else c.heads
    out.append(Row(path, shape, name, KINDS[kind], heads))
  return out


def config_of_hf(data: Mapping[str, Any]) -> tuple[Family, Config]:
  """Family and config from the contents of a config.json.

  Raises:
    ValueError: another family, a missing key, or a feature that the model
      here has not (scaled rotary positions, soft-capped logits).
  """
  family = find(data.get('model_type', '(no model_type)'))

  def get(key, *default):
    value = data.get(family.keys.get(key, key))
    if value is None:
      if not default:
        raise ValueError(
          f'config.json must hold {family.keys.get(key, key)!r}, and has not'
        )
      return default[0]
    return value

  rope = get('rope_parameters', {})
  local = rope.get('sliding_attention', {})
  rope = rope.get('full_attention', rope)
  scaling = get('rope_scaling', None) or rope
  if scaling.get('rope_type', scaling.get('type', 'default')) != 'default':
    raise ValueError(
      f'rotary positions must be unscaled, config.json has {scaling}'
    )
  activation = family.fixed.get('activation', 'silu')
  names = _ACTIVATION_NAMES[activation]
  found = get('hidden_activation', get('hidden_act', names[0]))
  if found not in names:
    raise ValueError(
      f'the activation of a {family.name} must be one of {", ".join(names)}, '
      f'config.json names {found}'
    )
  fields = dict(
    vocab_size=get('embedding_size', get('vocab_size')),
    layers=get('num_hidden_layers'),
    width=get('hidden_size'),
    heads=get('num_attention_heads'),
    kv_heads=get('num_key_value_heads', None),
    head_dim=get('head_dim', None),
    mlp_width=get('intermediate_size'),
    rope_base=float(get('rope_theta', rope.get('rope_theta', 10_000.0))),
    norm_eps=float(get('rms_norm_eps', 1e-6)),
    tied=bool(get('tie_word_embeddings', False)),
    qkv_bias=bool(get('attention_bias', False)),
  )
  if family.name == 'gemma3':
    if get('final_logit_softcapping', None) or get(
      'attn_logit_softcapping', None
    ):
      raise ValueError('soft-capped logits are not supported')
    fields |= dict(
      tied=bool(get('tie_word_embeddings', True)),
      head_dim=get('head_dim', 256),
      window=get('sliding_window', 4096),
      global_every=_global_every(
        get('layer_types', None), get('sliding_window_pattern', 6)
      ),
      query_scalar=float(get('query_pre_attn_scalar', 256)),
      local_rope_base=float(
        get('rope_local_base_freq', local.get('rope_theta', 10_000.0))
      ),
    )
  return family, Config(**(fields | dict(family.fixed)))


def _global_every(types, default):
  """The period of full attention in Gemma's list of layer types."""
  if not types:
    return default
  full = [i for i, kind in enumerate(types) if kind == 'full_attention']
  period = full[0] + 1 if full else len(types) + 1
  wanted = [
    'full_attention' if (i + 1) % period == 0 else 'sliding_attention'
    for i in range(len(types))
  ]
  if list(types) != wanted:
    raise ValueError(
      f'layer_types must be periodic with full attention last, got {types}'
    )
  return period


def hf_of_config(family: Family, c: Config) -> dict[str, Any]:
  """The config.json that `config_of_hf` reads back; decoders only."""
  if not family.architecture:
    raise ValueError(
      f'transformers has no class for the family {family.name}; export one of '
      + ', '.join(f.name for f in FAMILIES.values() if f.architecture)
    )
  wanted = {'qkv_bias': False, 'qk_norm': False, 'activation': 'silu'}
  for field, value in (wanted | dict(family.fixed)).items():
    if getattr(c, field) != value:
      raise ValueError(
        f'a {family.name} has {field}={value}, this config has '
        f'{getattr(c, field)}; export it as another family'
      )
  gemma = family.name == 'gemma3'
  data = {
    'architectures': [family.architecture],
    'model_type': 'gemma3_text' if gemma else family.name,
    'vocab_size': c.vocab_size,
    'hidden_size': c.width,
    'intermediate_size': c.mlp_width,
    'num_hidden_layers': c.layers,
    'num_attention_heads': c.heads,
    'num_key_value_heads': c.kv_heads,
    'head_dim': c.head_dim,
    'rms_norm_eps': c.norm_eps,
    'rope_theta': c.rope_base,
    'tie_word_embeddings': c.tied,
    'hidden_act': 'gelu_pytorch_tanh' if gemma else 'silu',
    'torch_dtype': 'float32',
  }
  if gemma:
    data |= {
      'hidden_activation': data.pop('hidden_act'),
      'sliding_window': c.window,
      'sliding_window_pattern': c.global_every,
      'layer_types': [
        'sliding_attention' if c.is_local(i) else 'full_attention'
        for i in range(c.layers)
      ],
      'query_pre_attn_scalar': c.query_scalar or c.head_dim,
      'rope_local_base_freq': c.local_rope_base,
    }
  return data
