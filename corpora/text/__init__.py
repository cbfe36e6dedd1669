"""Documents: where they come from, tokenised, packed, batched."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'sources': (
      'open',
      'identity',
    ),
    'packing': ('records',),
    'pipeline': (
      'TokenBatch',
      'dataset',
    ),
  },
)
