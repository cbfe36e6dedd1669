"""The metadata of a GGUF file to our config.

The names of the keys and what a missing one stands for are those of llama.cpp.
"""

from typing import Any, Protocol

from lm.checkpoints import config_keys, families
from lm.checkpoints.families import Config, Family

_HARMLESS = (
  'context_length',
  'pooling_type',
  'rope.scaling.finetuned',
  'rope.scaling.original_context_length',
  'tensor_data_layout',
  'vocab_size',  # the tokens are counted
)
_UNSCALED = ('none', '')


class Source(Protocol):
  """What is read of a GGUF, see lm/checkpoints/weights.py."""

  def metadata(self, key: str, *default) -> Any: ...

  def keys(self, prefix: str) -> dict[str, Any]: ...

  def names(self) -> set[str]: ...


def read(source: Source) -> tuple[Family, Config]:
  """Family and config from the metadata.

  Raises:
    ValueError: another family, a missing key, a setting that the model here
      has not, or a key that is not known.
  """
  arch = source.metadata('general.architecture')
  family = families.find(arch)
  keys = config_keys.Keys(source.keys(f'{arch}.'), f'the metadata of {arch}')
  take, names = keys.take, source.names()
  scaling = take('rope.scaling.type', 'none')
  if scaling not in _UNSCALED or 'rope_freqs.weight' in names:
    raise ValueError('rotary positions must be unscaled, and are scaled')
  heads, width = take('attention.head_count'), take('embedding_length')
  head_dim = take('attention.key_length', width // heads)
  fields: dict[str, Any] = dict(
    vocab_size=len(source.metadata('tokenizer.ggml.tokens')),
    layers=take('block_count'),
    width=width,
    heads=heads,
    kv_heads=take('attention.head_count_kv', heads),
    head_dim=head_dim,
    mlp_width=take('feed_forward_length'),
    rope_base=float(take('rope.freq_base', 10_000.0)),
    norm_eps=float(take('attention.layer_norm_rms_epsilon')),
    tied='output.weight' not in names,
  )
  if family.name == 'gemma3':
    fields['window'] = take('attention.sliding_window')
    fields['local_rope_base'] = float(take('rope.freq_base_swa', 10_000.0))
  keys.close(
    harmless=_HARMLESS,
    fixed={
      'attention.causal': (family.causal,),
      'attention.sliding_window_pattern': (6,) * (family.name == 'gemma3'),
      'attention.value_length': (head_dim,),
      'attn_logit_softcapping': (0.0,),
      'expert_count': (0,),
      'expert_used_count': (0,),
      'final_logit_softcapping': (0.0,),
      'rope.dimension_count': (head_dim,),
      # Of 0 too llama.cpp makes no scaling.
      'rope.scale_linear': (1.0, 0.0),
      'rope.scaling.factor': (1.0, 0.0),
      'use_parallel_residual': (False,),
    },
  )
  return family, Config(**(fields | dict(family.fixed)))
