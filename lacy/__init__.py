"""LaCy (arXiv 2602.12005): which tokens to learn, and which to delegate."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'selection': (
      'SelectionConfig',
      'select',
    ),
    'objective': (
      'call_loss',
      'call_log_odds',
    ),
    'experiment': ('build',),
    'data': ('DataConfig',),
  },
)
