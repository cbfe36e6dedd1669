"""Opens a model to decode with: tokenizer, config and weights of one reading.

A GGUF file holds all three, and parsing it takes seconds where the vocabulary
is large; so it is parsed once.
"""

import os
from typing import Any, NamedTuple

from lm import transformer
from lm.checkpoints import hub, pretrained_tokenizer, weights


class Decoder(NamedTuple):
  """A checkpoint's tokenizer, shape and weights."""

  tokenizer: pretrained_tokenizer.CheckpointTokenizer
  config: transformer.TransformerConfig
  params: Any


def open_decoder(
  name: str | os.PathLike,
  *,
  accept_licence: str = '',
  dtype: str = 'float32',
  what: str = 'model',
  **overrides,
) -> Decoder:
  """Reads a checkpoint; kernels that go together are joined.

  Args:
    name: see `hub.resolve`.
    accept_licence: see `hub.resolve`.
    dtype: of parameters and computation; bfloat16 is faster and less exact,
      and int8 (lm/int8.py) takes half of its memory.
    what: key of the config that names the model, for messages.
    **overrides: fields of TransformerConfig.

  Raises:
    FileNotFoundError: there is no model of that name.
    PermissionError: an asset whose licence is not accepted.
    ValueError: it is no decoder, or a broken checkpoint.
  """
  source = weights.open_source(hub.resolve(name, accept_licence=accept_licence))
  family, _ = source.config()
  if not family.causal:
    raise ValueError(
      f'{what}={name} must be a decoder, came a masked-diffusion model '
      f'({family.name})'
    )
  tokenizer = pretrained_tokenizer.CheckpointTokenizer.load(source)
  fields = {'dtype': dtype, 'param_dtype': dtype, 'fused': True} | overrides
  found = weights.load(source, **fields)
  return Decoder(tokenizer, found.config, found.params)
