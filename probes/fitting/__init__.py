"""Paths of penalised logistic regressions, many at once."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'solvers': (
      'Penalty',
      'ProbePath',
      'fit_paths',
    ),
    'objective': ('Problem',),
  },
)
