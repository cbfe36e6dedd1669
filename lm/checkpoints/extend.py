"""A checkpoint of others with our five special tokens behind its own.

Every id of the checkpoint keeps its meaning and its row; `<CALL>`, `<mask>`,
`<pad>`, `<bos>`, `<eos>` follow, so that lm.tokenizer.Tokenizer and all that
is made with it work as they do for a tokenizer of our own. New rows begin at
the mean of the old ones.

Shapes: V vocabulary, D model width.
"""

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from lm import tokenizer as tokenizer_lib
from lm import transformer
from lm.checkpoints import hub, pretrained_tokenizer, weights


def tokenizer(name: str | os.PathLike) -> tokenizer_lib.Tokenizer:
  """The tokenizer of a checkpoint, five specials longer.

  A token of the checkpoint that bears one of our names is called
  `checkpoint:<name>` here and keeps its id. As everywhere, text never turns
  into a special token, ours or theirs.

  Args:
    name: of a checkpoint, as hub.resolve takes it.

  Raises:
    FileNotFoundError: no such checkpoint, or no tokenizer in it.
    ValueError: its tokenizer is no BPE, or leaves ids free.
  """
  theirs = pretrained_tokenizer.CheckpointTokenizer.load(hub.resolve(name))
  full = json.loads(theirs.to_json())
  if full['model']['type'] != 'BPE':
    raise ValueError(
      f'init: the tokenizer of {name} must be BPE to be extended, came '
      f'{full["model"]["type"]}'
    )
  vocab = full['model']['vocab']
  for special in tokenizer_lib.SPECIALS:
    if special in vocab:
      vocab[f'checkpoint:{special}'] = vocab.pop(special)
  for token in full['added_tokens']:
    # A stop id adds no text when it is decoded, whatever the file says.
    token['special'] |= token['id'] in theirs.stop_ids
    if token['content'] in tokenizer_lib.SPECIALS:
      token['content'] = f'checkpoint:{token["content"]}'
  size = theirs.vocab_size
  full['post_processor'] = None
  full['added_tokens'] += [
    dict(
      id=size + i,
      content=special,
      single_word=False,
      lstrip=False,
      rstrip=False,
      normalized=False,
      special=True,
    )
    for i, special in enumerate(tokenizer_lib.SPECIALS)
  ]
  return tokenizer_lib.Tokenizer.from_json(json.dumps(full))


def grow(table_VD: np.ndarray, *, known: int, size: int) -> np.ndarray:
  """A table of `size` rows; those from `known` on are the mean of the rest.

  Some checkpoints have rows beyond their vocabulary, which mean nothing and
  are overwritten.

  Raises:
    ValueError: fewer rows are asked for than there are.
  """
  if size < len(table_VD):
    raise ValueError(
      f'model.vocab_size must be at least the {len(table_VD)} rows of the '
      f'checkpoint, got {size}; change --config.model.vocab_size'
    )
  old = np.asarray(table_VD[:known], np.float32)
  rest = np.broadcast_to(old.mean(0), (size - known, old.shape[1]))
  return np.concatenate([old, rest]).astype(np.float32)


def shrink(params: Mapping[str, Any], known: int) -> dict[str, Any]:
  """Parameters with tables cut back to `known` rows: no new token can win."""
  return {
    name: value[:known] if name in ('embedding', 'unembedding') else value
    for name, value in params.items()
  }


def check_shape(
  config: transformer.TransformerConfig,
  found: transformer.TransformerConfig,
  name: str,
) -> None:
  """Raises ValueError unless `config` is that of a checkpoint, but for rows.

  How it is run (fused, scan_layers, remat, dtype) is free too, and so is what
  only layers with a window read, where neither model has one.
  """
  free = ['vocab_size', 'fused', 'scan_layers', 'remat', 'dtype']
  if config.window is None and found.window is None:
    free += ['local_from', 'global_every', 'local_rope_base']
  for field in dataclasses.fields(config):
    ours, theirs = getattr(config, field.name), getattr(found, field.name)
    if field.name in free or ours == theirs:
      continue
    floats = isinstance(ours, float) and isinstance(theirs, float)
    # GGUF stores single precision.
    if floats and math.isclose(ours, theirs, rel_tol=1e-6):
      continue
    raise ValueError(
      f'model.{field.name} must be {theirs}, as in the checkpoint {name}, got '
      f'{ours}; change --config.model.{field.name}'
    )


def load(
  name: str | os.PathLike,
  config: transformer.TransformerConfig,
  *,
  known: int,
  shardings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """Parameters of a checkpoint with its tables grown to `config.vocab_size`.

  Args:
    name: as hub.resolve takes it.
    config: of the model to be; the checkpoint's but for the rows.
    known: ids of the checkpoint's tokenizer, the first of the new.
    shardings: of the parameters; default device if None.

  Raises:
    ValueError: another shape than the checkpoint's.
    FileNotFoundError: no such checkpoint.
  """
  path = hub.resolve(name)
  _, found = weights.open_source(path).config()
  check_shape(config, found, str(name))
  if config.fused:
    raise ValueError(
      'model.fused trains slower; set --config.model.fused=False'
    )
  return weights.load(
    path,
    shardings=shardings,
    table=lambda rows: grow(rows, known=known, size=config.vocab_size),
    scan_layers=config.scan_layers,
  ).params
