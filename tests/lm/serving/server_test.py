"""The server on loopback, asked as its clients ask it."""

import json
import socket
import sys
import threading

from absl.testing import absltest, parameterized

from lm.judging import endpoint, reply
from tests.lm.serving import support


class CompletionsTest(parameterized.TestCase):
  def test_whole(self):
    with support.serving(support.fixed(' né')) as (server, engine):
      answer = support.complete(
        server, 'hi', temperature=0.5, top_p=0.9, seed=7
      )
    (choice,) = answer['choices']
    self.assertEqual(choice['text'], ' né')
    self.assertEqual(choice['finish_reason'], 'stop')
    self.assertIsNone(choice['logprobs'])
    self.assertEqual(answer['object'], 'text_completion')
    self.assertEqual(
      answer['usage'],
      {'prompt_tokens': 2, 'completion_tokens': 5, 'total_tokens': 7},
    )
    ((prompt, options),) = engine.calls
    self.assertEqual(prompt, [104, 105])
    self.assertEqual(
      options,
      dict(
        max_new_tokens=100,
        temperature=0.5,
        top_p=0.9,
        seed=7,
        stop=(support.EOS,),
      ),
    )

  def test_length(self):
    with support.serving(support.fixed('a' * 50)) as (server, _):
      answer = support.complete(server, 'x', max_tokens=3)
      self.assertEqual(answer['choices'][0]['text'], 'aaa')
      self.assertEqual(answer['choices'][0]['finish_reason'], 'length')
      self.assertEqual(answer['usage']['completion_tokens'], 3)
      _, answer = support.call(server, '/v1/completions', {'prompt': 'x'})
      self.assertEqual(answer['usage']['completion_tokens'], 16)

  def test_prompts_and_samples_in_their_order(self):
    def script(prompt, seed):
      return f'{prompt}{seed}'.encode()

    slow = lambda prompt: 0 if prompt == 'slow' else None  # noqa: E731
    with support.serving(script, hold=slow) as (server, engine):
      thread = threading.Thread(
        target=lambda: (
          support.until(lambda: len(engine.finished) == 2),
          engine.release(),
        )
      )
      thread.start()
      answer = support.complete(server, ['slow', 'b'], n=2, seed=5)
      thread.join()
    texts = [choice['text'] for choice in answer['choices']]
    self.assertEqual([c['index'] for c in answer['choices']], [0, 1, 2, 3])
    self.assertEqual(
      [t.rstrip('0123456789') for t in texts], ['slow'] * 2 + ['b'] * 2
    )
    seeds = [options['seed'] for _, options in engine.calls]
    self.assertLen(set(seeds), 4)
    self.assertEqual(seeds[0], 5)
    self.assertEqual(answer['usage']['prompt_tokens'], 5)

  def test_seeds(self):
    with support.serving(lambda p, seed: str(seed).encode()) as (server, _):

      def texts(**fields):
        answer = support.complete(server, 'x', n=3, **fields)
        return [choice['text'] for choice in answer['choices']]

      self.assertEqual(texts(seed=1), texts(seed=1))
      self.assertEmpty(set(texts(seed=1)) & set(texts(seed=2)))
      self.assertNotEqual(texts(), texts())
      for seed in (-1, 2**62):
        for text in texts(seed=seed):
          self.assertBetween(int(text), 0, 2**31 - 1)

  def test_ids(self):
    with support.serving(support.fixed('a'), vocab_size=257) as (
      server,
      engine,
    ):
      support.complete(server, [1, 2])
      support.complete(server, [[3], [4, 256]])
      status, answer = support.call(
        server, '/v1/completions', {'prompt': [257]}
      )
    self.assertEqual(status, 400)
    self.assertIn('[0, 257)', answer['error']['message'])
    prompts = [prompt for prompt, _ in engine.calls]
    self.assertEqual(prompts, [[1, 2], [3], [4, 256]])

  @parameterized.parameters(False, True)
  def test_stop_string_over_tokens(self, streams):
    with support.serving(support.fixed('one STOP two'), hold=8) as (
      server,
      engine,
    ):
      if streams:
        events = support.stream(
          server, '/v1/completions', prompt='x', stop='STOP'
        )
        texts = [e['choices'][0]['text'] for e in events]
        text, finish = ''.join(texts), events[-1]['choices'][0]['finish_reason']
      else:
        choice = support.complete(server, 'x', stop=['STOP', '!'])['choices'][0]
        text, finish = choice['text'], choice['finish_reason']
      support.until(lambda: engine.cancelled)  # the rest is not drawn
    self.assertEqual((text, finish), ('one ', 'stop'))

  def test_a_stopped_sample_is_freed_before_the_others_end(self):
    def script(prompt, seed):
      return b'aSTOP' * 30 if prompt == 'a' else b'b' * 90

    with support.serving(script, hold=6) as (server, engine):
      answers = []
      thread = threading.Thread(
        target=lambda: answers.append(
          support.complete(server, ['a', 'b'], stop='STOP')
        )
      )
      thread.start()
      support.until(lambda: engine.cancelled)
      self.assertEmpty(answers)
      engine.release()
      thread.join()
      texts = [choice['text'] for choice in answers[0]['choices']]
    self.assertEqual(texts, ['a', 'b' * 90])

  def test_logprobs(self):
    with support.serving(support.fixed('né.')) as (server, _):
      choice = support.complete(server, 'x', logprobs=2, stop='.')['choices'][0]
      none = support.complete(server, 'x', logprobs=0)['choices'][0]['logprobs']
    found = choice['logprobs']
    self.assertEqual(found['tokens'], ['n', '\ufffd', '\ufffd'])
    self.assertEqual(found['token_logprobs'], [-0.25] * 3)
    self.assertEqual(found['text_offset'], [0, 1, 1])
    self.assertEqual(found['top_logprobs'][0], {'n': -0.25, '?': -9999.0})
    self.assertIsNone(none['top_logprobs'])
    self.assertLen(none['tokens'], 4)

  def test_stream(self):
    with support.serving(support.fixed('né 日')) as (server, _):
      events = support.stream(
        server,
        '/v1/completions',
        prompt='x',
        n=2,
        logprobs=0,
        stream_options={'include_usage': True},
      )
    last = events.pop()
    self.assertEqual(last['choices'], [])
    self.assertEqual(last['usage']['completion_tokens'], 16)
    for index in range(2):
      own = [
        e['choices'][0] for e in events if e['choices'][0]['index'] == index
      ]
      self.assertEqual(
        [c['text'] for c in own if c['text']], ['n', 'é', ' ', '日']
      )
      self.assertEqual(own[-1]['finish_reason'], 'stop')
      tokens = [len(c['logprobs']['tokens']) for c in own if c['text']]
      self.assertEqual(tokens, [1, 2, 1, 3])
      self.assertTrue(all(c['finish_reason'] is None for c in own[:-1]))
    self.assertTrue(all(e['usage'] is None for e in events))


