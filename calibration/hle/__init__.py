"""Humanity's Last Exam, its protocol and its figures (arXiv 2501.14249)."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'metrics': ('rms_calibration', 'tie_spread'),
    'parse': ('judgement',),
  },
)
