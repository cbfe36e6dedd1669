"""Which words of an answer are masked, one at a time (section 3.3).

Words are split at white space, so that punctuation stays and decimals survive.
A stop word is not masked, unless an answer has no other words.
"""

import collections
import functools
import importlib.resources
import re
import string
from collections.abc import Collection, Iterable
from typing import NamedTuple

GAP = '_'
_WORD = re.compile(r'\S+')


class Masked(NamedTuple):
  """An answer without one of its words: `text` has `GAP` in its place."""

  text: str
  word: str


@functools.cache
def stop_words() -> frozenset[str]:
  """Ours, as make_stop_words.py has made them."""
  file = importlib.resources.files(__package__) / 'stop_words.txt'
  return frozenset(file.read_text('utf-8').split())


def plain(word: str) -> str:
  """As it stands in a list of stop words: lower case, punctuation off."""
  return word.translate(_NO_PUNCTUATION).lower()


_NO_PUNCTUATION = str.maketrans('', '', string.punctuation)


def mask(answer: str, stops: Collection[str]) -> list[Masked]:
  """A task for each word that is masked; none for an answer without words.

  Args:
    answer: may be empty.
    stops: stop words, as `plain` has them.
  """
  words = list(_WORD.finditer(answer))
  kept = [word for word in words if plain(word[0]) not in stops]
  return [
    Masked(answer[: word.start()] + GAP + answer[word.end() :], word[0])
    for word in kept or words
  ]


def tasks(answers: Iterable[str], stops: Collection[str]) -> dict[Masked, int]:
  """The tasks of all answers, and how often each occurs.

  The same task has the same score, so it is asked once and counted often.
  """
  return dict(
    collections.Counter(
      task for answer in answers for task in mask(answer, stops)
    )
  )
