"""From a prompt to text: sampling, scoring, shared prefixes, batches that
never wait.
"""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'generate': (
      'Samples',
      'sample',
      'greedy',
    ),
    'continuous_batching': ('Engine',),
    'scoring': (
      'score',
      'next_logprobs',
      'choice_probs',
    ),
    'drawn': (
      'Token',
      'Result',
    ),
  },
)