class ChatTest(parameterized.TestCase):
  def body(self, **fields):
    return {'messages': [{'role': 'user', 'content': 'hi'}]} | fields

  def test_whole_with_the_room_there_is(self):
    with support.serving(support.fixed('ok')) as (server, engine):
      status, answer = support.call(
        server, '/v1/chat/completions', self.body(model='m')
      )
    self.assertEqual(status, 200)
    self.assertEqual(answer['object'], 'chat.completion')
    (choice,) = answer['choices']
    self.assertEqual(choice['message'], {'role': 'assistant', 'content': 'ok'})
    ((prompt, options),) = engine.calls
    self.assertEqual(bytes(prompt), b'<user>hi<assistant>')
    self.assertEqual(options['max_new_tokens'], support.SIZE - len(prompt))

  def test_parts_and_roles(self):
    parts = [{'type': 'text', 'text': 'a'}, {'type': 'text', 'text': 'b'}]
    messages = [
      {'role': 'developer', 'content': 's'},
      {'role': 'user', 'content': parts},
    ]
    with support.serving(support.fixed('ok')) as (server, engine):
      support.call(server, '/v1/chat/completions', {'messages': messages})
    self.assertEqual(bytes(engine.calls[0][0]), b'<system>s<user>ab<assistant>')

  def test_logprobs(self):
    body = self.body(logprobs=True, top_logprobs=1)
    with support.serving(support.fixed('é')) as (server, _):
      _, answer = support.call(server, '/v1/chat/completions', body)
    first, second = answer['choices'][0]['logprobs']['content']
    entry = {'token': '\ufffd', 'logprob': -0.25, 'bytes': None}
    self.assertEqual(first, entry | {'top_logprobs': [entry]})
    self.assertEqual(second, first)

  def test_stream(self):
    with support.serving(support.fixed('日a')) as (server, _):
      events = support.stream(server, '/v1/chat/completions', **self.body())
    deltas = [event['choices'][0]['delta'] for event in events]
    self.assertEqual(
      deltas,
      [
        {'role': 'assistant', 'content': ''},
        {'content': '日'},
        {'content': 'a'},
        {},
      ],
    )
    self.assertEqual({e['object'] for e in events}, {'chat.completion.chunk'})
    self.assertLen({event['id'] for event in events}, 1)
    self.assertEqual(events[-1]['choices'][0]['finish_reason'], 'stop')

  def test_stream_over_http_1_0_ends_by_closing(self):
    with support.serving(support.fixed('ok')) as (server, _):
      body = json.dumps(self.body(stream=True)).encode()
      with socket.create_connection(('127.0.0.1', server.server_port)) as s:
        s.sendall(
          b'POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b'
          % (len(body), body)
        )
        data = b''
        while part := s.recv(4096):
          data += part
    head, _, rest = data.partition(b'\r\n\r\n')
    self.assertNotIn(b'chunked', head)
    self.assertTrue(rest.startswith(b'data: {'))
    self.assertTrue(rest.endswith(b'data: [DONE]\n\n'))


