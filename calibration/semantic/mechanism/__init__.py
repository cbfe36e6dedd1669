"""The mechanism of semantic calibration in a world that is known exactly."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'experiment': ('build',),
    'data': ('World',),
    'measure': ('MeasureConfig',),
  },
)
