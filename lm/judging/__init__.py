"""Asking a model, here or behind an endpoint, and reading what it replied."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'local': ('Local',),
    'endpoint': ('Endpoint',),
    'verdict': (
      'Choice',
      'Number',
      'Object',
    ),
    'reply': ('Reply',),
  },
)
