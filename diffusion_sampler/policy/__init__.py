"""Unmasking policies that learn from rewards, by GRPO."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'network': (
      'Policy',
      'PolicyConfig',
    ),
    'actions': ('ActionConfig',),
    'rule': ('PolicyRule',),
    'grpo': ('GrpoConfig',),
  },
)
