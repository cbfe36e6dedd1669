"""A server over bytes and a script, for the tests of its parts."""

import concurrent.futures
import contextlib
import http.client
import json
import threading
import time

from lm.decoding import drawn
from lm.serving import backend as backend_lib
from lm.serving import server as server_lib

EOS = 256
SIZE = 200


class ByteTokenizer:
  """A token a byte; 256 ends. Decodes cut characters to U+FFFD, as all do."""

  stop_ids = (EOS,)
  eos_id = EOS

  def encode(self, text):
    return list(text.encode())

  def decode(self, ids):
    return bytes(i for i in ids if i < EOS).decode(errors='replace')

  def chat(self, messages):
    if messages[-1]['content'] == 'no template':
      raise ValueError('the model has no chat template')
    text = ''.join(f'<{m["role"]}>{m["content"]}' for m in messages)
    return self.encode(text + '<assistant>')


class Engine:
  """Continues every prompt by `script(prompt, seed)`: bytes, then the end.

  With `hold` every sample waits behind that many tokens, or `hold(prompt)`,
  until it is cancelled or `release` is called: no test has to be faster than
  the engine.
  """

  size = SIZE

  def __init__(self, script, *, hold=None):
    self._script = script
    self._hold = hold if callable(hold) else lambda prompt: hold
    self._released = False
    self.calls, self.cancelled, self.finished = [], [], []
    self._events = {}

  def release(self):
    """Lets all samples go on, those to come as well."""
    self._released = True
    for event in list(self._events.values()):
      event.set()

  def submit(self, prompt, *, on_token=None, **options):
    self.calls.append((list(prompt), options))
    read = ByteTokenizer().decode(prompt)
    text, hold = self._script(read, options['seed']), self._hold(read)
    if isinstance(text, Exception) and isinstance(text, ValueError):
      raise text
    future = concurrent.futures.Future()
    event = self._events[future] = threading.Event()
    arguments = future, event, text, hold, options, on_token
    threading.Thread(target=self._run, args=arguments, daemon=True).start()
    return future

  def _run(self, future, event, text, hold, options, on_token):
    if isinstance(text, Exception):
      future.set_exception(text)
      return
    tokens, finish = [], 'length'
    for place, i in enumerate([*text, EOS][: options['max_new_tokens']]):
      if place == hold and not self._released:
        event.wait()
      if future in self.cancelled:
        future.cancel()
        return
      top = ((i, -0.25), (ord('?'), -float('inf')))
      token = drawn.Token(i, -0.25, top)
      tokens.append(token)
      on_token(token)
      if i in options['stop']:
        finish = 'stop'
    self.finished.append(future)
    future.set_result(drawn.Result(tokens, finish))

  def cancel(self, future):
    self.cancelled.append(future)
    self._events[future].set()


@contextlib.contextmanager
def serving(script, *, hold=None, **options):
  engine = Engine(script, hold=hold)
  backend = backend_lib.Backend(
    tokenizer=ByteTokenizer(), engine=engine, model='m', **options
  )
  server = server_lib.make_server('127.0.0.1', 0, backend)
  thread = threading.Thread(
    target=server.serve_forever, kwargs=dict(poll_interval=0.01)
  )
  thread.start()
  try:
    yield server, engine
  finally:
    server.stop()
    thread.join()


def call(server, path, body=None, *, method=None, headers=None):
  """Status and JSON."""
  connection = http.client.HTTPConnection(
    '127.0.0.1', server.server_port, timeout=60
  )
  data = json.dumps(body) if isinstance(body, dict) else body
  with contextlib.closing(connection):
    connection.request(
      method or ('GET' if body is None else 'POST'),
      path,
      data,
      headers or {},
    )
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def complete(server, prompt, **fields):
  status, answer = call(
    server, '/v1/completions', {'prompt': prompt, 'max_tokens': 100} | fields
  )
  assert status == 200, answer
  return answer


def stream(server, path, **body):
  """The events of a stream, and the text of each."""
  connection = http.client.HTTPConnection(
    '127.0.0.1', server.server_port, timeout=60
  )
  with contextlib.closing(connection):
    body = {'stream': True, 'max_tokens': 100} | body
    connection.request('POST', path, json.dumps(body))
    response = connection.getresponse()
    assert response.status == 200, response.read()
    lines = response.read().decode().split('\n\n')
  assert lines.pop() == ''
  events = [line.removeprefix('data: ') for line in lines]
  assert events.pop() == '[DONE]'
  return [json.loads(event) for event in events]


def until(condition):
  deadline = time.monotonic() + 60
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.01)


def fixed(text):
  return lambda prompt, seed: text.encode()
