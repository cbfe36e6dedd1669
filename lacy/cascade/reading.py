"""Language models as partners in lockstep, and the small model beside them.

`DatabasePartner` is a model that sees the true document before the text, and
whose pieces are restricted to words that stand there: something that knows,
as the paper's abstract has documents or a database. `LargePartner` is a model
that knows by itself, without documents. Both read along, a token a step, so a
turn costs no reading anew.
"""

import functools
from collections.abc import Sequence
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from lacy.cascade import decode, support, turns, words
from lacy.cascade import partner as single
from lm.checkpoints import decoder
from lm.decoding import row_reader

# What stands between a document and the text about it.
_BETWEEN = '\n\n'


class Rows(Protocol):
  """The part of row_reader.RowReader that is needed."""

  def read(self, rows: Sequence[Sequence[int] | None]): ...


class _Reading:
  """What both partners share: a turn is token after token until it is over."""

  def __init__(self, tokenizer: single.Tokenizer, *, unit: str):
    if unit not in turns.UNITS:
      raise ValueError(
        f'cascade.units must be of {", ".join(turns.UNITS)}, got {unit!r}'
      )
    self._tokenizer = tokenizer
    self._unit = unit
    self._begin = single.beginning(tokenizer)

  def _ids(self, text: str) -> list[int]:
    return self._tokenizer.encode(text, parse_specials=False, add_bos=False)

  def __call__(self, asked: Sequence[turns.Turn]) -> list[str | None]:
    out: list[str | None] = [''] * len(asked)
    at_work = [
      row
      for row, turn in enumerate(asked)
      if turn.wrote is not None and not self._over(turn)
    ]
    if at_work:
      rows = self._open(asked)
      logits_BV = np.asarray(rows.read(self._texts(asked)))
      for row in at_work:
        out[row] = self._piece(row, asked[row], logits_BV[row])
    return out

  def _over(self, turn) -> bool:
    return bool(turn.wrote) and self._unit == 'token'

  def _texts(self, asked):
    return [[*self._begin, *self._ids(turn.text)] for turn in asked]


class DatabasePartner(_Reading):
  """Goes on with words of the document; nothing where it has none."""

  def __init__(self, before: 'Before', *, unit: str):
    """Args: before: the reader with its documents; unit: see turns.py."""
    super().__init__(before.tokenizer, unit=unit)
    self._before = before
    self._first = functools.cache(lambda piece: self._ids(piece)[0])

  def _open(self, asked):
    self._before.open([turn.document for turn in asked])
    return self._before.rows

  def _texts(self, asked):
    return [self._ids(turn.text) or None for turn in asked]

  def _piece(self, row, turn, logits_V):
    known = self._before.words[row]
    start = turn.text[: len(turn.text) - len(turn.wrote)]
    candidates = known.follow(start, self._unit)
    longer = [
      piece[len(turn.wrote) :]
      for piece in candidates
      if piece.startswith(turn.wrote) and len(piece) > len(turn.wrote)
    ]
    if not longer:
      return ''
    best, score = self._best(longer, logits_V)
    if turn.wrote and turn.wrote in candidates:
      # A whole piece that a longer one begins with: the reader decides.
      others = set(known.follow(turn.text, self._unit)) - set(longer)
      if others and self._best(sorted(others), logits_V)[1] > score:
        return ''
    piece = self._tokenizer.decode([best])
    if piece and any(whole.startswith(piece) for whole in longer):
      return piece
    # A part of a character, or a tokenizer that adds a space: the whole piece.
    return next(whole for whole in longer if self._first(whole) == best)

  def _best(self, pieces, logits_V):
    ids = np.array([self._first(piece) for piece in pieces])
    place = int(np.argmax(logits_V[ids]))
    return int(ids[place]), float(logits_V[ids[place]])


class Before:
  """Documents of a batch of texts, read once for partners of all units."""

  def __init__(
    self, model: decoder.Decoder, find: support.Finder, *, size: int = 128
  ):
    """Opens nothing yet.

    Args:
      model: the reader.
      find: names and numbers of texts, for the unit span.
      size: slots of a text, see row_reader.RowReader.
    """
    self.tokenizer = model.tokenizer
    self._model, self._find, self._size = model, find, size
    self._documents: list[str] | None = None
    self.rows: Rows | None = None
    self.words: list[words.Words] = []

  def open(self, documents: list[str]) -> None:
    if documents == self._documents:
      return
    model = self._model
    begin = single.beginning(model.tokenizer)

    def ids(document):
      text = document + _BETWEEN
      return [
        *begin,
        *model.tokenizer.encode(text, parse_specials=False, add_bos=False),
      ]

    self.rows = row_reader.RowReader(
      model.config,
      model.params,
      rows=len(documents),
      size=self._size,
      before=[ids(document) for document in documents],
    )
    self.words = [
      words.Words(document, spans)
      for document, spans in zip(documents, self._find(documents), strict=True)
    ]
    self._documents = documents


class LargePartner(_Reading):
  """A model's own greedy tokens, up to the end of the unit; no documents."""

  def __init__(self, model: decoder.Decoder, *, unit: str, size: int = 128):
    super().__init__(model.tokenizer, unit=unit)
    self._model, self._size = model, size
    self._count, self._rows = 0, None

  def _open(self, asked):
    if self._count != len(asked):
      model, self._count = self._model, len(asked)
      self._rows = row_reader.RowReader(
        model.config, model.params, rows=self._count, size=self._size
      )
    return self._rows

  def _piece(self, row, turn, logits_V):
    token = int(np.argmax(logits_V[: self._tokenizer.vocab_size]))
    piece = ''
    if token not in self._tokenizer.stop_ids:
      ids = self._ids(turn.text)
      piece = decode.continuation(self._tokenizer, ids, [token])
    if not piece:
      return '' if turn.wrote else None
    if decode.BROKEN in piece:  # a part of a character is the small model's
      return ''
    ends = single.ends if self._unit == 'word' else _name_ends
    return '' if turn.wrote and ends(turn.wrote, turn.wrote + piece) else piece


def _name_ends(piece: str, longer: str) -> bool:
  """Whether the name or number of `piece` is over where `longer` goes on.

  A name goes on with a capital behind a space; numbers and what is no name end
  with their word.
  """
  if not single.ends(piece, longer):
    return False
  added = longer[len(piece) :]
  first = piece.strip()[:1]
  return not (first.isupper() and added[0] == ' ' and added[1:2].isupper())


def small_rows(
  rows: row_reader.RowReader, call_id: int, size: int, calls: bool
):
  """ids a row to (scores [B], tokens [B]), as decode's readers have it.

  Args:
    rows: of the small model.
    call_id: the row of CALL.
    size: ids of the tokenizer.
    calls: by the log-odds of CALL; else by minus the top log-probability.
  """

  def read(ids: Sequence[Sequence[int] | None]):
    return tuple(
      np.asarray(a) for a in _split(rows.read(ids), call_id, size, calls)
    )

  return read


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _split(logits_BV, call_id, size, calls):
  call_B = logits_BV[:, call_id]
  logits_BV = logits_BV.at[:, call_id].set(-jnp.inf)
  lse_B = jax.nn.logsumexp(logits_BV, -1)
  own_BV = logits_BV[:, :size]
  score_B = call_B - lse_B if calls else lse_B - own_BV.max(-1)
  return score_B, jnp.argmax(own_BV, -1)
