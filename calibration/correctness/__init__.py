"""Whether an answer is right, by seven functions."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'lexical': (
      'rouge1_f1',
      'rougel_f1',
      'squad_f1',
      'alias',
    ),
    'embedding': (
      'bert_score',
      'sentence_cosine',
    ),
    'thresholds': ('Setting',),
    'ratings': ('Ratings',),
  },
)
