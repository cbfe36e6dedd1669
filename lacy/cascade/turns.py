"""The partner of texts that are written in lockstep: one call for all of them.

`partner(turns) -> pieces` is `partner(text, document) -> piece` for a batch. A
turn lasts as long as the partner has something to add: it is asked again with
what it wrote, and says '' when its unit is over.

  token   one token of the partner, as in the paper
  word    the whole word or number
  span    the whole name or number (ours)
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from lacy.cascade import decode

UNITS = ('token', 'word', 'span')
# A turn that is longer is no name.
MOST = 24


class Turn(NamedTuple):
  """A text at the partner.

  Attributes:
    text: so far.
    document: what the partner may look up; '' if nothing.
    wrote: None: it is not the partner's turn, which may read along. Else what
      it wrote on this turn, the end of `text`.
  """

  text: str
  document: str
  wrote: str | None


class Partner(Protocol):
  """See the head of this file.

  Texts of one position in the batch grow from call to call, and documents stay:
  a partner may keep what it read.
  """

  def __call__(self, turns: Sequence[Turn]) -> list[str | None]:
    """A piece a turn: '' ends the turn, None the text."""


def one_by_one(partner: decode.Partner) -> Partner:
  """A partner that is asked text by text, a piece a turn."""

  def ask(turns):
    return ['' if t.wrote != '' else partner(t.text) or None for t in turns]

  return ask


def nobody(turns: Sequence[Turn]) -> list[str | None]:
  """Has nothing to say, so each text is its writer's."""
  return [''] * len(turns)
