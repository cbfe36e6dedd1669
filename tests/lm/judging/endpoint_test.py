"""The client against servers that answer, fail and vanish."""

import collections
import datetime
import email.utils
import json
import threading
import time
from unittest import mock

from absl.testing import absltest, parameterized

from lm.judging import endpoint, reply
from tests.lm.judging import endpoint_support as support


class GoodServerTest(support.EndpointTest):
  def test_order_is_kept_whoever_is_first(self):
    def answer(handler, body, number):
      time.sleep(0.02 * (int(body['prompt']) % 3))
      support.echo(handler, body, number)

    server = self.serve(answer)
    prompts = [str(i) for i in range(24)]
    replies = self.client(server).complete(prompts)
    self.assertEqual(self.texts(replies), [f're: {p}' for p in prompts])
    self.assertEmpty(replies.failures)

  @parameterized.parameters(1, 3)
  def test_no_more_at_once_than_was_said(self, concurrency):
    together = threading.Barrier(concurrency, timeout=60)

    def answer(handler, body, number):
      together.wait()  # none is answered before so many are asked
      support.echo(handler, body, number)

    server = self.serve(answer)
    self.client(server, concurrency=concurrency, timeout=90.0).complete(
      ['x'] * 12
    )
    self.assertEqual(server.most, concurrency)

  def test_bodies_and_paths(self):
    server = self.serve(lambda h, body, n: h.say(support.chat('yes')))
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
    server = self.serve(support.echo)
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
      lambda h, b, n: h.say(support.completion('ab', logprobs=logprobs))
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


class BadServerTest(support.EndpointTest):
  def test_storm_without_retry_after_doubles_the_pause_with_jitter(self):
    def answer(handler, body, number):
      if number < 3:
        return handler.say({'error': {'message': 'slow down'}}, 429)
      support.echo(handler, body, number)

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
      support.echo(handler, body, number)

    server = self.serve(answer)
    prompts = [str(i) for i in range(20)]
    replies = self.client(server).complete(prompts)
    self.assertEqual(self.texts(replies), [f're: {p}' for p in prompts])
    self.assertLen(server.bodies, 60)

  def test_retry_after_in_seconds(self):
    def answer(handler, body, number):
      if number < 2:
        return handler.say({}, 429, Retry_After='7')
      support.echo(handler, body, number)

    server = self.serve(answer)
    self.assertEqual(self.texts(self.client(server).complete(['x'])), ['re: x'])
    self.assertEqual(self.pauses, [7.5, 8.0])

  def test_retry_after_as_date(self):
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)

    def answer(handler, body, number):
      if number == 0:
        date = email.utils.format_datetime(then, usegmt=True)
        return handler.say({}, 503, Retry_After=date)
      support.echo(handler, body, number)

    server = self.serve(answer)
    self.client(server).complete(['x'])
    self.assertBetween(self.pauses[0], 50.5, 60.5)

  @parameterized.parameters('soon', '-3', '', '1' * 400, 'Mon, 99 Foo 1 1:1:1')
  def test_unreadable_retry_after_is_none(self, header):
    def answer(handler, body, number):
      if number == 0:
        return handler.say({}, 429, Retry_After=header)
      support.echo(handler, body, number)

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
      support.echo(handler, body, number)

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
      support.echo(handler, body, number)

    client = self.client(self.serve(answer), report_refused=True)
    replies = client.complete(['x', 'long'])
    self.assertEqual(replies[0].samples[0].text, 're: x')
    self.assertIn('too long', replies.failures[1].reason)

  @parameterized.parameters(301, 302, 303, 307, 308)
  def test_redirections_are_not_followed(self, status):
    other = self.serve(support.echo)
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
      support.echo(handler, body, number)

    server = self.serve(answer)
    replies = self.client(server, **options).complete(['x'])
    self.assertEqual(self.texts(replies), ['re: x'])
    self.assertLen(self.pauses, 2)

  def test_closed_before_the_headers(self):
    self.again(lambda h: h.connection.close())

  def test_closed_within_the_body(self):
    good = json.dumps(support.completion('x')).encode()
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
    ended = threading.Event()
    self.again(lambda h: ended.wait(), timeout=0.5)
    ended.set()

  def test_time_out_of_a_body_that_drips(self):
    def misbehave(handler):
      handler.send_response(200)
      handler.send_header('Content-Length', '1000000')
      handler.end_headers()
      for _ in range(200_000):  # never silent for as long as the time-out
        handler.wfile.write(b' ')
        if ended.wait(0.05):
          return

    ended = threading.Event()
    self.again(misbehave, timeout=0.5)
    ended.set()

  def test_too_large_a_reply(self):
    with mock.patch.object(endpoint, 'MAX_REPLY', 1000):
      large = json.dumps(support.completion('x')).encode() + b' ' * 2000
      self.again(lambda h: h.say(large))

  def test_nobody_there(self):
    with support.Server(support.echo) as server:
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
    self.assertLess(time.monotonic() - began, 50.0)


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


class QuoteTest(support.EndpointTest):
  @parameterized.parameters(
    dict(value={'error': 'the prompt SECRET'}, status=400),
    dict(value={'error': 'the prompt SECRET'}, status=500),
    dict(value=b'SECRET'),
    dict(value={'choices': 'SECRET'}),
    dict(value={'choices': [{'message': {'content': 3, 'x': 'SECRET'}}]}),
  )
  def test_what_a_server_says_is_not_repeated(self, **said):
    server = self.serve(lambda handler, body, number: handler.say(**said))
    for quote in (True, False):
      client = self.client(server, quote=quote, report_refused=True, retries=0)
      with self.assertLogs('absl', 'WARNING') as logs:
        (found,) = client.chat(['SECRET'])
      self.assertIsInstance(found, reply.Failure)
      if not quote:
        self.assertNotIn('SECRET', found.reason + ''.join(logs.output))


if __name__ == '__main__':
  absltest.main()
