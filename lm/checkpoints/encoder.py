"""Texts to vectors: a BERT with its tokenizer, in batches of like length.

A sentence vector is the mean of the last hidden states over a text's tokens,
[CLS] and [SEP] among them, scaled to length one: Sentence-BERT (Reimers and
Gurevych, 2019, arXiv 1908.10084, section 3) and the pooling that
all-MiniLM-L6-v2 was trained with.

Shapes: B texts, T tokens of the longest, D width.
"""

import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tokenizers
from jaxtyping import Array, Bool, Float

from engine import stop
from lm import bert
from lm import tokenizer as tokenizer_lib
from lm.checkpoints import hub
from lm.decoding import generate

# Longest norm and count that are taken for zero, as in sentence-transformers.
_LEAST = 1e-12


def pool(
  hidden: Float[Array, 'B T D'], mask: Bool[Array, 'B T']
) -> Float[Array, 'B D']:
  """Means over the mask, of length one; zero where a mask is empty."""
  seen_BT1 = mask[..., None].astype(hidden.dtype)
  total_BD = jnp.sum(hidden * seen_BT1, axis=1)
  mean_BD = total_BD / jnp.maximum(seen_BT1.sum(axis=1), 1)
  norm_B1 = jnp.linalg.norm(mean_BD, axis=-1, keepdims=True)
  return mean_BD / jnp.maximum(norm_B1, _LEAST)


@functools.partial(jax.jit, static_argnums=0)
def _hidden(config, params, tokens_BT, mask_BT):
  return bert.Bert(config).apply({'params': params}, tokens_BT, mask_BT)


