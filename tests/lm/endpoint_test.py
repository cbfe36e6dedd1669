"""The client, against servers on loopback that misbehave in every known way."""

import collections
import dataclasses
import datetime
import email.utils
import http.server
import json
import logging
import os
import pathlib
import tempfile
import threading
import time
from unittest import mock

from absl.testing import absltest, parameterized

from lm import endpoint, reply

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


class GoodServerTest(EndpointTest):
  def test_order_is_kept_whoever_is_first(self):
    def answer(handler, body, number):
      time.sleep(0.02 * (int(body['prompt']) % 3))
      echo(handler, body, number)

    server = self.serve(answer)
    prompts = [str(i) for i in range(24)]
    replies = self.client(server).complete(prompts)
    self.assertEqual(self.texts(replies), [f're: {p}' for p in prompts])
    self.assertEmpty(replies.failures)

  @parameterized.parameters(1, 3)
  def test_no_more_at_once_than_was_said(self, concurrency):
    def answer(handler, body, number):
      time.sleep(0.03)
      echo(handler, body, number)

    server = self.serve(answer)
    self.client(server, concurrency=concurrency).complete(['x'] * 12)
    self.assertEqual(server.most, concurrency)

  def test_bodies_and_paths(self):
    server = self.serve(lambda h, body, n: h.say(chat('yes')))
    messages = [{'role': 'system', 'content': 's'}]
    client = self.client(server, concurrency=1)
    replies = client.chat(['hi', messages], temperature=0.5, n=1)
    self.assertEqual(replies[0].usage, {'total_tokens': 7})
    self.assertEqual(replies[0].samples[0].finish, 'stop')
    client.ask(['hi'])
    rest = {'model': 'm', 'temperature': 0.5, 'n': 1}
    hi = [{'role': 'user', 'content': 'hi'}]
    self.assertEqual(
      server.bodies,
      [
        {'messages': hi, **rest},
        {'messages': messages, **rest},
        {'messages': hi, 'model': 'm'},
      ],
    )
    self.assertEqual(set(server.paths), {'/v1/chat/completions'})

  def test_a_path_in_the_url_stays(self):
    server = self.serve(echo)
    client = endpoint.Endpoint(f'{server.url}/api/v3/', 'm')
    client.complete(['x'])
    self.assertEqual(server.paths, ['/api/v3/completions'])

  def test_logprobs_of_completions(self):
    logprobs = {
      'tokens': ['a', 'b'],
      'token_logprobs': [None, -0.5],
      'top_logprobs': [None, {'b': -0.5, 'c': -1.0}],
    }
    server = self.serve(
      lambda h, b, n: h.say(completion('ab', logprobs=logprobs))
    )
    (found,) = self.client(server).complete(['x'], logprobs=2)
    self.assertEqual(
      found.samples[0].tokens,
      (('a', None, {}), ('b', -0.5, {'b': -0.5, 'c': -1.0})),
    )

  def test_logprobs_of_chats_and_samples_by_index(self):
    entry = {
      'token': 'a',
      'logprob': -1.5,
      'top_logprobs': [{'token': 'z', 'logprob': -1.0}],
    }
    choices = [
      {'index': 1, 'message': {'content': 'second'}},
      {
        'index': 0,
        'message': {'content': 'a'},
        'logprobs': {'content': [entry]},
      },
    ]
    server = self.serve(lambda h, b, n: h.say({'choices': choices}))
    (found,) = self.client(server).chat(['x'], n=2)
    self.assertEqual([s.text for s in found.samples], ['a', 'second'])
    self.assertEqual(found.samples[0].tokens, (('a', -1.5, {'z': -1.0}),))

  def test_no_text_is_a_failure_of_ask(self):
    choice = {'message': {'content': None}, 'finish_reason': 'content_filter'}
    server = self.serve(lambda h, b, n: h.say({'choices': [choice]}))
    (found,) = self.client(server).ask(['x'])
    self.assertIsInstance(found, reply.Failure)
    self.assertIn('content_filter', found.reason)


