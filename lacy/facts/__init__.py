"""Which tokens of a corpus are facts."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'annotate': ('load_spacy',),
    'spans': (
      'first_mentions',
      'token_mask',
    ),
    'beam': ('AnnotateDoFn',),
    'judged': ('mask_of',),
  },
)
