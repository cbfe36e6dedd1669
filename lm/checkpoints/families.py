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
  transformers builds, '' where it has none. `keys`: what config.json calls a
  setting, where that differs. `defaults`: what a setting is that config.json
  leaves out. `fixed`: fields of our config.
  """

  name: str
  architecture: str = ''
  renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
  layers: str = 'model.layers.{}.'
  offset_norms: bool = False
  paired: bool = False
  causal: bool = True
  keys: Mapping[str, str] = dataclasses.field(default_factory=dict)
  defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
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
      name='qwen3',
      architecture='Qwen3ForCausalLM',
      defaults={'head_dim': 128},
      fixed={'qk_norm': True},
    ),
    Family(
      name='gemma3',
      architecture='Gemma3ForCausalLM',
      renamed=_GEMMA,
      offset_norms=True,
      defaults={
        'head_dim': 256,
        'query_pre_attn_scalar': 256,
        'rope_theta': 1e6,
        'sliding_window': 4096,
        'tie_word_embeddings': True,
      },
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
      defaults={'rms_norm_eps': 1e-5},
    ),
    Family(name='dream', causal=False, fixed={'qkv_bias': True}),
  )
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
