"""Many texts written in lockstep, each by the small model and its partner.

What decode.generate does for one text, for a batch: the small model reads one
id of each text a step, and the partner is asked once for all that call
(lacy/cascade/turns.py). The text stays the source of truth.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from engine import stop
from lacy.cascade import decode, turns, writing

# Ids of each row, None for a row that is over, to (scores [B], tokens [B]).
Read = Callable[[Sequence[Sequence[int] | None]], tuple]


class Threshold(Protocol):
  """When to call; one stream over all texts. See budget.Feedback."""

  def decide(self, scores: Sequence[float]) -> Sequence[bool]: ...

  def wrote(self, tokens: int, *, written: int = 0, calls: int = 0) -> None: ...


class Always:
  """Calls at each decision: the partner writes alone."""

  def decide(self, scores):
    return [True] * len(scores)

  def wrote(self, tokens, **more):
    del tokens, more


def ends_everything(tokenizer: decode.Encoder) -> Read:
  """A small model that ends each text: where the partner has nothing to say."""

  def read(rows):
    count = len(rows)
    return np.zeros(count), np.full(count, tokenizer.eos_id)

  return read


class _Row:
  """A text at work; `turn` is what the partner wrote on its turn, or None."""

  def __init__(self, article: writing.Article):
    self.article = article
    self.out = decode.Cascaded(text=article.opening, spans=[])
    self.pending: list[int] = []
    self.turn: str | None = None
    self.pieces = 0
    self.ids: list[int] = []
    self.done = False
    self.place = 0  # where the last decision was made
    # Tokens and the partner's, as the threshold knows them; None: it is over.
    self.counted: np.ndarray | None = np.zeros(2, int)

  def asked(self, mine: bool) -> turns.Turn:
    wrote = self.turn if mine else None
    return turns.Turn(self.out.text, self.article.text, wrote)

  def by_partner(self, piece: str) -> None:
    start = len(self.out.text)
    self.out.spans.append((start, start + len(piece)))
    self.out.text += piece
    self.turn += piece
    self.pieces += 1
    if self.pieces >= turns.MOST:
      self.turn = None

  def close(self, tokenizer, characters: int) -> np.ndarray:
    """Marks the tokens; how many count, and the partner's among them."""
    opening = self.article.opening
    self.out.tokens = decode.token_marks(self.out, tokenizer, opening)
    kept = writing.cut(self.out.text[len(opening) :], characters)
    counts = self.out.counts(len(opening) + len(kept))
    return np.array([counts.tokens, counts.delegated])

  def by_small(self, token: int, tokenizer) -> None:
    """Writes a token of the small model, or ends the text."""
    ids = [tokenizer.bos_id, *self.ids]
    if token == tokenizer.eos_id or not decode.continuation(
      tokenizer, ids, [token]
    ):
      self.done = True
      return
    self.pending.append(token)
    piece = decode.continuation(tokenizer, ids, self.pending)
    if (
      decode.BROKEN not in piece
      or len(self.pending) >= decode.MAX_CHARACTER_IDS
    ):
      self.out.text += piece
      self.pending = []


def write(
  read: Read,
  partner: turns.Partner,
  tokenizer,
  articles: Sequence[writing.Article],
  threshold: Threshold,
  *,
  characters: int,
  most: int,
) -> writing.Written:
  """Continues all articles at once, greedily.

  Args:
    read: the small model.
    partner: is asked where it is called, and until its turn is over. Where it
      has nothing to say the small model's own token is written.
    tokenizer: the small model's.
    articles: openings, and the documents that the partner may see.
    threshold: one stream over all of them.
    characters: a continuation ends behind so many.
    most: steps at most; a step is a token of each text.
  """
  rows = [_Row(article) for article in articles]
  for row in rows:
    row.ids = tokenizer.encode(row.out.text)
  for _ in range(most):
    stop.check()
    if all(row.done for row in rows):
      break
    scores_B, tokens_B = read(
      [
        None if row.done else [tokenizer.bos_id, *row.ids, *row.pending]
        for row in rows
      ]
    )
    busy = [row for row in rows if not row.done and row.turn is not None]
    wrote = _ask(rows, busy, partner)
    free = [
      n
      for n, row in enumerate(rows)
      if not row.done and row.turn is None and row not in wrote
    ]
    called = threshold.decide([float(scores_B[n]) for n in free])
    called = [
      rows[n]
      for n, call in zip(free, called, strict=True)
      if call and not rows[n].pending  # not in the middle of a character
    ]
    for row in called:
      row.turn, row.pieces = '', 0
    begun = _ask(rows, called, partner)
    for row in (rows[n] for n in free if rows[n] not in called):
      row.place = len(row.out.text)
    for n in free:
      row = rows[n]
      row.out.decisions.append(decode.Mark(row.place, row in begun))
      if not row.done and row not in begun:
        row.by_small(int(tokens_B[n]), tokenizer)
    for row in rows:
      row.done |= len(row.out.text) - len(row.article.opening) >= characters
    _account(rows, wrote + begun, len(begun), characters, tokenizer, threshold)
  for row in rows:
    row.out.tokens = decode.token_marks(row.out, tokenizer, row.article.opening)
  return writing.Written(
    [row.out for row in rows], [a.opening for a in articles], characters
  )


def _ask(rows, who, partner) -> list[_Row]:
  """The rows of `who` that the partner wrote in; ends turns and texts."""
  if not who:
    return []
  at_work = [row in who for row in rows]
  pieces = partner(
    [row.asked(mine) for row, mine in zip(rows, at_work, strict=True)]
  )
  wrote = []
  for row, mine, piece in zip(rows, at_work, pieces, strict=True):
    if not mine:
      continue
    row.place = len(row.out.text)
    if piece:
      row.by_partner(piece)
      wrote.append(row)
      continue
    row.done |= piece is None
    row.turn = None
  return wrote


def _account(rows, by_partner, calls, characters, tokenizer, threshold) -> None:
  """Encodes what changed, and tells the threshold who wrote how much.

  When a text is over it counts with what is left of it when it is cut.
  """
  total = written = 0
  for row in rows:
    if row.counted is None:
      continue
    ids = tokenizer.encode(row.out.text)
    added = max(len(ids) - len(row.ids), 0)
    row.ids = ids
    now = row.counted + np.array([added, added * (row in by_partner)])
    if row.done:
      now = row.close(tokenizer, characters)
    more = now - row.counted
    total += more[0]
    written += more[1]
    row.counted = None if row.done else now
  at_work = sum(not row.done and row.turn is not None for row in rows)
  threshold.wrote(
    int(total), written=int(written), calls=calls, at_work=at_work
  )
