"""Word lists that questions are made of, written by hand for this project.

The lists are text files beside this one, a row a line; a line that begins with
'#' is a comment. The first word of a row names it, so that a row can be held
out whole. Behind a slash stand other answers that are right as well; they are
accepted and never asked about. In kinds.txt what a thing is stands before a
colon, and an underscore there stands for a space.
"""

import pathlib


def _lines(name: str) -> list[str]:
  path = pathlib.Path(__file__).with_name(f'{name}.txt')
  lines = path.read_text('utf-8').splitlines()
  return [line for line in lines if not line.startswith('#')]


def _rows(name: str) -> tuple[tuple[tuple[str, ...], ...], ...]:
  """Rows of words, each with what else may stand in its place."""
  return tuple(
    tuple(tuple(word.split('/')) for word in line.split())
    for line in _lines(name)
  )


# Two words that mean the opposite of each other.
OPPOSITES = _rows('opposites')
# A noun and its plural, most of them irregular.
PLURALS = _rows('plurals')
# A verb, its past tense and its past participle.
VERBS = _rows('verbs')
# What a thing is, and such things.
KINDS = tuple(
  (tuple(kind.replace('_', ' ').split('/')), tuple(things.split()))
  for kind, things in (line.split(':') for line in _lines('kinds'))
)