@functools.partial(jax.jit, static_argnums=0)
def _sentences(config, params, tokens_BT, mask_BT):
  return pool(_hidden(config, params, tokens_BT, mask_BT), mask_BT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoder:
  """A sentence encoder; see `load`.

  Lengths and batches are padded to powers of two, so that there are few
  programs: log2(max_length) times log2(batch) at most.

  Attributes:
    config: of the model.
    params: of the model.
    core: its tokenizer, which cuts at `max_length`. A literal '[SEP]' in a text
      is the special token, as it is for transformers.
    max_length: tokens of a text that are read, [CLS] and [SEP] among them;
      what follows is cut.
    batch: texts in one pass; memory grows with it.
  """

  config: bert.BertConfig
  params: dict[str, Any]
  core: tokenizers.Tokenizer
  max_length: int
  batch: int = 32

  @classmethod
  def load(cls, path: str | os.PathLike, *, batch: int = 32) -> 'Encoder':
    """Reads a model as sentence-transformers or transformers saves it.

    Args:
      path: what `hub.resolve` takes: a folder, an asset such as 'minilm_l6', or
        a name of the hub. With config.json, *.safetensors, tokenizer.json and,
        where texts are to be cut before the last position,
        sentence_bert_config.json; 1_Pooling/config.json must name means.
      batch: texts in one pass.

    Raises:
      ValueError: a model of another kind, a broken checkpoint or tokenizer, or
        a batch below one.
      FileNotFoundError: a missing file.
    """
    if batch < 1:
      raise ValueError(f'encoder.batch must be at least 1, got {batch}')
    folder = hub.resolve(path)
    model = bert.load(folder)
    max_length = _max_length(folder, model.config)
    _check_pooling(folder)
    core = _tokenizer(folder, model.config)
    core.enable_truncation(max_length)
    return cls(
      config=model.config,
      params=model.params,
      core=core,
      max_length=max_length,
      batch=batch,
    )

  def ids(self, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, from [CLS] to [SEP], cut to `max_length`."""
    _check(texts)
    encodings = self.core.encode_batch_fast(list(texts))
    return [encoding.ids for encoding in encodings]

  def tokens(
    self, texts: Sequence[str]
  ) -> tuple[Float[np.ndarray, 'B T D'], Bool[np.ndarray, 'B T']]:
    """The last hidden state of every token.

    Args:
      texts: any number.

    Returns:
      hidden: zero where there is no token.
      mask: true from [CLS], at 0, to [SEP].
    """
    ids = self.ids(texts)
    longest = max(map(len, ids), default=0)
    hidden = np.zeros((len(ids), longest, self.config.width), np.float32)
    mask = np.zeros((len(ids), longest), bool)
    for rows, tokens_BT, mask_BT in self._batches(ids):
      out = np.asarray(_hidden(self.config, self.params, tokens_BT, mask_BT))
      for row, found in zip(rows, out, strict=False):  # padded rows follow
        count = len(ids[row])
        hidden[row, :count] = found[:count]
        mask[row, :count] = True
    return hidden, mask

  def sentences(self, texts: Sequence[str]) -> Float[np.ndarray, 'B D']:
    """A vector of length one for every text: products are cosines."""
    ids = self.ids(texts)
    out = np.zeros((len(ids), self.config.width), np.float32)
    for rows, tokens_BT, mask_BT in self._batches(ids):
      found = _sentences(self.config, self.params, tokens_BT, mask_BT)
      out[rows] = np.asarray(found)[: len(rows)]
    return out

  def _batches(
    self, ids: list[list[int]]
  ) -> Iterator[tuple[list[int], jax.Array, jax.Array]]:
    """Rows of like length, padded: indices, tokens and mask."""
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    for begin in range(0, len(order), self.batch):
      stop.check()
      rows = order[begin : begin + self.batch]
      length = min(generate.bucket(len(ids[rows[-1]])), self.max_length)
      count = min(1 << (len(rows) - 1).bit_length(), self.batch)
      tokens = np.zeros((count, length), np.int32)
      mask = np.zeros((count, length), bool)
      for place, row in enumerate(rows):
        tokens[place, : len(ids[row])] = ids[row]
        mask[place, : len(ids[row])] = True
      yield rows, jnp.asarray(tokens), jnp.asarray(mask)


def _check(texts) -> None:
  if isinstance(texts, str):
    raise ValueError(f'expected a list of texts, came one: {texts[:40]!r}')
  for text in texts:
    tokenizer_lib.valid_unicode(text)


def _max_length(folder: pathlib.Path, config: bert.BertConfig) -> int:
  """That of sentence_bert_config.json, else all positions.

  The truncation in tokenizer.json is not it: all-MiniLM-L6-v2 has 128 there,
  and is used with 256.
  """
  file = folder / 'sentence_bert_config.json'
  if not file.is_file():
    return config.positions
  data = json.loads(file.read_text(encoding='utf-8'))
  length = data.get('max_seq_length') or config.positions
  if not isinstance(length, int) or not 2 < length <= config.positions:
    raise ValueError(
      f'{file}: max_seq_length must lie in 3..{config.positions}, the '
      f'positions of the model, got {length!r}'
    )
  return length


def _check_pooling(folder: pathlib.Path) -> None:
  """Vectors by another rule than the model was trained with mean little."""
  file = folder / '1_Pooling' / 'config.json'
  if not file.is_file():
    return
  data = json.loads(file.read_text(encoding='utf-8'))
  modes = [k for k, v in data.items() if k.startswith('pooling_mode_') and v]
  if modes != ['pooling_mode_mean_tokens']:
    raise ValueError(
      f'{file}: expected pooling_mode_mean_tokens alone, came '
      f'{", ".join(modes) or "none"}; use a model that is pooled by means'
    )


def _tokenizer(
  folder: pathlib.Path, config: bert.BertConfig
) -> tokenizers.Tokenizer:
  file = folder / 'tokenizer.json'
  if not file.is_file():
    raise FileNotFoundError(
      f'expected a tokenizer.json in {folder}, found none'
    )
  try:
    core = tokenizers.Tokenizer.from_str(file.read_text(encoding='utf-8'))
  except Exception as error:  # the library raises bare Exception
    raise ValueError(f'{file}: expected a tokenizer, came {error}') from error
  if core.get_vocab_size() > config.vocab_size:
    raise ValueError(
      f'{file}: expected at most {config.vocab_size} tokens, the rows of the '
      f"model's table, came {core.get_vocab_size()}"
    )
  core.no_padding()
  return core
