"""Calibration errors, by bins and smooth, with what chance leaves of them."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'binned': (
      'ece',
      'brier',
      'rmsce',
    ),
    'resampling': (
      'bootstrap',
      'null_floor',
    ),
    'diagram': ('Diagram',),
  },
)
