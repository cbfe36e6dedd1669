"""One tokenizer: byte-level BPE with five specials at the end.

The alphabet is all 256 bytes, so every string can be written and read back
exactly; digits stand alone, so that numbers are spelt alike everywhere.
The ids of `<CALL>`, `<mask>`, `<pad>`, `<bos>`, `<eos>` are the last five, in
this order. Text never turns into a special: a literal '<CALL>' is six bytes.
"""

import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from engine.runs import writer

SPECIALS = ('<CALL>', '<mask>', '<pad>', '<bos>', '<eos>')
MIN_VOCAB = 256 + len(SPECIALS)


class Tokenizer:
  """Text to ids and back; see `train`, `load` and `from_json`."""

  def __init__(self, core: tokenizers.Tokenizer):
    size = core.get_vocab_size()
    for offset, special in enumerate(SPECIALS, start=size - len(SPECIALS)):
      found = core.token_to_id(special)
      if found is None:
        raise ValueError(
          f'the tokenizer must hold the special token {special}, and has none; '
          'train one with Tokenizer.train or change --config.tokenizer'
        )
      if found != offset:
        raise ValueError(
          f'the special tokens {", ".join(SPECIALS)} must be the last five ids '
          f'in this order, got {special} at {found} of {size}; '
          'train one with Tokenizer.train or change --config.tokenizer'
        )
    core.encode_special_tokens = True
    core.no_truncation()
    core.no_padding()
    self._core = core
    self.vocab_size: int = size
    self.call_id: int = core.token_to_id('<CALL>')
    self.mask_id: int = core.token_to_id('<mask>')
    self.pad_id: int = core.token_to_id('<pad>')
    self.bos_id: int = core.token_to_id('<bos>')
    self.eos_id: int = core.token_to_id('<eos>')

  @classmethod
  def train(
    cls, texts: Iterable[str], *, vocab_size: int = 8192
  ) -> 'Tokenizer':
    """Learns the merges; deterministic in the texts.

    Args:
      texts: read once.
      vocab_size: with the specials. Where the texts hold too few pairs the
        vocabulary comes out smaller; `self.vocab_size` is the actual one.
    """
    if vocab_size < MIN_VOCAB:
      raise ValueError(
        f'vocab_size must be at least {MIN_VOCAB} (256 bytes and '
        f'{len(SPECIALS)} specials), got {vocab_size}; change vocab_size'
      )
    core = tokenizers.Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
      [
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
      ]
    )
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
      texts,
      trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
      ),
    )
    core.add_special_tokens(list(SPECIALS))
    return cls(core)

  @classmethod
  def from_json(cls, text: str) -> 'Tokenizer':
    """From the contents of a `tokenizer.json`."""
    try:
      core = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the library raises bare Exception
      raise ValueError(
        f'expected the JSON of a tokenizer, came {text[:40]!r}: {error}'
      ) from error
    return cls(core)

  @classmethod
  def load(cls, path: str | os.PathLike) -> 'Tokenizer':
    """Reads a `tokenizer.json`; ValueError where a special is missing."""
    path = pathlib.Path(path)
    if not path.is_file():
      raise FileNotFoundError(
        f'expected a tokenizer.json at {path}, found no file; '
        'change --config.tokenizer'
      )
    try:
      return cls.from_json(path.read_text(encoding='utf-8'))
    except ValueError as error:
      raise ValueError(f'{path}: {error}') from error

  def to_json(self) -> str:
    """The contents of a `tokenizer.json`."""
    return self._core.to_str()

  def save(self, path: str | os.PathLike) -> None:
    """Writes a `tokenizer.json`, whole or not at all."""
    with writer.replace(path) as temporary:
      temporary.write_text(self.to_json(), encoding='utf-8')

  def __reduce__(self):
    # The core forgets `encode_special_tokens` on its way to another process.
    return Tokenizer.from_json, (self.to_json(),)

  def encode(self, text: str) -> list[int]:
    """Ids without bos and eos; ValueError for a lone surrogate."""
    return self._core.encode(valid_unicode(text), add_special_tokens=False).ids

  def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
    """`encode` of many texts on all cores."""
    encodings = self._core.encode_batch_fast(
      [valid_unicode(text) for text in texts], add_special_tokens=False
    )
    return [encoding.ids for encoding in encodings]

  def encode_with_offsets(self, text: str) -> tuple[list[int], np.ndarray]:
    """Ids, and where each token stands in the text.

    Returns:
      ids as `encode` gives them, and int32 [n, 2] of character offsets, end
      exclusive, without leading white space (white space alone is empty).
      Tokens that share a character of several bytes all cover it.
    """
    encoding = self._core.encode(valid_unicode(text), add_special_tokens=False)
    offsets = np.array(encoding.offsets, np.int32).reshape(-1, 2)
    for row, (start, end) in enumerate(encoding.offsets):
      while start < end and text[start].isspace():
        start += 1
      offsets[row, 0] = start
    return encoding.ids, offsets

  def decode(self, ids: Iterable[int]) -> str:
    """The text; specials are left out, cut characters become U+FFFD."""
    return self._core.decode([int(i) for i in ids], skip_special_tokens=True)

  def pieces(self, ids: Iterable[int]) -> list[str]:
    """One printable string a token; specials by their names."""
    ids = [int(i) for i in ids]
    first_special = self.vocab_size - len(SPECIALS)
    return [
      SPECIALS[i - first_special]
      if i >= first_special
      else self._core.decode([i])
      for i in ids
    ]

  @functools.cached_property
  def fingerprint(self) -> str:
    """16 hex digits that change when any text would be split otherwise."""
    full = json.loads(self.to_json())
    model = full['model']
    merges = [
      merge.split(' ') if isinstance(merge, str) else merge
      for merge in model['merges']
    ]
    parts = [model['vocab'], merges, full['normalizer'], full['pre_tokenizer']]
    text = json.dumps(parts + list(SPECIALS), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def valid_unicode(text: str) -> str:
  """The text as it came; ValueError for a lone surrogate."""
  try:
    text.encode('utf-8')
  except UnicodeEncodeError as error:
    raise ValueError(
      f'expected Unicode text, came a lone surrogate at character '
      f'{error.start} of {text[max(0, error.start - 20) : error.start]!r}...; '
      'correct the source text'
    ) from error
  return text