class FailuresTest(parameterized.TestCase):
  def open(self, server, **fields):
    """A socket that has asked for a stream."""
    body = json.dumps({'prompt': 'x', 'max_tokens': 150} | fields).encode()
    connection = socket.create_connection(('127.0.0.1', server.server_port))
    self.addCleanup(connection.close)
    connection.sendall(
      b'POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b'
      % (len(body), body)
    )
    return connection

  @parameterized.product(stream=(False, True), reset=(False, True))
  def test_client_gone_cancels_and_the_server_lives(self, stream, reset):
    with support.serving(support.fixed('a' * 150), hold=1) as (
      server,
      engine,
    ):
      connection = self.open(server, stream=stream, n=2)
      if stream:
        connection.recv(1000)
      else:
        support.until(lambda: len(engine.calls) == 2)
      if reset:
        linger = (1).to_bytes(4, sys.byteorder) + bytes(4)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
      connection.close()
      support.until(lambda: len(engine.cancelled) >= 2)
      self.assertEqual(support.call(server, '/health')[0], 200)
      support.complete(server, 'x', max_tokens=1)

  def test_client_gone_in_the_middle_of_its_request(self):
    with support.serving(support.fixed('a')) as (server, engine):
      with socket.create_connection(('127.0.0.1', server.server_port)) as s:
        s.sendall(
          b'POST /v1/completions HTTP/1.1\r\nContent-Length: 99\r\n\r\n'
          b'{"prompt": "x"}'  # would pass, but more was announced
        )
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(s.recv(100), b'')
      support.complete(server, 'x')
      self.assertLen(engine.calls, 1)

  def test_no_http_at_all(self):
    with support.serving(support.fixed('a')) as (server, _):
      with socket.create_connection(('127.0.0.1', server.server_port)) as s:
        s.sendall(b'\x16\x03\x01 what is this\r\n\r\n')
        self.assertIn(b'invalid_request_error', s.recv(4096))
      support.complete(server, 'x')

  def test_engine_fails(self):
    script = lambda p, s: RuntimeError('secret of the house')  # noqa: E731
    with support.serving(script) as (server, _), self.assertLogs(level='ERROR'):
      status, answer = support.call(server, '/v1/completions', {'prompt': 'x'})
      self.assertEqual(status, 500)
      self.assertEqual(answer['error']['type'], 'server_error')
      self.assertNotIn('secret', str(answer))

  def test_engine_fails_in_mid_stream(self):
    script = lambda p, s: RuntimeError('out of memory')  # noqa: E731
    with support.serving(script) as (server, _), self.assertLogs(level='ERROR'):
      connection = self.open(server, stream=True)
      data = b''
      while part := connection.recv(4096):
        data += part
    self.assertIn(b'"error"', data)
    self.assertNotIn(b'[DONE]', data)
    self.assertFalse(data.endswith(b'0\r\n\r\n'))  # a cut stream looks cut

  def test_stopping_tells_who_waits(self):
    with support.serving(support.fixed('a' * 150), hold=0) as (
      server,
      engine,
    ):
      answers = []
      thread = threading.Thread(
        target=lambda: answers.append(
          support.call(
            server, '/v1/completions', {'prompt': 'x', 'max_tokens': 99}
          )
        )
      )
      thread.start()
      support.until(lambda: engine.calls)
    # Nobody is left behind, though the engine would never have ended.
    self.assertEqual(server._handled, 0)
    thread.join()
    self.assertEqual(answers[0][0], 503)
    self.assertLen(engine.cancelled, 1)


