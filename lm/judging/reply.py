"""What an OpenAI-compatible server answers, as values.

Both forms of log-probabilities are read: the parallel lists of /completions
and the list of objects of /chat/completions.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Token(NamedTuple):
  """A token as text; its log-probability (None where the server has none).

  `top` holds the alternatives that were asked for.
  """

  text: str
  logprob: float | None
  top: Mapping[str, float]


class Sample(NamedTuple):
  """One of the `n` continuations of a request.

  `text` is None where the model wrote none (a filter, a tool call); `tokens` is
  empty unless log-probabilities were asked for.
  """

  text: str | None
  finish: str
  tokens: tuple[Token, ...]


class Reply(NamedTuple):
  """Samples in the order of their index; counts of tokens as the server has."""

  samples: tuple[Sample, ...]
  usage: Mapping[str, Any]


class Failure(NamedTuple):
  """In place of a reply that never came; `status` is the last one of HTTP."""

  reason: str
  attempts: int = 1
  status: int | None = None


class Replies(tuple):
  """Replies and failures, in the order of the requests."""

  @property
  def failures(self) -> dict[int, Failure]:
    """By the number of the request."""
    return {i: r for i, r in enumerate(self) if isinstance(r, Failure)}


def parse(data: Any) -> Reply:
  """The reply in the JSON of a server; ValueError where it is none."""
  try:
    choices = sorted(data['choices'], key=lambda choice: choice.get('index', 0))
    if not choices:
      raise ValueError('no choices')
    samples = tuple(_sample(choice) for choice in choices)
    return Reply(samples=samples, usage=dict(data.get('usage') or {}))
  except (LookupError, TypeError, AttributeError, ValueError) as error:
    raise ValueError(
      f'expected the JSON of a completion, came {str(data)[:200]!r}'
    ) from error


def _sample(choice: Mapping[str, Any]) -> Sample:
  if 'message' in choice:
    text = choice['message'].get('content')
  else:
    text = choice['text']
  if not isinstance(text, str | None):
    raise TypeError(text)
  found = choice.get('logprobs') or {}
  if 'content' in found:
    tokens = tuple(map(_chat_token, found['content'] or ()))
  else:
    texts = found.get('tokens') or ()
    tops = found.get('top_logprobs') or [None] * len(texts)
    columns = zip(texts, found.get('token_logprobs') or (), tops, strict=True)
    tokens = tuple(Token(a, b, dict(c or {})) for a, b, c in columns)
  return Sample(text, choice.get('finish_reason') or '', tokens)


def _chat_token(entry: Mapping[str, Any]) -> Token:
  top = {t['token']: t['logprob'] for t in entry.get('top_logprobs') or ()}
  return Token(entry['token'], entry['logprob'], top)
