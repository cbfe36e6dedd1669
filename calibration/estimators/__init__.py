"""How uncertain an answer is, by the methods of the paper and of its peers."""

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
    'single': (
      'max_token_surprisal',
      'perplexity',
    ),
    'graph': (
      'degree',
      'eccentricity',
      'eigenvalue_sum',
      'kernel_entropy',
      'semantic_sets',
    ),
    'relevance': (
      'sentence_sar',
      'token_sar',
    ),
    'consistency': (
      'cocoa',
      'dissimilarity',
    ),
  },
)
