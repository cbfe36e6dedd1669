"""Checkpoints of others: where they come from, their tensors and tokenizers."""

from engine import public

__getattr__, __dir__, __all__ = public.names(
  __name__,
  {
    'decoder': ('Decoder', 'open_decoder'),
    'hub': ('resolve',),
    'pretrained_tokenizer': ('CheckpointTokenizer',),
    'weights': (
      'Pretrained',
      'load',
      'export',
    ),
    'chat_template': ('ChatTemplate',),
  },
)
