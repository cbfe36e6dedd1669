"""Client of an OpenAI-compatible HTTP server: many requests, few at a time.

What may pass is tried again (429, 408, 5xx, time-outs, closed connections,
replies that are no JSON) after a pause that doubles, with jitter, and is never
shorter than the server's Retry-After. What is still not there then is a
`Failure` in its place. What the server refuses (any other 4xx) is an error at
once, because it would be refused again.

The key is read from the environment at each request. It is kept nowhere, sent
to no other host (redirections are not followed), and cut out of whatever the
server says back.
"""

import concurrent.futures
import dataclasses
import datetime
import email.utils
import functools
import http.client
import ipaddress
import json
import os
import random
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging

from engine import progress
from engine import stop as stop_lib
from lm.judging import reply as reply_lib
from lm.judging import reply_cache

# A prompt is text, or the messages of a chat so far.
Prompt = str | Sequence[Mapping[str, Any]]

MAX_REPLY = 1 << 26
# A shorter key ('EMPTY', 'none') is no secret, and may be a word of a reply.
_SECRET = 8


class RefusedError(ValueError):
  """The server does not serve this request, and would not if asked again."""


class _UnservedError(Exception):
  """This attempt failed; the next may not."""

  def __init__(self, reason, status=None, after=0.0):
    super().__init__(reason)
    self.status, self.after = status, after


class _NoRedirect(urllib.request.HTTPRedirectHandler):
  def redirect_request(self, *args):
    return None


