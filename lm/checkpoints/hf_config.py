"""config.json of a Hugging Face checkpoint to our config, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

from lm import transformer
from lm.checkpoints import config_keys, families
from lm.checkpoints.families import Config, Family

# Our activations, and what a config.json may call them.
_ACTIVATION_NAMES = {
  'silu': ('silu', 'swish'),
  'gelu': ('gelu_pytorch_tanh', 'gelu_new'),
}
# Families some of whose layers may see a window only.
_WINDOWED = ('qwen2', 'qwen3', 'gemma3', 'dream')
_FULL, _SLIDING = 'full_attention', 'sliding_attention'

# Keys that only some families have, and the values that this model has.
_FIXED: Mapping[str, Mapping[str, tuple]] = {
  # Falcon 3 is a Llama that says so.
  'llama': {'activation': ('swiglu', 'silu')},
  'llada': {
    'alibi': (False,),
    'attention_layer_norm': (False,),
    'bias_for_layer_norm': (False,),
    'block_type': ('llama',),
    'clip_qkv': (),
    'include_bias': (False,),
    'include_qkv_bias': (False,),
    'input_emb_norm': (False,),
    'layer_norm_type': ('rms',),
    'layer_norm_with_affine': (True,),
    'multi_query_attention': (False,),
    'rope': (True,),
    'scale_logits': (False,),
  },
}
# LLaDA and Dream come with code of their own, which the rows above describe.
_HARMLESS: Mapping[str, Sequence[str]] = {
  'llada': (
    'alibi_bias_max',  # without alibi
    'attention_layer_norm_with_affine',  # without that norm
    'auto_map',
    'block_group_size',
    'embedding_dropout',
    'flash_attention',
    'init_cutoff_factor',
    'init_device',
    'init_fn',
    'init_std',
    'mlp_ratio',  # mlp_hidden_size comes first
    'precision',
    'residual_dropout',
    'rope_full_precision',
    'vocab_size',  # embedding_size comes first
  ),
  'dream': ('auto_map',),
}


def read(data: Mapping[str, Any]) -> tuple[Family, Config]:
  """Family and config from the contents of a config.json.

  Raises:
    ValueError: another family, a missing key, a setting that the model here
      has not (scaled rotary positions, soft-capped logits), or a key that is
      not known.
  """
  family = families.find(data.get('model_type', '(no model_type)'))
  keys = config_keys.Keys(
    data, 'config.json', names=family.keys, defaults=family.defaults
  )
  take = keys.take
  rows = take('embedding_size', None)  # LLaDA's; may exceed its vocab_size
  fields: dict[str, Any] = dict(
    vocab_size=take('vocab_size') if rows is None else rows,
    layers=take('num_hidden_layers'),
    width=take('hidden_size'),
    heads=take('num_attention_heads'),
    kv_heads=take('num_key_value_heads', None),
    head_dim=take('head_dim', None),
    mlp_width=take('intermediate_size'),
    norm_eps=float(take('rms_norm_eps', 1e-6)),
    tied=bool(take('tie_word_embeddings', False)),
  )
  _check_activation(family, keys)
  fields |= _rope(family, keys)
  if family.name == 'gemma3':
    fields['query_scalar'] = float(take('query_pre_attn_scalar'))
  if family.name in _WINDOWED:
    fields |= _window(family, keys, fields['layers'])
  causal = {} if family.causal else {'is_causal': (False, True)}
  keys.close(
    harmless=config_keys.HARMLESS.union(_HARMLESS.get(family.name, ())),
    fixed={**config_keys.FIXED, **_FIXED.get(family.name, {}), **causal},
  )
  return family, Config(**(fields | dict(family.fixed)))


def _check_activation(family: Family, keys: config_keys.Keys) -> None:
  names = _ACTIVATION_NAMES[family.fixed.get('activation', 'silu')]
  given = [keys.take(key, None) for key in ('hidden_activation', 'hidden_act')]
  found = next((name for name in given if name is not None), names[0])
  if found not in names:
    raise ValueError(
      f'the activation of a {family.name} must be one of {", ".join(names)}, '
      f'config.json names {found}'
    )


def _rope(family: Family, keys: config_keys.Keys) -> dict[str, float]:
  """Bases of the rotations, in the form of transformers 4 or of 5."""
  given = keys.take('rope_parameters', keys.take('rope_scaling', {}))
  keys.take('rope_scaling', {})
  whole = given.get(_FULL, given)
  local = given.get(_SLIDING, {})
  for one in (whole, local):
    _check_unscaled(one)
  base = keys.take('rope_theta', 10_000.0)
  base = float(whole.get('rope_theta', base))
  if family.name != 'gemma3':
    return dict(rope_base=base, local_rope_base=base)
  low = keys.take('rope_local_base_freq', 10_000.0)
  return dict(
    rope_base=base, local_rope_base=float(local.get('rope_theta', low))
  )


def _check_unscaled(rope: Mapping[str, Any]) -> None:
  keys = config_keys.Keys(rope, 'rope_parameters of config.json')
  old = keys.take('type', 'default')  # the name of transformers before 4.43
  if keys.take('rope_type', old) != 'default':
    raise ValueError(
      f'rotary positions must be unscaled, config.json has {dict(rope)}'
    )
  keys.take('rope_theta', None)
  keys.close(
    fixed={'partial_rotary_factor': (1.0,), 'factor': (1.0,)},
    harmless=('original_max_position_embeddings',),
  )


def _window(
  family: Family, keys: config_keys.Keys, layers: int
) -> dict[str, Any]:
  """Which layers see a window, and how many positions; as transformers has it.

  Gemma names a period or every layer's type; Qwen a switch and how many of the
  first layers see everything, or every layer's type, which comes first.
  """
  types = keys.take('layer_types', None)
  size = keys.take('sliding_window', None)
  period = 0
  if family.name == 'gemma3':
    names = ('sliding_window_pattern', '_sliding_window_pattern')
    given = [keys.take(name, None) for name in names]
    period = next((n for n in given if n is not None), 6)
    local = [(i + 1) % period != 0 for i in range(layers)]
  else:
    switch = bool(keys.take('use_sliding_window', False))
    first = keys.take('max_window_layers', layers)
    local = [switch and i >= first for i in range(layers)]
    if switch and not family.causal:
      raise ValueError(
        f'use_sliding_window must be False for a {family.name}, config.json '
        'has True: its own code knows no window'
      )
    if switch and size is None:
      raise ValueError('use_sliding_window=True needs a sliding_window')
    if not switch and types and _SLIDING in types:
      raise ValueError(
        f'layer_types with {_SLIDING} needs use_sliding_window=True, '
        'config.json has False'
      )
  if types is not None:
    if len(types) != layers or set(types) - {_FULL, _SLIDING}:
      raise ValueError(
        f'layer_types must name {_FULL} or {_SLIDING} for each of the {layers} '
        f'layers, got {types}'
      )
    local = [kind == _SLIDING for kind in types]
  if not any(local):
    return {}
  return dict(window=size, **_locality(local, period))


def _locality(local: Sequence[bool], period: int) -> dict[str, int]:
  """The fields of our config by which the same layers see a window."""
  first, layers = list(local).index(True), range(len(local))
  full = [i for i in layers if not local[i] and i > first]
  for start, every in (
    (0, period),
    (first, 0),
    (0, full[0] + 1 if full else 0),
  ):
    fields = dict(local_from=start, global_every=every)
    made = [transformer.is_local(i, **fields) for i in layers]
    if made == list(local):
      return fields
  raise ValueError(
    'layer_types must be full attention first and then sliding, or periodic '
    f'with full attention last, got full attention in the layers '
    f'{[i for i in layers if not local[i]]} of {len(local)}'
  )


def write(family: Family, c: Config) -> dict[str, Any]:
  """The config.json that `read` reads back; decoders only.

  Raises:
    ValueError: transformers has no class for the family, or no field for a
      switch of the config.
  """
  if not family.architecture:
    raise ValueError(
      f'transformers has no class for the family {family.name}; export one of '
      + ', '.join(f.name for f in families.FAMILIES.values() if f.architecture)
    )
  gemma, windowed = family.name == 'gemma3', family.name in _WINDOWED
  wanted = {'activation': 'silu', 'embed_scale': False, 'post_norms': False}
  wanted |= {'qk_norm': False, 'qkv_bias': False}
  if not gemma:
    wanted['query_scalar'] = None
  if not windowed:
    wanted['window'] = None
  elif not gemma and c.window is not None:
    wanted['local_rope_base'] = c.rope_base
  for field, value in (wanted | dict(family.fixed)).items():
    if getattr(c, field) != value:
      raise ValueError(
        f'a {family.name} has {field}={value}, this config has '
        f'{getattr(c, field)}; export it as another family'
      )
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
  if windowed:
    data |= {
      'sliding_window': c.window,
      'layer_types': [
        _SLIDING if c.is_local(i) else _FULL for i in range(c.layers)
      ],
    }
  if gemma:
    data |= {
      'hidden_activation': data.pop('hidden_act'),
      'sliding_window_pattern': c.global_every,
      'query_pre_attn_scalar': c.query_scalar or c.head_dim,
      'rope_local_base_freq': c.local_rope_base,
    }
  elif windowed:
    data |= {
      'use_sliding_window': c.window is not None,
      'max_window_layers': c.local_from if c.window else c.layers,
    }
  return data
