"""Puzzles whose answers are exactly checkable, for masked-diffusion models.

  chain      follow a pointer until it stops; EOS behind
  chains     follow several at once, to a fixed depth
  sudoku     four by four
  addition   the most significant digit first

A puzzle is named as in a config: 'chain', 'chain(symbols=12, answer=16)'.
"""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__, {'kinds': ('KINDS', 'parse'), 'prepared': ('load',)}
)