@dataclasses.dataclass(frozen=True)
class Endpoint:
  """A model behind an OpenAI-compatible server.

  Attributes:
    url: of the server; `/v1` is added where it has no path.
    model: the name by which the server knows the model.
    api_key_env: environment variable that holds the key; unset or '' sends
      none.
    concurrency: requests under way at once.
    timeout: seconds for the whole of one attempt.
    retries: attempts after the first.
    backoff: seconds, of the first pause; it doubles up to `max_pause`.
    max_pause: seconds. A server that asks for a longer one has failed.
    cache_dir: folder where replies are kept; none if empty. The same request
      then always has the same reply, at any temperature: draw more samples
      with `n` or another `seed`.
    report_refused: makes a `Failure` of what the server refuses.
    quote: whether messages repeat what the server says, which may itself repeat
      a prompt: False for prompts that must stay out of logs.
    sleep: takes the seconds of a pause; None waits, and wakes on interrupts.
    uniform: draws the jitter from [0, 1).
  """

  url: str
  model: str
  _: dataclasses.KW_ONLY
  api_key_env: str = 'OPENAI_API_KEY'
  concurrency: int = 8
  timeout: float = 120.0
  retries: int = 6
  backoff: float = 0.5
  max_pause: float = 120.0
  cache_dir: str | os.PathLike = ''
  report_refused: bool = False
  quote: bool = True
  sleep: Callable[[float], Any] | None = None
  uniform: Callable[[], float] = random.random

  def __post_init__(self):
    parts = urllib.parse.urlsplit(self.url)
    if parts.username or parts.password or parts.query or parts.fragment:
      raise ValueError(  # it may be a secret: not shown
        'url must hold neither user, password, query nor fragment, and does; '
        'put the key into the environment and name it by api_key_env'
      )
    if parts.scheme not in ('http', 'https') or not parts.hostname:
      raise ValueError(f'url must be http(s)://host[:port], got {self.url!r}')
    for name, least in (('concurrency', 1), ('retries', 0), ('backoff', 0)):
      if getattr(self, name) < least:
        raise ValueError(
          f'{name} must be at least {least}, got {getattr(self, name)}'
        )
    if self.timeout <= 0:
      raise ValueError(f'timeout must be positive, got {self.timeout}')

  def ask(
    self, prompts: Sequence[Prompt], **params
  ) -> list[str | reply_lib.Failure]:
    """The text of the first sample of each chat, as a judge wants it."""
    return list(map(_text, self.chat(prompts, **params)))

  def chat(self, prompts: Sequence[Prompt], **params) -> reply_lib.Replies:
    """Replies of /chat/completions.

    Args:
      prompts: messages so far; a string is the user's first one.
      **params: go into every request as they are: temperature, n, seed,
        max_tokens, logprobs, ...
    """
    chats = (
      [{'role': 'user', 'content': p}] if isinstance(p, str) else list(p)
      for p in prompts
    )
    return self.post(
      '/chat/completions', [{'messages': chat, **params} for chat in chats]
    )

  def complete(self, prompts: Sequence[str], **params) -> reply_lib.Replies:
    """Replies of /completions; `logprobs=k` gives the k best of each token."""
    return self.post('/completions', [{'prompt': p, **params} for p in prompts])

  def post(
    self, path: str, bodies: Sequence[Mapping[str, Any]]
  ) -> reply_lib.Replies:
    """Sends all bodies to one path; see the head of this file.

    Args:
      path: below the url, such as '/completions'.
      bodies: JSON; the model is added. No streaming.

    Raises:
      RefusedError: the first refusal; what came before is in the cache.
    """
    requests = [self._request(path, body) for body in bodies]
    stop = threading.Event()
    pool = concurrent.futures.ThreadPoolExecutor(self.concurrency)
    bar = progress.Progress(self.model, len(requests), unit='replies')
    try:
      with bar:
        sent, futures = {}, []
        for number, request in enumerate(requests):
          # With a cache, equal requests have equal replies: one is sent.
          same = json.dumps(request) if self.cache_dir else number
          if same not in sent:
            sent[same] = pool.submit(self._reply, request, stop)
          futures.append(sent[same])
        for future in concurrent.futures.as_completed(sent.values()):
          future.result()
          stop_lib.check()
          bar.update(1)
    finally:
      stop.set()
      pool.shutdown(cancel_futures=True)
    replies = reply_lib.Replies(future.result() for future in futures)
    if failures := replies.failures:
      logging.warning(
        '%d of %d requests to %s failed, the first: %s',
        len(failures),
        len(replies),
        self.url,
        next(iter(failures.values())).reason,
      )
    return replies

  def _request(self, path, body) -> dict[str, Any]:
    if body.get('stream'):
      raise ValueError('stream must be left out: replies come whole')
    # There and back, so that it compares equal to what the cache holds.
    body = json.loads(
      json.dumps({'model': self.model, **body}, allow_nan=False)
    )
    return {'url': self._base, 'path': path, 'body': body}

  @functools.cached_property
  def _base(self) -> str:
    url = self.url.rstrip('/')
    return url if urllib.parse.urlsplit(url).path else f'{url}/v1'

  @functools.cached_property
  def _cache(self) -> reply_cache.ReplyCache | None:
    return reply_cache.ReplyCache(self.cache_dir) if self.cache_dir else None

  @functools.cached_property
  def _opener(self) -> urllib.request.OpenerDirector:
    handlers = [
      _NoRedirect,
      urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    ]
    if _is_loopback(self._base):  # a proxy would look on its own machine
      handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)

  def _key(self) -> str:
    key = os.environ.get(self.api_key_env, '').strip()
    if not all('!' <= character <= '~' for character in key):
      raise ValueError(
        f'${self.api_key_env} must hold printable ASCII without spaces, and '
        'does not (its value is not shown)'
      )
    if key and self._base.startswith('http:') and not _is_loopback(self._base):
      logging.log_first_n(
        logging.WARNING,
        'the key in $%s goes to %s unencrypted; use https, or api_key_env=""',
        1,
        self.api_key_env,
        self._base,
      )
    return key

  def _reply(self, request, stop) -> reply_lib.Reply | reply_lib.Failure:
    if self._cache and (kept := self._cache.get(request)) is not None:
      try:
        return reply_lib.parse(kept)
      except ValueError as error:
        logging.warning('%s: %s', self._cache.path(request), error)
    key = self._key()
    for attempt in range(1, self.retries + 2):
      if stop.is_set():
        return reply_lib.Failure('given up: another was refused', attempt - 1)
      try:
        data = self._once(request, key)
        reply = reply_lib.parse(data)
        if self._cache:
          self._cache.put(request, data)
        return reply
      except RefusedError as error:
        if not self.report_refused:
          raise
        return reply_lib.Failure(str(error), attempt)
      except (_UnservedError, ValueError) as error:
        reason = str(error)
        if not self.quote and not isinstance(error, _UnservedError):
          reason = f'{self._base}: a reply of another form'
        failure = reply_lib.Failure(
          reason, attempt, getattr(error, 'status', None)
        )
        after = getattr(error, 'after', 0.0)
      if attempt > self.retries or after > self.max_pause:
        break
      grown = min(self.backoff * 2.0 ** (attempt - 1), self.max_pause)
      # Jitter upon Retry-After too: else all come back at the same moment.
      pause = max(grown, after) + self.uniform() * grown
      (self.sleep or stop.wait)(pause)
    return failure

  def _once(self, request, key: str) -> Any:
    """The JSON that the server answers with, or an error of the two kinds."""
    http_request = urllib.request.Request(
      request['url'] + request['path'],
      data=json.dumps(request['body']).encode(),
      headers={'Content-Type': 'application/json', 'User-Agent': 'socratic'},
    )
    if key:
      http_request.add_unredirected_header('Authorization', f'Bearer {key}')
    deadline = time.monotonic() + self.timeout
    try:
      try:
        with self._opener.open(http_request, timeout=self.timeout) as response:
          text = _read(response, deadline)
      except urllib.error.HTTPError as error:
        with error:
          raise self._status(error, deadline, key) from None
    except (OSError, http.client.HTTPException) as error:
      cause = getattr(error, 'reason', error)
      if isinstance(cause, ssl.SSLCertVerificationError):
        raise RefusedError(f'{self._base}: {cause}') from None
      reason = _redact(f'{type(cause).__name__}: {cause}', key)
      raise _UnservedError(f'{self._base}: {reason}') from None
    try:
      return _redact(json.loads(text), key)
    except (ValueError, RecursionError):
      shown = _redact(text.decode(errors='replace'), key)[:200]
      came = f', came {shown!r}' if self.quote else ''
      raise _UnservedError(f'{self._base}: expected JSON{came}') from None

  def _status(self, error, deadline, key: str) -> Exception:
    """What to make of a status that is not 200."""
    try:
      body = _read(error, deadline)
    except (OSError, http.client.HTTPException):  # the status says enough
      body = b''
    says = _message(body, key) if self.quote else ''
    said = f'{self._base}: HTTP {error.code} {says}'.strip()
    if error.code in (408, 429) or error.code >= 500:
      after = _seconds(error.headers.get('Retry-After'))
      return _UnservedError(said, error.code, after)
    hint = ''
    if error.code == 401:
      hint = f'; the key is read from ${self.api_key_env}'
    elif 300 <= error.code < 400:
      hint = '; redirections are not followed, correct the url'
    return RefusedError(said + hint)


