"""A model answers, is graded, and its activations are kept."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'activations': ('Site',),
    'record': ('Recording',),
    'store': ('Answers',),
  },
)
