"""An OpenAI-compatible HTTP server over any tokenizer and engine.

  POST /v1/chat/completions   POST /v1/completions   GET /v1/models  GET /health

A thread a connection; the engine does the work and calls back. A client that
goes away has its samples cancelled. What is asked wrongly is answered in the
protocol's own form of errors, lm/serving/request.py.
"""

import contextlib
import http.server
import json
import select
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from absl import logging

from lm.serving import backend as backend_lib
from lm.serving import form as form_lib
from lm.serving import request as request_lib
from lm.serving import text as text_lib
from lm.serving.request import ApiError

MAX_BODY = 1 << 22


class _GoneError(ConnectionError):
  """The client does not wait any more."""


class Handler(http.server.BaseHTTPRequestHandler):
  """One connection; the server has the backend."""

  protocol_version = 'HTTP/1.1'
  server_version, sys_version = 'socratic', ''
  timeout = 60.0  # of a client that neither sends nor reads
  disable_nagle_algorithm = True
  server: 'Server'

  def do_GET(self) -> None:
    self._guarded(self._get)

  def do_POST(self) -> None:
    self._guarded(self._post)

  def _guarded(self, function) -> None:
    self._streaming = False
    with self.server.handling():
      self._answer(function)

  def _answer(self, function) -> None:
    try:
      function()
    except (_GoneError, ConnectionError, TimeoutError) as error:
      logging.debug('client gone: %s', error)
      self.close_connection = True
    except Exception as error:
      if not isinstance(error, ApiError):
        logging.exception('request failed')
        error = ApiError(500, 'internal error; see the log of the server')
      with contextlib.suppress(OSError):
        self._fail(error)

  def _fail(self, error: ApiError) -> None:
    if self._streaming:
      # No [DONE] and no end of the chunks: nobody takes this for the whole.
      self._send_event(json.dumps(error.json()))
      self.close_connection = True
    else:
      self._send(error.status, error.json())

  def send_error(self, code, message=None, explain=None):
    """What http.server itself refuses, in the protocol's form."""
    self.close_connection = True
    self._send(code, ApiError(code, message or 'bad request').json())

  def log_message(self, format, *args):
    logging.debug(format, *args)

  def _send(self, status: int, value: Mapping[str, Any]) -> None:
    data = json.dumps(value, allow_nan=False).encode()
    self.send_response(status)
    self.send_header('Content-Type', 'application/json')
    self.send_header('Content-Length', str(len(data)))
    if status in (429, 503):
      self.send_header('Retry-After', '1')
    if self.close_connection:
      self.send_header('Connection', 'close')
    self.end_headers()
    if self.command != 'HEAD':
      self.wfile.write(data)

  def _get(self) -> None:
    match self._path():
      case '/health':
        self._send(200, {'status': 'ok'})
      case '/v1/models':
        entry = {
          'id': self.server.backend.model,
          'object': 'model',
          'created': 0,
          'owned_by': 'socratic',
        }
        self._send(200, {'object': 'list', 'data': [entry]})
      case path:
        raise self._unknown(path, _POST)

  def _post(self) -> None:
    body = self._body()  # read whatever the path, so that the next one follows
    path = self._path()
    if path not in _POST:
      raise self._unknown(path, _GET)
    backend = self.server.backend
    call = request_lib.parse(
      body,
      chat=path == '/v1/chat/completions',
      tokenizer=backend.tokenizer,
      size=backend.engine.size,
      model=backend.model,
      vocab_size=backend.vocab_size,
    )
    with self.server.slot():
      run = backend_lib.Run(backend, call)
      try:
        finish = (self._stream if call.stream else self._whole)(run, call)
      finally:
        run.cancel()
    finish()  # who has the last byte may ask again: the slot is free by then

  def _path(self) -> str:
    return self.path.partition('?')[0]

  def _unknown(self, path: str, others) -> ApiError:
    if path in others:
      return ApiError(405, f'{path} does not take {self.command}')
    return ApiError(
      404, f'no route {path}; there are {", ".join(_GET + _POST)}'
    )

  def _body(self) -> bytes:
    length = self.headers.get('Content-Length', '')
    if not (length.isascii() and length.isdecimal() and len(length) < 20):
      self.close_connection = True  # where the next request begins is not known
      if length:
        raise ApiError(400, f'Content-Length must be a number, got {length!r}')
      raise ApiError(411, 'a body needs a Content-Length')
    left = int(length)
    if left > MAX_BODY:
      self.close_connection = True
      # Closing upon unread bytes resets the connection, answer and all.
      drain = min(left, 4 * MAX_BODY)
      while drain > 0 and (part := self.rfile.read(min(drain, 1 << 16))):
        drain -= len(part)
      raise ApiError(413, f'a body must be at most {MAX_BODY} bytes')
    body = self.rfile.read(left)
    if len(body) < left:
      raise _GoneError('in the middle of its request')
    return body

  def _check(self) -> None:
    """Raises where there is no use in going on."""
    if self.server.stopping.is_set():
      raise ApiError(503, 'the server is stopping')
    poll = select.poll()
    poll.register(self.connection, select.POLLIN)
    if poll.poll(0) and not self.connection.recv(1, socket.MSG_PEEK):
      raise _GoneError('while it was served')

  def _whole(
    self, run: backend_lib.Run, call: request_lib.Call
  ) -> Callable[[], None]:
    """Draws everything; returns what sends it."""
    pieces = [[] for _ in call.seeds]
    finish = [None] * len(call.seeds)
    for event in run.events(self._check):
      pieces[event.index].append(event.piece)
      finish[event.index] = event.finish
    form, choices = form_lib.Form(self.server.backend, call), []
    for index, parts in enumerate(pieces):
      piece = text_lib.Piece(
        ''.join(part.text for part in parts),
        tuple(token for part in parts for token in part.tokens),
      )
      event = backend_lib.Event(index, piece, finish[index])
      choices.append(form.choice(event, role='assistant'))
    answer = form.answer(choices, usage=run.usage)
    return lambda: self._send(200, answer)

  def _stream(
    self, run: backend_lib.Run, call: request_lib.Call
  ) -> Callable[[], None]:
    """Sends what comes, as it comes; returns what ends the stream."""
    form = form_lib.Form(self.server.backend, call)
    rest = {'usage': None} if call.usage else {}
    self._chunked = self.request_version != 'HTTP/1.0'
    self.send_response(200)
    self.send_header('Content-Type', 'text/event-stream')
    self.send_header('Cache-Control', 'no-cache')
    if self._chunked:
      self.send_header('Transfer-Encoding', 'chunked')
    else:
      self.send_header('Connection', 'close')
      self.close_connection = True
    self._streaming = True
    self.end_headers()

    def send(choices, **fields):
      self._send_event(json.dumps(form.answer(choices, **rest | fields)))

    if call.chat:
      for index in range(len(call.seeds)):
        event = backend_lib.Event(index, text_lib.Piece('', ()), None)
        send([form.choice(event, role='assistant')])
    for event in run.events(self._check):
      send([form.choice(event)])

    def end():
      if call.usage:
        send([], usage=run.usage)
      self._send_event('[DONE]')
      if self._chunked:
        self.wfile.write(b'0\r\n\r\n')

    return end

  def _send_event(self, text: str) -> None:
    data = f'data: {text}\n\n'.encode()
    if self._chunked:
      data = b'%x\r\n%b\r\n' % (len(data), data)
    self.wfile.write(data)


