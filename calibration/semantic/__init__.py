"""Calibration about the meaning of whole answers (arXiv 2511.04869)."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'confidence': (
      'plug_in',
      'split_half',
    ),
    'tilt': (
      'best_tilt',
      'tilted',
    ),
    'recalibrate': ('Recalibrator',),
    'experiment': ('build',),
  },
)