class BadServerTest(EndpointTest):
  def test_storm_without_retry_after_doubles_the_pause_with_jitter(self):
    def answer(handler, body, number):
      if number < 3:
        return handler.say({'error': {'message': 'slow down'}}, 429)
      echo(handler, body, number)

    server = self.serve(answer)
    replies = self.client(server).complete(['x'])
    self.assertEqual(self.texts(replies), ['re: x'])
    self.assertEqual(self.pauses, [1.5, 3.0, 6.0])  # 1, 2, 4 and half of it

  def test_pauses_are_bounded(self):
    server = self.serve(lambda h, b, n: h.say({}, 503))
    self.client(server, retries=5, max_pause=3.0).complete(['x'])
    self.assertEqual(self.pauses, [1.5, 3.0, 4.5, 4.5, 4.5])

  def test_storm_over_many_requests_ends_whole(self):
    seen = collections.Counter()

    def answer(handler, body, number):
      seen[body['prompt']] += 1
      if seen[body['prompt']] <= 2:
        return handler.say({}, 429, Retry_After='0')
      echo(handler, body, number)

    server = self.serve(answer)
    prompts = [str(i) for i in range(20)]
    replies = self.client(server).complete(prompts)
    self.assertEqual(self.texts(replies), [f're: {p}' for p in prompts])
    self.assertLen(server.bodies, 60)

  def test_retry_after_in_seconds(self):
    def answer(handler, body, number):
      if number < 2:
        return handler.say({}, 429, Retry_After='7')
      echo(handler, body, number)

    server = self.serve(answer)
    self.assertEqual(self.texts(self.client(server).complete(['x'])), ['re: x'])
    self.assertEqual(self.pauses, [7.5, 8.0])

  def test_retry_after_as_date(self):
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)

    def answer(handler, body, number):
      if number == 0:
        date = email.utils.format_datetime(then, usegmt=True)
        return handler.say({}, 503, Retry_After=date)
      echo(handler, body, number)

    server = self.serve(answer)
    self.client(server).complete(['x'])
    self.assertBetween(self.pauses[0], 50.5, 60.5)

  @parameterized.parameters('soon', '-3', '', '1' * 400, 'Mon, 99 Foo 1 1:1:1')
  def test_unreadable_retry_after_is_none(self, header):
    def answer(handler, body, number):
      if number == 0:
        return handler.say({}, 429, Retry_After=header)
      echo(handler, body, number)

    self.client(self.serve(answer)).complete(['x'])
    self.assertEqual(self.pauses, [1.5])

  def test_too_long_a_retry_after_is_not_waited_for(self):
    server = self.serve(lambda h, b, n: h.say({}, 429, Retry_After='86400'))
    (found,) = self.client(server).complete(['x'])
    self.assertIsInstance(found, reply.Failure)
    self.assertEqual((found.attempts, found.status), (1, 429))
    self.assertEmpty(self.pauses)

  def test_endless_500_is_a_failure_of_that_request_alone(self):
    def answer(handler, body, number):
      if body['prompt'] == 'b':
        return handler.say({'error': {'message': 'out of memory'}}, 500)
      echo(handler, body, number)

    server = self.serve(answer)
    client = self.client(server, cache_dir=self.cache)
    with self.assertLogs(level='WARNING') as logs:
      replies = client.complete(['a', 'b', 'c'])
    self.assertEqual(self.texts(replies)[::2], ['re: a', 're: c'])
    self.assertEqual(list(replies.failures), [1])
    self.assertEqual((replies[1].attempts, replies[1].status), (4, 500))
    self.assertIn('out of memory', replies[1].reason)
    self.assertIn('1 of 3 requests', logs.output[0])
    self.assertLen(server.bodies, 2 + 4)
    self.assertLen(self.cached(), 2)  # failures are not kept

  @parameterized.parameters(400, 401, 403, 404, 422)
  def test_refusals_are_errors_at_once_with_what_the_server_says(self, status):
    server = self.serve(
      lambda h, b, n: h.say({'error': {'message': 'no such thing'}}, status)
    )
    with self.assertRaisesRegex(
      endpoint.RefusedError, f'HTTP {status} no such thing'
    ):
      self.client(server, concurrency=1).complete(['x'] * 50)
    self.assertLess(len(server.bodies), 50)  # the rest is not even asked
    self.assertEmpty(self.pauses)

  def test_refusals_reported(self):
    def answer(handler, body, number):
      if body['prompt'] == 'long':
        return handler.say({'detail': 'too long'}, 400)
      echo(handler, body, number)

    client = self.client(self.serve(answer), report_refused=True)
    replies = client.complete(['x', 'long'])
    self.assertEqual(replies[0].samples[0].text, 're: x')
    self.assertIn('too long', replies.failures[1].reason)

  @parameterized.parameters(301, 302, 303, 307, 308)
  def test_redirections_are_not_followed(self, status):
    other = self.serve(echo)
    server = self.serve(
      lambda h, b, n: h.say({}, status, Location=f'{other.url}/v1/completions')
    )
    with self.assertRaisesRegex(endpoint.RefusedError, 'not followed'):
      self.client(server).complete(['x'])
    self.assertEmpty(other.bodies)

  def again(self, misbehave, **options):
    """Two attempts that go wrong, then a good one."""

    def answer(handler, body, number):
      if number < 2:
        return misbehave(handler)
      echo(handler, body, number)

    server = self.serve(answer)
    replies = self.client(server, **options).complete(['x'])
    self.assertEqual(self.texts(replies), ['re: x'])
    self.assertLen(self.pauses, 2)

  def test_closed_before_the_headers(self):
    self.again(lambda h: h.connection.close())

  def test_closed_within_the_body(self):
    good = json.dumps(completion('x')).encode()
    # What came would pass as JSON: only the length tells that it is cut.
    self.again(lambda h: h.say(good, Content_Length=str(len(good) + 9)))

  def test_closed_within_a_chunk(self):
    def misbehave(handler):
      handler.send_response(200)
      handler.send_header('Transfer-Encoding', 'chunked')
      handler.end_headers()
      handler.wfile.write(b'40\r\n{"choices"')

    self.again(misbehave)

  def test_garbage_in_place_of_http(self):
    self.again(lambda h: h.wfile.write(b'\x00\xff garbage\r\n\r\n'))

  @parameterized.parameters(
    b'<html>gateway</html>',
    b'',
    b'{"choices": [{"te',
    b'\xff\xfe',
    b'[' * 100_000,
    b'null',
    b'[]',
    b'{}',
    b'{"choices": []}',
    b'{"choices": [{}]}',
    b'{"choices": [{"text": 3}]}',
    b'{"choices": [{"message": "yes"}]}',
    b'{"choices": [{"text": "", "logprobs": {"tokens": ["a"]}}]}',
    b'{"error": {"message": "overloaded"}}',
  )
  def test_garbage_in_place_of_a_reply(self, data):
    self.again(lambda h: h.say(data))

  def test_time_out_before_the_headers(self):
    self.again(lambda h: time.sleep(0.3), timeout=0.1)

  def test_time_out_of_a_body_that_drips(self):
    def misbehave(handler):
      handler.send_response(200)
      handler.send_header('Content-Length', '1000')
      handler.end_headers()
      for _ in range(12):  # never silent for as long as the time-out
        handler.wfile.write(b' ')
        time.sleep(0.05)

    began = time.monotonic()
    self.again(misbehave, timeout=0.2)
    self.assertLess(time.monotonic() - began, 1.0)

  def test_too_large_a_reply(self):
    with mock.patch.object(endpoint, 'MAX_REPLY', 1000):
      large = json.dumps(completion('x')).encode() + b' ' * 2000
      self.again(lambda h: h.say(large))

  def test_nobody_there(self):
    with Server(echo) as server:
      client = self.client(server)
    (found,) = client.complete(['x'])
    self.assertIn('refused', found.reason)
    self.assertEqual(found.attempts, 4)

  def test_waiting_ends_with_the_first_refusal(self):
    def answer(handler, body, number):
      if body['prompt'] == 'waits':
        return handler.say({}, 429, Retry_After='100')
      time.sleep(0.1)
      handler.say({}, 400)

    began = time.monotonic()
    client = self.client(self.serve(answer), sleep=None)
    with self.assertRaises(endpoint.RefusedError):
      client.complete(['waits', 'refused'])
    self.assertLess(time.monotonic() - began, 5.0)