def _text(reply) -> str | reply_lib.Failure:
  if isinstance(reply, reply_lib.Failure):
    return reply
  sample = reply.samples[0]
  if sample.text is None:
    return reply_lib.Failure(f'no text, finish reason {sample.finish!r}')
  return sample.text


def _is_loopback(url: str) -> bool:
  host = urllib.parse.urlsplit(url).hostname or ''
  try:
    return ipaddress.ip_address(host).is_loopback
  except ValueError:
    return host == 'localhost'


def _read(response, deadline: float) -> bytes:
  """The body; the socket's own time-out starts anew with every byte."""
  parts, size = [], 0
  while part := response.read1(1 << 16):
    parts.append(part)
    size += len(part)
    if size > MAX_REPLY:
      raise OSError(f'the reply exceeds {MAX_REPLY} bytes')
    if time.monotonic() > deadline:
      raise TimeoutError('timed out in the middle of the reply')
  if getattr(response, 'length', None):
    raise ConnectionError('connection closed in the middle of the reply')
  return b''.join(parts)


def _message(body: bytes, key: str) -> str:
  """What the server says, in whichever of the usual forms."""
  text = body.decode(errors='replace')
  try:
    data = json.loads(text)
    error = data.get('error') or data.get('detail') or data.get('message')
    if isinstance(error, dict):
      error = error.get('message')
    text = str(error or text)
  except (ValueError, AttributeError, RecursionError):
    pass
  return ' '.join(_redact(text, key).split())[:500]  # a cut key is none


def _seconds(header: str | None) -> float:
  """Retry-After in seconds from now; 0 where there is none to be read."""
  if header is None:
    return 0.0
  try:
    return max(0.0, float(int(header)))
  except (ValueError, OverflowError):
    pass
  try:
    then = email.utils.parsedate_to_datetime(header)
  except ValueError:
    return 0.0
  if then.tzinfo is None:  # "-0000"
    then = then.replace(tzinfo=datetime.UTC)
  now = datetime.datetime.now(datetime.UTC)
  return max(0.0, (then - now).total_seconds())


def _redact(value: Any, key: str) -> Any:
  """`value` without the key, wherever a server repeats it."""
  if len(key) < _SECRET:
    return value
  match value:
    case str():
      return value.replace(key, '[key]')
    case list():
      return [_redact(item, key) for item in value]
    case dict():
      return {_redact(k, key): _redact(v, key) for k, v in value.items()}
  return value
