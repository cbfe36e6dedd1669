"""The cascade at work: the small model writes and calls a partner."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'decode': (
      'Cascaded',
      'generate',
    ),
    'partner': ('LocalPartner',),
    'turns': ('Turn',),
    'reading': (
      'DatabasePartner',
      'LargePartner',
    ),
    'budget': ('Feedback',),
    'experiment': ('build',),
    'support': (
      'Support',
      'supported_entity_precision',
    ),
  },
)
