"""Keeps the questions of a private exam out of whatever a run writes.

Lines and results hold ids by construction; this is the second look, before they
are written. A text leaks a
question if it has eight of its words in a row (all of them, where it is
shorter), whatever stands between them.
"""

import hashlib
import re
from collections.abc import Iterable

WINDOW = 8
_WORD = re.compile(r'\w+')
# A question of fewer words is too common a text to look for.
_FEWEST = 4


class LeakError(ValueError):
  """Text of a private question is in a place where it must not be."""


def _words(text: str) -> list[str]:
  return _WORD.findall(text.casefold())


def _digest(words: Iterable[str]) -> bytes:
  return hashlib.blake2b(' '.join(words).encode(), digest_size=8).digest()


class Guard:
  """Knows questions by digests of their windows of words."""

  def __init__(self, questions: Iterable[str]):
    self._sizes: dict[int, set[bytes]] = {}
    for question in questions:
      words = _words(question)
      size = min(WINDOW, len(words))
      if size < _FEWEST:
        continue
      known = self._sizes.setdefault(size, set())
      for at in range(len(words) - size + 1):
        known.add(_digest(words[at : at + size]))

  def leaks(self, text: str) -> bool:
    """Whether a question's words stand in the text."""
    words = _words(text)
    return any(
      _digest(words[at : at + size]) in known
      for size, known in self._sizes.items()
      for at in range(len(words) - size + 1)
    )

  def check(self, text: str, where: str) -> None:
    """Raises LeakError, which does not quote the text, if it leaks."""
    if self.leaks(text):
      raise LeakError(
        f'{where} would hold text of a private question, and was not written'
      )
