"""Probes of tasks beside one another: directions, transfer, features."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'transfer': ('transfer_matrix',),
    'geometry': (
      'cosine',
      'mahalanobis_cosine',
    ),
    'overlap': ('jaccard',),
    'compare': (
      'Settings',
      'numbers',
    ),
  },
)
