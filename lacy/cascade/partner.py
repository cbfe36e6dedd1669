"""A language model as the partner of a cascade: text in, the next piece out.

Section 6. The partner reads the text with a tokenizer of its own, its cache
kept up to the first id that changed. What it writes on a call is its unit:

  token   its greedy next token, as in the paper: a name of many tokens is
          filled call by call, and after each the small model decides anew
  word    tokens up to the end of the word or number that the first begins;
          tokenizers that let digits stand alone would otherwise ask for a
          call a digit (ours)
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from lacy.cascade import decode as cascade
from lm.checkpoints import decoder, pretrained_tokenizer
from lm.decoding import reader as readers

UNITS = ('token', 'word')
# A word that is longer is no word.
MAX_WORD_IDS = 16


class Tokenizer(Protocol):
  """The part of lm.checkpoint_tokenizer.CheckpointTokenizer that is needed."""

  bos_id: int | None
  stop_ids: tuple[int, ...]
  vocab_size: int

  def encode(
    self,
    text: str,
    *,
    parse_specials: bool = True,
    add_bos: bool | None = None,
  ) -> list[int]: ...

  def decode(self, ids: Sequence[int]) -> str: ...


class LocalPartner:
  """A `cascade.Partner` over a local model; '' where it would end the text.

  Several may share one reader: it goes on from whatever it read last.
  """

  def __init__(
    self, reader: readers.Reader, tokenizer: Tokenizer, *, unit: str = 'token'
  ):
    """Args: see the module.

    Raises:
      ValueError: unknown unit.
    """
    if unit not in UNITS:
      raise ValueError(
        f'the unit of a partner must be one of {", ".join(UNITS)}, got {unit!r}'
      )
    self._reader = reader
    self._tokenizer = tokenizer
    self._unit = unit
    self._begin = beginning(tokenizer)

  def __call__(self, text: str) -> str:
    """The piece that follows `text`.

    Raises:
      ValueError: no text, or more than the reader has room for.
    """
    ids = [
      *self._begin,
      *self._tokenizer.encode(text, parse_specials=False, add_bos=False),
    ]
    if not ids:
      raise ValueError('a partner needs a text to go on from, came none')
    new: list[int] = []
    piece = ''
    most = {'token': cascade.MAX_CHARACTER_IDS, 'word': MAX_WORD_IDS}
    while len(new) < most[self._unit]:
      logits = self._reader.read([*ids, *new])
      token = int(np.argmax(logits[: self._tokenizer.vocab_size]))
      if token in self._tokenizer.stop_ids:
        break
      longer = cascade.continuation(self._tokenizer, ids, [*new, token])
      if self._unit == 'word' and ends(piece, longer):
        break
      new.append(token)
      piece = longer
      if self._unit == 'token' and cascade.BROKEN not in piece:
        break
    return piece


def beginning(tokenizer: Tokenizer) -> list[int]:
  """What the checkpoint puts before a text, never what it puts behind."""
  around = tokenizer.encode('x', parse_specials=False)
  bos = tokenizer.bos_id
  return [bos] if bos is not None and around[:1] == [bos] else []


def ends(piece: str, longer: str) -> bool:
  """Whether the word of `piece` is over where `longer` goes on."""
  added = longer[len(piece) :]
  if not piece.strip() or cascade.BROKEN in piece or not added:
    return False

  def inside(character):
    return character.isalnum() or character == cascade.BROKEN

  return not (inside(piece[-1]) and inside(added[0]))


def load(
  name: str, *, size: int = 1024, accept_licence: str = '', **overrides
) -> tuple[readers.Reader, pretrained_tokenizer.CheckpointTokenizer]:
  """Reader and tokenizer of a checkpoint.

  Args:
    name: a path, an asset or a model of the hub, see lm/checkpoints/hub.py.
    size: the longest text, in ids of the partner.
    accept_licence: see engine/assets.py.
    **overrides: of the model's config, such as dtype.
  """
  fields = {'param_dtype': 'float32'} | overrides
  model = decoder.open_decoder(
    name, accept_licence=accept_licence, what='cascade.partner', **fields
  )
  return readers.Reader(model.config, model.params, size=size), model.tokenizer