class CacheTest(EndpointTest):
  def setUp(self):
    super().setUp()
    self.server = self.serve(echo)

  def ask(self, *prompts, model='m', **params):
    client = self.client(self.server, cache_dir=self.cache)
    client = dataclasses.replace(client, model=model)
    return self.texts(client.complete(prompts, **params))

  def test_hits_make_no_request(self):
    first = self.ask('a', 'b')
    self.assertLen(self.server.bodies, 2)
    self.assertEqual(self.ask('b', 'a', 'b'), [*first[::-1], first[1]])
    self.assertLen(self.server.bodies, 2)

  def test_equal_requests_of_one_call_are_one(self):
    self.assertEqual(self.ask('a', 'a', 'b'), ['re: a', 're: a', 're: b'])
    self.assertLen(self.server.bodies, 2)

  def test_without_cache_equal_requests_are_many(self):
    self.client(self.server).complete(['a'] * 3)
    self.assertLen(self.server.bodies, 3)

  def test_everything_of_the_request_counts(self):
    self.ask('a')
    self.ask('a', temperature=0.5)
    self.ask('a', temperature=0.6)
    self.ask('a', seed=1, temperature=0.5)
    self.ask('a', model='other')
    self.assertLen(self.server.bodies, 5)
    self.ask('a', temperature=0.5, seed=1)  # in another order: the same
    self.assertLen(self.server.bodies, 5)

  @parameterized.parameters(
    b'',
    b'{"request"',
    b'\xff',
    b'[]',
    b'{}',
    b'null',
    b'{"request": {}, "reply": {}}',
    b'[' * 100_000,
  )
  def test_a_damaged_file_is_a_miss_and_is_mended(self, damage):
    self.ask('a')
    (path,) = self.cached()
    path.write_bytes(damage)
    self.assertEqual(self.ask('a'), ['re: a'])
    self.assertLen(self.server.bodies, 2)
    self.assertEqual(self.ask('a'), ['re: a'])
    self.assertLen(self.server.bodies, 2)

  def test_a_file_about_another_request_is_a_miss(self):
    self.ask('a')
    (path,) = self.cached()
    self.ask('b')
    (other,) = set(self.cached()) - {path}
    other.write_bytes(path.read_bytes())
    self.assertEqual(self.ask('b'), ['re: b'])
    self.assertLen(self.server.bodies, 3)

  def test_a_kept_reply_that_is_none_is_a_miss(self):
    self.ask('a')
    (path,) = self.cached()
    entry = json.loads(path.read_text())
    path.write_text(json.dumps(entry | {'reply': {'choices': []}}))
    self.assertEqual(self.ask('a'), ['re: a'])
    self.assertLen(self.server.bodies, 2)

  def test_nothing_half_written(self):
    with mock.patch('os.replace', side_effect=OSError('disk full')):
      self.assertEqual(self.ask('a'), ['re: a'])  # the reply is not lost
    self.assertEmpty(
      [
        p
        for p in self.cached()
        if p.suffix == '.json' and not p.name.startswith('.')
      ]
    )
    self.assertEqual(self.ask('a'), ['re: a'])
    self.assertLen(self.server.bodies, 2)


