"""A scripted HTTP server on loopback, and a client that does not sleep."""

import http.server
import json
import os
import pathlib
import tempfile
import threading
from unittest import mock

from absl.testing import parameterized

from lm.judging import endpoint, reply

KEY = 'sk-0123456789abcdef'


def completion(text, **fields):
  return {'choices': [{'index': 0, 'text': text, **fields}]}


def chat(text):
  choice = {'message': {'content': text}, 'finish_reason': 'stop'}
  return {'choices': [choice], 'usage': {'total_tokens': 7}}


class Server:
  """Answers as `answer(handler, body, number)` says; keeps what came."""

  def __init__(self, answer):
    self.bodies, self.headers, self.paths = [], [], []
    self.most, self._now = 0, 0
    lock = threading.Lock()
    server = self

    class Handler(http.server.BaseHTTPRequestHandler):
      def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        with lock:
          number = len(server.bodies)
          server.bodies.append(body)
          server.headers.append(dict(self.headers))
          server.paths.append(self.path)
          server._now += 1
          server.most = max(server.most, server._now)
        try:
          answer(self, body, number)
        except OSError:  # the client left first, as some tests want
          pass
        finally:
          with lock:
            server._now -= 1

      def say(self, value, status=200, **headers):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        with lock:  # before the client knows, not after
          server._now -= 1
        try:
          self.send_response(status)
          named = {k.replace('_', '-'): v for k, v in headers.items()}
          named = {'Content-Length': str(len(data))} | named
          for name, header in named.items():
            self.send_header(name, header)
          self.end_headers()
          self.wfile.write(data)
        finally:
          with lock:
            server._now += 1

      def log_message(self, *args):
        pass

    self._http = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    self._http.daemon_threads = True
    self.url = f'http://127.0.0.1:{self._http.server_port}'

  def __enter__(self):
    self._thread = threading.Thread(
      target=self._http.serve_forever, kwargs=dict(poll_interval=0.01)
    )
    self._thread.start()
    return self

  def __exit__(self, *exc_info):
    self._http.shutdown()
    self._thread.join()
    self._http.server_close()


def echo(handler, body, number):
  handler.say(completion('re: ' + body['prompt']))


class EndpointTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.pauses = []
    self.enter_context(mock.patch.dict(os.environ, {'OPENAI_API_KEY': KEY}))
    self.cache = self.enter_context(tempfile.TemporaryDirectory())

  def serve(self, answer):
    return self.enter_context(Server(answer))

  def client(self, server, **options):
    options = (
      dict(
        sleep=self.pauses.append,
        uniform=lambda: 0.5,
        backoff=1.0,
        retries=3,
        timeout=5.0,
      )
      | options
    )
    return endpoint.Endpoint(server.url, 'm', **options)

  def texts(self, replies):
    return [
      r if isinstance(r, reply.Failure) else r.samples[0].text for r in replies
    ]

  def cached(self):
    return [p for p in pathlib.Path(self.cache).rglob('*') if p.is_file()]
