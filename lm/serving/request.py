"""Requests of the OpenAI protocol, checked: what a client may ask, and how.

A field that would change the result and is not served is refused unless it is
neutral; one that changes nothing is let pass.
"""

import dataclasses
import hashlib
import json
import random
from collections.abc import Sequence
from typing import Any

MAX_SAMPLES = 128
MAX_STOPS = 16

# Fields that are not served, with the values that change nothing.
_NEUTRAL = {
  'frequency_penalty': (0,),
  'presence_penalty': (0,),
  'repetition_penalty': (1,),
  'logit_bias': ({},),
  'best_of': (1,),
  'echo': (False,),
  'suffix': ('',),
  'response_format': ({'type': 'text'},),
  'tools': ([],),
  'tool_choice': ('none', 'auto'),
  'top_k': (0, -1),
  'min_p': (0,),
}
_IGNORED = ('metadata', 'parallel_tool_calls', 'service_tier', 'store', 'user')
_ROLES = ('system', 'developer', 'user', 'assistant', 'tool')


class ApiError(Exception):
  """What goes back to the client, in the form of the protocol."""

  def __init__(self, status: int, message: str, *, param=None, code=None):
    super().__init__(message)
    self.status, self.param, self.code = status, param, code

  def json(self) -> dict[str, Any]:
    kind = 'invalid_request_error' if self.status < 500 else 'server_error'
    if self.status == 429:
      kind = 'rate_limit_error'
    return {
      'error': {
        'message': str(self),
        'type': kind,
        'param': self.param,
        'code': self.code,
      }
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
  """A request that can be served.

  Attributes:
    chat: the route that was asked.
    prompts: ids of each; `n` samples are drawn of each.
    max_new_tokens: of each prompt.
    seeds: of each sample; those of a prompt stand together.
    stop: strings.
    top: alternatives a token; None without log-probabilities.
    usage: whether a stream ends with the counts.
  """

  chat: bool
  prompts: Sequence[Sequence[int]]
  n: int
  max_new_tokens: Sequence[int]
  temperature: float
  top_p: float
  seeds: Sequence[int]
  stop: Sequence[str]
  top: int | None
  stream: bool
  usage: bool


def _wrong(name: str, expected: str, value) -> ApiError:
  shown = json.dumps(value)
  shown = shown if len(shown) <= 60 else f'{shown[:57]}...'
  return ApiError(400, f'{name} must be {expected}, got {shown}', param=name)


class _Fields:
  """Takes fields out one by one; null stands for the default."""

  def __init__(self, data: dict[str, Any]):
    self.rest = dict(data)

  def take(self, name: str) -> Any:
    return self.rest.pop(name, None)

  def flag(self, name: str, default: bool = False) -> bool:
    value = self.take(name)
    if value is None:
      return default
    if not isinstance(value, bool):
      raise _wrong(name, 'true or false', value)
    return value

  def number(self, name, default, low, high, *, kind=float, above=False):
    value = self.take(name)
    if value is None:
      return default
    number = isinstance(value, (int,) if kind is int else (int, float))
    good = number and not isinstance(value, bool) and low <= value <= high
    if not good or (above and value == low):
      word = 'a whole number' if kind is int else 'a number'
      span = f'in {"(" if above else "["}{low}, {high}]'
      raise _wrong(name, f'{word} {span}', value)
    return kind(value)

  def close(self) -> None:
    """Refuses what is left."""
    for name, value in self.rest.items():
      if value is None or name in _IGNORED:
        continue
      if name not in _NEUTRAL:
        raise ApiError(
          400,
          f'{name} is not a field of this request',
          param=name,
          code='unknown_parameter',
        )
      # By type too, for False == 0.
      neutral = ((type(v) is bool, v) for v in _NEUTRAL[name])
      if (type(value) is bool, value) not in neutral:
        raise ApiError(
          400,
          f'{name} is not served; leave it out',
          param=name,
          code='unsupported_parameter',
        )


def _constant(text):
  raise ValueError(f'{text} is not JSON')


def load(body: bytes) -> dict[str, Any]:
  """The JSON object of a body; ApiError where it is none."""
  try:
    data = json.loads(body.decode('utf-8'), parse_constant=_constant)
  except (ValueError, RecursionError) as error:
    raise ApiError(400, f'the body must be JSON in UTF-8: {error}') from error
  if not isinstance(data, dict):
    raise ApiError(400, 'the body must be a JSON object')
  return data


def parse(
  body: bytes,
  *,
  chat: bool,
  tokenizer,
  size: int,
  model: str,
  vocab_size: int | None = None,
) -> Call:
  """Checks a request; ApiError says what is wrong with it.

  Args:
    body: JSON.
    chat: the route: /chat/completions or /completions.
    tokenizer: see lm/serving/server.py.
    size: the longest prompt and continuation.
    model: the one that is served.
    vocab_size: bounds ids that a client sends; None if unknown.
  """
  fields = _Fields(load(body))
  asked = fields.take('model')
  if asked is not None and asked != model:
    error = _wrong('model', f'{model!r}, the one served here', asked)
    error.status, error.code = 404, 'model_not_found'
    raise error
  if chat:
    prompts = [_chat(fields.take('messages'), tokenizer)]
  else:
    prompts = _prompts(fields.take('prompt'), tokenizer, vocab_size)
  n = fields.number('n', 1, 1, MAX_SAMPLES, kind=int)
  if n * len(prompts) > MAX_SAMPLES:
    raise ApiError(
      400,
      f'prompts times n must be at most {MAX_SAMPLES}, got '
      f'{len(prompts)} times {n}',
      param='n',
    )
  limits = _limits(fields, prompts, size, None if chat else 16)
  seed = fields.number('seed', None, -(2**63), 2**63 - 1, kind=int)
  if seed is None:
    seed = random.SystemRandom().getrandbits(31)
  stream = fields.flag('stream')
  options = fields.take('stream_options') or {}
  if not isinstance(options, dict) or (options and not stream):
    raise _wrong('stream_options', 'an object, and only with stream', options)
  inner = _Fields(options)
  usage = inner.flag('include_usage')
  inner.flag('include_obfuscation')
  inner.close()
  call = Call(
    chat=chat,
    prompts=prompts,
    n=n,
    max_new_tokens=limits,
    temperature=fields.number('temperature', 1.0, 0, 2),
    top_p=fields.number('top_p', 1.0, 0, 1, above=True),
    seeds=[_seed(seed, index) for index in range(n * len(prompts))],
    stop=_stop(fields.take('stop')),
    top=_top(fields, chat),
    stream=stream,
    usage=usage,
  )
  fields.close()
  return call


def _encode(encode, value, name: str) -> list[int]:
  try:
    return list(encode(value))
  except ValueError as error:  # a lone surrogate, no template
    raise ApiError(400, f'{name}: {error}', param=name) from error


def _chat(messages, tokenizer) -> list[int]:
  if not isinstance(messages, list) or not messages:
    raise _wrong('messages', 'a list of at least one message', messages)
  plain = []
  for place, message in enumerate(messages):
    name = f'messages[{place}]'
    if not isinstance(message, dict):
      raise _wrong(name, 'an object with role and content', message)
    role, content = message.get('role'), message.get('content')
    if role not in _ROLES:
      raise _wrong(f'{name}.role', f'one of {", ".join(_ROLES)}', role)
    if isinstance(content, list):
      parts = [
        part.get('text')
        if isinstance(part, dict) and part.get('type') == 'text'
        else None
        for part in content
      ]
      if not all(isinstance(part, str) for part in parts):
        raise _wrong(f'{name}.content', 'text or parts of type text', content)
      content = ''.join(parts)
    if not isinstance(content, str):
      raise _wrong(f'{name}.content', 'text', content)
    role = 'system' if role == 'developer' else role
    plain.append({'role': role, 'content': content})
  return _encode(tokenizer.chat, plain, 'messages')


def _prompts(prompt, tokenizer, vocab_size) -> list[list[int]]:
  """Text, ids, or a list of either."""
  one = isinstance(prompt, str) or (
    isinstance(prompt, list) and prompt and type(prompt[0]) is int
  )
  many = [prompt] if one else prompt
  if not isinstance(many, list) or not many:
    raise _wrong('prompt', 'text, ids, or a list of either', prompt)
  if len(many) > MAX_SAMPLES:
    raise ApiError(
      400, f'prompt must hold at most {MAX_SAMPLES}', param='prompt'
    )
  found = []
  for each in many:
    if isinstance(each, str):
      found.append(_encode(tokenizer.encode, each, 'prompt'))
      continue
    high = 2**31 if vocab_size is None else vocab_size
    if not isinstance(each, list) or not all(
      type(i) is int and 0 <= i < high for i in each
    ):
      raise _wrong('prompt', f'text or ids in [0, {high})', each)
    found.append(each)
  return found


def _limits(fields, prompts, size, default) -> list[int]:
  """New tokens of each prompt; without a default, as many as fit."""
  limit = fields.number('max_tokens', None, 1, 2**31, kind=int)
  newer = fields.number('max_completion_tokens', None, 1, 2**31, kind=int)
  limit = limit if newer is None else newer
  found = []
  for prompt in prompts:
    if not prompt:
      raise ApiError(400, 'a prompt must hold at least one token')
    room = size - len(prompt)
    if room < 1 or (limit or 1) > room:
      raise ApiError(
        400,
        f'prompt and continuation must fit {size} tokens, got a prompt of '
        f'{len(prompt)}'
        + (f' and max_tokens {limit}' if limit else ' and no room is left'),
        code='context_length_exceeded',
      )
    found.append(limit or min(default or room, room))
  return found


def _stop(value) -> tuple[str, ...]:
  stops = [value] if isinstance(value, str) else value or []
  if (
    not isinstance(stops, list)
    or len(stops) > MAX_STOPS
    or not all(isinstance(stop, str) and stop for stop in stops)
  ):
    raise _wrong('stop', f'up to {MAX_STOPS} strings that are not empty', value)
  return tuple(stops)


def _top(fields, chat: bool) -> int | None:
  """A flag and a number for chats, one number for texts."""
  if not chat:
    return fields.number('logprobs', None, 0, 20, kind=int)
  wanted = fields.flag('logprobs')
  top = fields.number('top_logprobs', None, 0, 20, kind=int)
  if top is not None and not wanted:
    raise ApiError(400, 'top_logprobs needs logprobs', param='top_logprobs')
  return (top or 0) if wanted else None


def _seed(seed: int, index: int) -> int:
  """Of one sample; the first has the client's own where that is 31 bits.

  Not seed + index: the samples of the next seed would be the same ones.
  """
  if index == 0 and 0 <= seed < 2**31:
    return seed
  digest = hashlib.sha256(f'{seed}/{index}'.encode()).digest()
  return int.from_bytes(digest[:4], 'big') >> 1