_GET = ('/health', '/v1/models')
_POST = ('/v1/chat/completions', '/v1/completions')


class Server(http.server.ThreadingHTTPServer):
  """Serves until `stop`."""

  daemon_threads = True
  request_queue_size = 128  # a burst of clients is not refused

  def __init__(self, address: tuple[str, int], backend: backend_lib.Backend):
    self.backend = backend
    self.stopping = threading.Event()
    self._change = threading.Condition()
    self._handled = self._drawn = 0
    if ':' in address[0]:
      self.address_family = socket.AF_INET6
    super().__init__(address, Handler)

  @contextlib.contextmanager
  def handling(self):
    """Counts a request until its last byte is answered."""
    with self._change:
      self._handled += 1
    try:
      yield
    finally:
      with self._change:
        self._handled -= 1
        self._change.notify_all()

  @contextlib.contextmanager
  def slot(self):
    """Counts a call that is being drawn; ApiError where there are too many."""
    with self._change:
      if self.stopping.is_set():
        raise ApiError(503, 'the server is stopping')
      if self._drawn >= self.backend.max_requests:
        raise ApiError(429, f'{self._drawn} requests are under way; try again')
      self._drawn += 1
    try:
      yield
    finally:
      with self._change:
        self._drawn -= 1

  def handle_error(self, request, client_address):
    logging.debug('connection of %s ended', client_address, exc_info=True)

  def stop(self, grace: float = 10.0) -> None:
    """Ends `serve_forever`, which another thread runs, and what is under way.

    Args:
      grace: seconds for requests to be told so.
    """
    self.stopping.set()
    self.shutdown()
    with self._change:
      self._change.wait_for(lambda: self._handled == 0, timeout=grace)
    self.server_close()


def make_server(host: str, port: int, backend: backend_lib.Backend) -> Server:
  """A server that is bound (port 0: to a free one) and not yet serving."""
  try:
    return Server((host, port), backend)
  except OSError as error:
    raise OSError(
      f'--host={host} --port={port} cannot be served: {error}; '
      'change --port or stop who has it'
    ) from error
