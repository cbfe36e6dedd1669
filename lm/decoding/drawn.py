"""What a decoder hands out a token at a time; imports nothing heavy."""

from typing import NamedTuple


class Token(NamedTuple):
  """A token that was drawn; `top` holds alternatives, best first, or none.

  `logprob` is the model's own, at temperature 1 and without cuts.
  """

  id: int
  logprob: float
  top: tuple[tuple[int, float], ...] = ()


class Result(NamedTuple):
  """All tokens; `finish` is 'stop' (the last one is a stop id) or 'length'."""

  tokens: list[Token]
  finish: str
