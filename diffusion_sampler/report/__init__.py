"""Claims, curves and figures of samplers, from files; no JAX."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'curves': (
      'Run',
      'Curve',
      'gather',
    ),
    'plots': (
      'draw',
      'show',
    ),
  },
)
