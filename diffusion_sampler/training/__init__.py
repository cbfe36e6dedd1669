"""Training of denoisers and of policies, on puzzles and on text."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'masking': (
      'Noise',
      'Hidden',
      'hide',
    ),
  },
)