class TogetherTest(absltest.TestCase):
  """Our client and our server."""

  def client(self, server, **options):
    url = f'http://127.0.0.1:{server.server_port}'
    return endpoint.Endpoint(url, 'm', api_key_env='', backoff=0.02, **options)

  def test_many(self):
    def script(prompt, seed):
      return f'{prompt} back'.encode()

    with support.serving(script) as (server, _):
      client = self.client(server, concurrency=8)
      prompts = [f'né {i}' for i in range(30)]
      replies = client.complete(prompts, max_tokens=60, logprobs=1, n=2)
      texts = client.ask(['hi'])
    self.assertEmpty(replies.failures)
    for prompt, found in zip(prompts, replies, strict=True):
      self.assertEqual([s.text for s in found.samples], [f'{prompt} back'] * 2)
      self.assertEqual(found.samples[0].finish, 'stop')
      self.assertEqual(found.samples[0].tokens[0], ('n', -0.25, {'n': -0.25}))
    self.assertEqual(texts, ['<user>hi<assistant> back'])

  def test_logprobs_of_chats(self):
    with support.serving(support.fixed('ok')) as (server, _):
      (found,) = self.client(server).chat(['x'], logprobs=True, top_logprobs=2)
    self.assertEqual(
      found.samples[0].tokens[1], ('k', -0.25, {'k': -0.25, '?': -9999.0})
    )

  def test_more_than_the_server_takes_at_once(self):
    with support.serving(support.fixed('a' * 20), hold=0, max_requests=2) as (
      server,
      engine,
    ):

      def sleep(seconds):
        refused.append(seconds)
        engine.release()
        # So a refusal means that another call was let in since.
        support.until(lambda: server._drawn < 2)

      refused = []
      client = self.client(server, concurrency=6, retries=50, sleep=sleep)
      replies = client.complete(['x'] * 12, max_tokens=30)
    self.assertEqual({r.samples[0].text for r in replies}, {'a' * 20})
    self.assertNotEmpty(refused)

  def test_refusals_reach_the_caller(self):
    with support.serving(support.fixed('a')) as (server, _):
      client = self.client(server)
      with self.assertRaisesRegex(endpoint.RefusedError, 'must fit 200'):
        client.complete(['x' * 500])

  def test_engine_that_always_fails_is_a_failure(self):
    script = lambda p, s: RuntimeError('no')  # noqa: E731
    with support.serving(script) as (server, _), self.assertLogs(level='ERROR'):
      (found,) = self.client(server, retries=2).complete(['x'])
    self.assertIsInstance(found, reply.Failure)
    self.assertEqual((found.status, found.attempts), (500, 3))


if __name__ == '__main__':
  absltest.main()
