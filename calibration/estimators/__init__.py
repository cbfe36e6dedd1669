"""How uncertain an answer is, by eight methods and its length."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'table': (
      'Answers',
      'estimate',
    ),
    'multi': (
      'naive_entropy',
      'semantic_entropy',
    ),
    'single': ('perplexity',),
  },
)
