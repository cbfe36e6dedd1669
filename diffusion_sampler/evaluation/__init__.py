"""Accuracy against passes, on puzzles and on text."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'evaluate': (
      'SamplingConfig',
      'compare',
    ),
    'rewards': ('correct',),
    'samplers': (
      'Sampler',
      'sampler',
    ),
    'fill_in': ('gaps',),
  },
)
