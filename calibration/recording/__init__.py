"""A model is asked once; what it said is scored often."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'record': ('Recording',),
    'cell': ('Cell',),
    'log': ('Said',),
  },
)
