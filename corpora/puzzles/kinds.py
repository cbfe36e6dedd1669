"""The puzzles by name, as a config names them."""

from corpora.puzzles import addition, chain, form, sudoku
from engine import options

KINDS = {
  'chain': chain.Chain,
  'chains': chain.Chains,
  'sudoku': sudoku.Sudoku,
  'addition': addition.Addition,
}


def parse(text: str) -> form.Puzzle:
  """A puzzle from a config's 'name' or 'name(key=value, ...)'.

  Raises:
    ValueError: no such puzzle, it has no such key, or a value does not fit.
  """
  return options.parse(text, KINDS, 'data.puzzle')
