"""What a language model is: network, caches, losses, tokenizer.

Decoding, checkpoints, judging and serving have a package each.
"""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'transformer': (
      'Transformer',
      'TransformerConfig',
      'unembedding',
    ),
    'tokenizer': ('Tokenizer',),
    'cache': ('Cache',),
    'losses': (
      'vocab_stats',
      'vocab_top',
    ),
  },
)
