"""What a text may go on with if only the words of a document are allowed.

A piece is a word, a number or a mark that stands in the document, or for the
unit span a whole name, with the space before it. In the middle of a word it is
the rest of such a word.
"""

import re
from collections.abc import Sequence

from lacy.facts import spans as facts

# A word has a letter; else it is a number or a mark.
_PART = re.compile(rf'\w*[^\W\d]\w*|{facts.NUMBER.pattern}|[^\w\s]')
_TAIL = re.compile(r'\w+\Z')
_WORD = re.compile(r'\w')


class Words:
  """The pieces of one document."""

  def __init__(self, document: str, entities: Sequence[facts.Span] = ()):
    """Reads the document.

    Args:
      document: may be empty; then there is no piece.
      entities: its names and numbers. A piece of a name ends where the name
        ends, and may begin at any of its words.
    """
    ends = {}
    for start, end in entities:
      for match in _PART.finditer(document, start, end):
        ends[match.start()] = end
    words, wholes, marks = {}, {}, {}
    for match in _PART.finditer(document):
      start, end = match.span()
      if _WORD.match(match.group()):
        words[match.group()] = None
        wholes[document[start : ends.get(start, end)]] = None
      else:
        spaced = start > 0 and document[start - 1].isspace()
        marks[' ' * spaced + match.group()] = None
    self._targets = {'token': words, 'word': words, 'span': wholes}
    self._marks = marks

  def follow(self, text: str, unit: str) -> list[str]:
    """Pieces that may follow a text; none if the document has no word.

    Args:
      text: so far. Behind a mark a word may follow with a space or without.
      unit: see lacy/cascade/turns.py.
    """
    targets = self._targets[unit]
    if not targets:
      return []
    tail = _TAIL.search(text)
    known = tail.group() if tail else ''
    spaced = not text or text[-1].isspace()
    # The rest of a word; behind a space or a mark that is the whole word.
    out = [
      target[len(known) :]
      for target in targets
      if target.startswith(known) and len(target) > len(known)
    ]
    if not spaced:
      out += [f' {target}' for target in targets]
    out += [mark.strip() if spaced else mark for mark in self._marks]
    return list(dict.fromkeys(out))
