"""Conversations as a local model reads them, whatever its template takes.

A template that takes no system message reads it before the first turn of the
user. Without a template, for a base model, turns are lines.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lm.checkpoints import pretrained_tokenizer

Tokenizer = pretrained_tokenizer.CheckpointTokenizer
Messages = Sequence[Mapping[str, Any]]


def render(tokenizer: Tokenizer, messages: Messages) -> str:
  """The text of a conversation, up to where the reply begins.

  Raises:
    ValueError: the template refuses the messages.
  """
  if not tokenizer.has_template:
    return ''.join(f'{message["content"]}\n' for message in messages)
  try:
    return tokenizer.render(messages)
  except ValueError:
    if messages[0]['role'] != 'system':
      raise
    system, user, *rest = messages
    joined = f'{system["content"]}\n\n{user["content"]}'
    return tokenizer.render([dict(user) | {'content': joined}, *rest])


def lead(tokenizer: Tokenizer) -> list[int]:
  """Ids before the text of `render`: bos, where no template writes it."""
  around = [] if tokenizer.has_template else tokenizer.encode('')
  return [i for i in around if i == tokenizer.bos_id]


def ids(tokenizer: Tokenizer, messages: Messages) -> list[int]:
  """`render` in tokens."""
  text = render(tokenizer, messages)
  return [*lead(tokenizer), *tokenizer.encode(text, add_bos=False)]
