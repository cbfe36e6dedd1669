"""From tokens to text that may be sent: whole characters, no stop strings.

A character may lie over several tokens, and so may a stop string. What could
still become part of either is held back until it is decided.
"""

from collections.abc import Sequence
from typing import NamedTuple

# Context for tokenizers that write a token at the head of a text otherwise.
_CONTEXT = 4
# Tokens of which at least one would have ended a character; then it is garbage.
_LONGEST = 8


class Piece(NamedTuple):
  """Text that may be sent, with the (token, offset) that began in it."""

  text: str
  tokens: tuple[tuple[object, int], ...]


class Assembler:
  """Takes the tokens of one sample, gives its text.

  After `stopped` nothing more comes. The stop string that is complete first
  ends the text; where two are so at once, the longer one.
  """

  def __init__(
    self, tokenizer, prompt: Sequence[int], stop: Sequence[str] = ()
  ):
    self._tokenizer, self._stop = tokenizer, tuple(stop)
    self._ids = list(prompt[-_CONTEXT:])
    self._begin, self._read = 0, len(self._ids)
    self._sent, self._held, self._tokens = 0, '', []
    self.stopped = False

  def push(self, token) -> Piece:
    """What may be sent now that `token` has come."""
    if self.stopped or token.id in self._tokenizer.stop_ids:
      return Piece('', ())
    self._tokens.append((token, self._sent + len(self._held)))
    self._ids.append(token.id)
    self._held += self._decode(final=False)
    return self._release(final=False)

  def finish(self) -> Piece:
    """What was held back, when no token comes any more."""
    if self.stopped:
      return Piece('', ())
    self._held += self._decode(final=True)
    return self._release(final=True)

  def _decode(self, final: bool) -> str:
    """New text: the difference that the new ids make after the old ones."""
    decode = self._tokenizer.decode
    before = decode(self._ids[self._begin : self._read])
    after = decode(self._ids[self._begin :])
    waits = len(self._ids) - self._read
    if after.endswith('\ufffd') and waits < _LONGEST and not final:
      return ''
    self._begin, self._read = self._read, len(self._ids)
    return after[len(before) :]

  def _release(self, final: bool) -> Piece:
    cut = self._cut()
    if cut is not None:
      self.stopped = True
      text = self._held[:cut]
    else:
      text = self._held[: len(self._held) - (0 if final else self._partial())]
    self._sent += len(text)
    self._held = self._held[len(text) :]
    count = len(self._tokens)
    if self.stopped or not final:
      count = sum(offset < self._sent for _, offset in self._tokens)
    tokens, self._tokens = self._tokens[:count], self._tokens[count:]
    return Piece(text, tuple(tokens))

  def _cut(self) -> int | None:
    """Where the stop string begins that is complete first."""
    found = [(self._held.find(stop), len(stop)) for stop in self._stop]
    ends = [(begin + length, begin) for begin, length in found if begin >= 0]
    return min(ends)[1] if ends else None

  def _partial(self) -> int:
    """Characters at the end that may become a stop string."""
    longest = 0
    for stop in self._stop:
      for length in range(min(len(stop) - 1, len(self._held)), longest, -1):
        if self._held.endswith(stop[:length]):
          longest = length
          break
    return longest
