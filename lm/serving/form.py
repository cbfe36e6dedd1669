"""Answers of the OpenAI protocol: the JSON of samples, whole or in parts."""

import math
import time
import uuid
from typing import Any

from lm.decoding import drawn
from lm.serving import backend as backend_lib
from lm.serving import request


class Form:
  """The JSON of one answer, whole or in parts."""

  def __init__(self, backend: backend_lib.Backend, call: request.Call):
    self._call, self._tokenizer = call, backend.tokenizer
    kind = 'chat.completion' if call.chat else 'text_completion'
    if call.chat and call.stream:
      kind = 'chat.completion.chunk'
    self._head = {
      'id': f'{"chatcmpl" if call.chat else "cmpl"}-{uuid.uuid4().hex}',
      'object': kind,
      'created': int(time.time()),
      'model': backend.model,
    }

  def answer(self, choices: list[dict], **fields) -> dict[str, Any]:
    return {**self._head, 'choices': choices, **fields}

  def choice(self, event: backend_lib.Event, **message) -> dict[str, Any]:
    """One choice; `message` holds further fields of a chat's message."""
    found = {'index': event.index}
    if self._call.chat:
      text = {'content': event.piece.text}
      if self._call.stream and event.finish and not event.piece.text:
        text = {}
      name = 'delta' if self._call.stream else 'message'
      found[name] = {**message, **text}
    else:
      found['text'] = event.piece.text
    found['logprobs'] = self._logprobs(event.piece.tokens)
    found['finish_reason'] = event.finish
    return found

  def _logprobs(self, tokens) -> dict[str, Any] | None:
    top = self._call.top
    if top is None:
      return None
    if self._call.chat:
      return {'content': [self._entry(token, top) for token, _ in tokens]}
    tops = None
    if top:
      tops = []
      for token, _ in tokens:
        best = {}
        for i, logprob in token.top[:top]:  # two ids may share their text
          best.setdefault(self._tokenizer.decode([i]), _number(logprob))
        tops.append(best)
    return {
      'tokens': [self._tokenizer.decode([token.id]) for token, _ in tokens],
      'token_logprobs': [_number(token.logprob) for token, _ in tokens],
      'top_logprobs': tops,
      'text_offset': [offset for _, offset in tokens],
    }

  def _entry(self, token: drawn.Token, top: int) -> dict[str, Any]:
    return {
      **self._named(token.id, token.logprob),
      'top_logprobs': [self._named(*pair) for pair in token.top[:top]],
    }

  def _named(self, i: int, logprob: float) -> dict[str, Any]:
    text = self._tokenizer.decode([i])
    # Part of a character: its bytes are not known here.
    data = None if '\ufffd' in text else list(text.encode())
    return {'token': text, 'logprob': _number(logprob), 'bytes': data}


def _number(logprob: float) -> float:
  """JSON has no infinity; the protocol writes -9999 for it."""
  return float(logprob) if math.isfinite(logprob) else -9999.0