class KeyTest(EndpointTest):
  def setUp(self):
    super().setUp()
    self.lines = []
    handler = logging.Handler(0)
    handler.emit = lambda record: self.lines.append(
      record.getMessage() + str(record.exc_text or '')
    )
    logging.getLogger().addHandler(handler)
    self.addCleanup(logging.getLogger().removeHandler, handler)

  def test_goes_to_the_server_and_nowhere_else(self):
    said = []

    def answer(handler, body, number):
      key = handler.headers['Authorization']
      said.append(key)
      match body['prompt']:
        case 'status':
          handler.say({'error': {'message': f'bad key {key}'}}, 500)
        case 'cut':  # where a message is cut, so would be the key in it
          handler.say({'error': {'message': 'x' * 480 + key}}, 500)
        case 'html':
          handler.say(f'<p>{"x" * 175}{key}</p>'.encode())
        case 'refused':
          handler.say({'error': {'message': f'bad key {key}'}}, 401)
        case 'shape':
          handler.say({'choices': [key]})
        case 'header':
          handler.wfile.write(f'{key}\r\n\r\n'.encode())
        case 'reply':
          handler.say(completion(f'you sent {key}') | {key: [key]})

    server = self.serve(answer)
    client = self.client(
      server, cache_dir=self.cache, report_refused=True, retries=1
    )
    prompts = 'status', 'cut', 'html', 'refused', 'shape', 'header', 'reply'
    replies = client.complete(prompts)
    self.assertLen(replies.failures, 6)
    with self.assertRaises(endpoint.RefusedError) as raised:
      self.client(server).complete(['refused'])
    self.assertIn('$OPENAI_API_KEY', str(raised.exception))
    self.assertEqual(set(said), {f'Bearer {KEY}'})
    kept = ''.join(path.read_text() for path in self.cached())
    self.assertIn('you sent', kept)
    self.assertNotEmpty(self.lines)
    chain, error = '', raised.exception
    while error is not None:
      chain += repr(error)
      error = error.__cause__ or error.__context__
    for shown in (
      repr(client),
      str(vars(client)),
      repr(replies),
      chain,
      kept,
      '\n'.join(self.lines),
    ):
      self.assertNotIn(KEY[:8], shown)

  def test_a_key_that_cannot_be_a_header_is_not_shown(self):
    server = self.serve(echo)
    for key in (f'{KEY}\nX: y', f'{KEY} x', f'{KEY}é'):
      with (
        mock.patch.dict(os.environ, {'OPENAI_API_KEY': key}),
        self.assertRaisesRegex(ValueError, 'OPENAI_API_KEY') as raised,
      ):
        self.client(server).complete(['x'])
      self.assertNotIn(KEY, str(raised.exception))
    self.assertEmpty(server.bodies)

  def test_white_space_around_it_is_none_of_it(self):
    server = self.serve(echo)
    with mock.patch.dict(os.environ, {'OPENAI_API_KEY': f' {KEY}\n'}):
      self.client(server).complete(['x'])
    self.assertEqual(server.headers[0]['Authorization'], f'Bearer {KEY}')

  def test_none_where_none_is_set(self):
    server = self.serve(echo)
    client = self.client(server, api_key_env='SOCRATIC_NO_SUCH_KEY')
    client.complete(['x'])
    self.client(server, api_key_env='').complete(['x'])
    for headers in server.headers:
      self.assertNotIn('Authorization', headers)

  def test_a_word_that_is_no_secret_is_left_in_replies(self):
    server = self.serve(echo)
    with mock.patch.dict(os.environ, {'OPENAI_API_KEY': 'none'}):
      replies = self.client(server).complete(['none of them'])
    self.assertEqual(self.texts(replies), ['re: none of them'])

  def test_unencrypted_and_far_is_warned_of(self):
    client = endpoint.Endpoint('http://192.0.2.1:1/v1', 'm')
    with mock.patch.object(endpoint.logging, 'log_first_n') as warn:
      client._key()
    warn.assert_called_once()
    self.assertNotIn(KEY, str(warn.call_args))


class ArgumentsTest(parameterized.TestCase):
  @parameterized.parameters(
    (dict(url='ftp://h'), 'url must be http'),
    (dict(url='localhost:80'), 'url must be http'),
    (dict(concurrency=0), 'concurrency must be at least 1, got 0'),
    (dict(retries=-1), 'retries must be at least 0'),
    (dict(timeout=0), 'timeout must be positive'),
  )
  def test_refused(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      endpoint.Endpoint(**{'url': 'http://h', 'model': 'm', **fields})

  @parameterized.parameters('http://u:secret@h', 'http://h/?key=secret')
  def test_secrets_in_the_url_are_refused_and_not_shown(self, url):
    with self.assertRaisesRegex(ValueError, 'api_key_env') as raised:
      endpoint.Endpoint(url, 'm')
    self.assertNotIn('secret', str(raised.exception))

  def test_streams_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'stream must be left out'):
      endpoint.Endpoint('http://127.0.0.1:1', 'm').chat(['x'], stream=True)

  def test_nothing_asked_nothing_sent(self):
    self.assertEqual(endpoint.Endpoint('http://127.0.0.1:1', 'm').chat([]), ())


if __name__ == '__main__':
  absltest.main()
