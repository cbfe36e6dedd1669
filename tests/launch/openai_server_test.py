"""The server over a scripted engine and a tokenizer of bytes, by real HTTP."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from unittest import mock

from absl.testing import absltest, parameterized

from launch import openai_request, openai_run, openai_server, openai_text, serve
from lm import drawn, endpoint, reply

ROOT = pathlib.Path(__file__).parents[2]
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
  """Continues every prompt by `script(prompt, seed)`: bytes, then the end."""

  size = SIZE

  def __init__(self, script, *, delay=0.0):
    self._script, self._delay = script, delay
    self.calls, self.cancelled, self._events = [], [], {}

  def submit(self, prompt, *, on_token=None, **options):
    self.calls.append((list(prompt), options))
    text = self._script(ByteTokenizer().decode(prompt), options['seed'])
    if isinstance(text, Exception) and isinstance(text, ValueError):
      raise text
    future = concurrent.futures.Future()
    event = self._events[future] = threading.Event()
    arguments = future, event, text, options, on_token
    threading.Thread(target=self._run, args=arguments, daemon=True).start()
    return future

  def _run(self, future, event, text, options, on_token):
    if isinstance(text, Exception):
      return future.set_exception(text)
    tokens, finish = [], 'length'
    for i in [*text, EOS][: options['max_new_tokens']]:
      if event.wait(self._delay):
        future.cancel()
        return None
      top = ((i, -0.25), (ord('?'), -float('inf')))
      token = drawn.Token(i, -0.25, top)
      tokens.append(token)
      on_token(token)
      if i in options['stop']:
        finish = 'stop'
    return future.set_result(drawn.Result(tokens, finish))

  def cancel(self, future):
    self.cancelled.append(future)
    self._events[future].set()


@contextlib.contextmanager
def serving(script, *, delay=0.0, **options):
  engine = Engine(script, delay=delay)
  backend = openai_run.Backend(
    tokenizer=ByteTokenizer(), engine=engine, model='m', **options
  )
  server = openai_server.make_server('127.0.0.1', 0, backend)
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
    '127.0.0.1', server.server_port, timeout=10
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
    '127.0.0.1', server.server_port, timeout=10
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
  deadline = time.monotonic() + 5
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.01)


def fixed(text):
  return lambda prompt, seed: text.encode()


class AssemblerTest(parameterized.TestCase):
  """Over every way to cut the bytes into tokens that a vocabulary may have."""

  @parameterized.parameters(
    ('a stop b', ('stop',), 'a '),
    ('ststop', ('stop',), 'st'),
    ('sto', ('stop',), 'sto'),
    ('aab', ('aab',), ''),
    ('aaab', ('aab',), 'a'),
    ('abc', ('abc', 'b'), 'a'),
    ('xabc', ('abc', 'bc'), 'x'),
    ('né à', ('à',), 'né '),
    ('日本語', (), '日本語'),
    ('a😀b', ('b',), 'a😀'),
    ('a😀', ('b',), 'a😀'),
  )
  def test_text_stops_and_characters(self, text, stop, expected):
    data = text.encode()
    for sizes in ([1] * len(data), [2] * len(data), [3, 1, 2] * len(data)):
      pieces, vocabulary, place = [], [], 0
      for size in sizes:
        if place < len(data):
          vocabulary.append(data[place : place + size])
          place += size

      class Tokenizer:
        stop_ids = ()

        def decode(self, ids, vocabulary=tuple(vocabulary)):
          data = b''.join(b'@' if i < 0 else vocabulary[i] for i in ids)
          return data.decode(errors='replace')

      assembler = openai_text.Assembler(Tokenizer(), [-1, -1], stop)
      for i in range(len(vocabulary)):
        pieces.append(assembler.push(drawn.Token(i, 0.0)))
        self.assertNotIn('\ufffd', pieces[-1].text)
        sent = ''.join(piece.text for piece in pieces)
        self.assertTrue(expected.startswith(sent), sent)
      pieces.append(assembler.finish())
      self.assertEqual(''.join(piece.text for piece in pieces), expected)
      offsets = [offset for piece in pieces for _, offset in piece.tokens]
      self.assertEqual(offsets, sorted(offsets))
      if not stop:
        self.assertLen(offsets, len(vocabulary))

  def test_spaces_that_a_tokenizer_writes_only_within_a_text(self):
    class Words:
      stop_ids = ()

      def decode(self, ids):
        return ' '.join(('the', 'cat', 'sat')[i] for i in ids)

    assembler = openai_text.Assembler(Words(), [0])
    pieces = [assembler.push(drawn.Token(i, 0.0)) for i in (1, 2, 1)]
    self.assertEqual([p.text for p in pieces], [' cat', ' sat', ' cat'])

  def test_garbage_is_sent_in_the_end(self):
    tokenizer = ByteTokenizer()
    assembler = openai_text.Assembler(tokenizer, [65], ())
    text = ''
    for i in [0xE6, 0x97]:
      text += assembler.push(drawn.Token(i, 0.0)).text
    self.assertEqual(text, '')
    self.assertEqual(assembler.finish().text, '\ufffd')

  def test_endless_garbage_is_not_held_back_for_ever(self):
    assembler = openai_text.Assembler(ByteTokenizer(), [65], ())
    pieces = [assembler.push(drawn.Token(0xFF, 0.0)) for _ in range(64)]
    pieces.append(assembler.finish())
    self.assertEqual(''.join(p.text for p in pieces), '\ufffd' * 64)
    self.assertTrue(pieces[7].text)


class CompletionsTest(parameterized.TestCase):
  def test_whole(self):
    with serving(fixed(' né')) as (server, engine):
      answer = complete(server, 'hi', temperature=0.5, top_p=0.9, seed=7)
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
      dict(max_new_tokens=100, temperature=0.5, top_p=0.9, seed=7, stop=(EOS,)),
    )

  def test_length(self):
    with serving(fixed('a' * 50)) as (server, _):
      answer = complete(server, 'x', max_tokens=3)
      self.assertEqual(answer['choices'][0]['text'], 'aaa')
      self.assertEqual(answer['choices'][0]['finish_reason'], 'length')
      self.assertEqual(answer['usage']['completion_tokens'], 3)
      _, answer = call(server, '/v1/completions', {'prompt': 'x'})
      self.assertEqual(answer['usage']['completion_tokens'], 16)

  def test_prompts_and_samples_in_their_order(self):
    def script(prompt, seed):
      if prompt == 'slow':
        time.sleep(0.1)
      return f'{prompt}{seed}'.encode()

    with serving(script) as (server, engine):
      answer = complete(server, ['slow', 'b'], n=2, seed=5)
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
    with serving(lambda p, seed: str(seed).encode()) as (server, _):

      def texts(**fields):
        answer = complete(server, 'x', n=3, **fields)
        return [choice['text'] for choice in answer['choices']]

      self.assertEqual(texts(seed=1), texts(seed=1))
      self.assertEmpty(set(texts(seed=1)) & set(texts(seed=2)))
      self.assertNotEqual(texts(), texts())
      for seed in (-1, 2**62):
        for text in texts(seed=seed):
          self.assertBetween(int(text), 0, 2**31 - 1)

  def test_ids(self):
    with serving(fixed('a'), vocab_size=257) as (server, engine):
      complete(server, [1, 2])
      complete(server, [[3], [4, 256]])
      status, answer = call(server, '/v1/completions', {'prompt': [257]})
    self.assertEqual(status, 400)
    self.assertIn('[0, 257)', answer['error']['message'])
    prompts = [prompt for prompt, _ in engine.calls]
    self.assertEqual(prompts, [[1, 2], [3], [4, 256]])

  @parameterized.parameters(False, True)
  def test_stop_string_over_tokens(self, streams):
    with serving(fixed('one STOP two'), delay=0.002) as (server, engine):
      if streams:
        events = stream(server, '/v1/completions', prompt='x', stop='STOP')
        texts = [e['choices'][0]['text'] for e in events]
        text, finish = ''.join(texts), events[-1]['choices'][0]['finish_reason']
      else:
        choice = complete(server, 'x', stop=['STOP', '!'])['choices'][0]
        text, finish = choice['text'], choice['finish_reason']
      until(lambda: engine.cancelled)  # the rest is not drawn
    self.assertEqual((text, finish), ('one ', 'stop'))

  def test_a_stopped_sample_is_freed_before_the_others_end(self):
    def script(prompt, seed):
      return b'aSTOP' * 30 if prompt == 'a' else b'b' * 90

    with serving(script, delay=0.01) as (server, engine):
      answers = []
      thread = threading.Thread(
        target=lambda: answers.append(complete(server, ['a', 'b'], stop='STOP'))
      )
      thread.start()
      until(lambda: engine.cancelled)
      self.assertEmpty(answers)
      thread.join()
      texts = [choice['text'] for choice in answers[0]['choices']]
    self.assertEqual(texts, ['a', 'b' * 90])

  def test_logprobs(self):
    with serving(fixed('né.')) as (server, _):
      choice = complete(server, 'x', logprobs=2, stop='.')['choices'][0]
      none = complete(server, 'x', logprobs=0)['choices'][0]['logprobs']
    found = choice['logprobs']
    self.assertEqual(found['tokens'], ['n', '\ufffd', '\ufffd'])
    self.assertEqual(found['token_logprobs'], [-0.25] * 3)
    self.assertEqual(found['text_offset'], [0, 1, 1])
    self.assertEqual(found['top_logprobs'][0], {'n': -0.25, '?': -9999.0})
    self.assertIsNone(none['top_logprobs'])
    self.assertLen(none['tokens'], 4)

  def test_stream(self):
    with serving(fixed('né 日')) as (server, _):
      events = stream(
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
    with serving(fixed('ok')) as (server, engine):
      status, answer = call(
        server, '/v1/chat/completions', self.body(model='m')
      )
    self.assertEqual(status, 200)
    self.assertEqual(answer['object'], 'chat.completion')
    (choice,) = answer['choices']
    self.assertEqual(choice['message'], {'role': 'assistant', 'content': 'ok'})
    ((prompt, options),) = engine.calls
    self.assertEqual(bytes(prompt), b'<user>hi<assistant>')
    self.assertEqual(options['max_new_tokens'], SIZE - len(prompt))

  def test_parts_and_roles(self):
    parts = [{'type': 'text', 'text': 'a'}, {'type': 'text', 'text': 'b'}]
    messages = [
      {'role': 'developer', 'content': 's'},
      {'role': 'user', 'content': parts},
    ]
    with serving(fixed('ok')) as (server, engine):
      call(server, '/v1/chat/completions', {'messages': messages})
    self.assertEqual(bytes(engine.calls[0][0]), b'<system>s<user>ab<assistant>')

  def test_logprobs(self):
    body = self.body(logprobs=True, top_logprobs=1)
    with serving(fixed('é')) as (server, _):
      _, answer = call(server, '/v1/chat/completions', body)
    first, second = answer['choices'][0]['logprobs']['content']
    entry = {'token': '\ufffd', 'logprob': -0.25, 'bytes': None}
    self.assertEqual(first, entry | {'top_logprobs': [entry]})
    self.assertEqual(second, first)

  def test_stream(self):
    with serving(fixed('日a')) as (server, _):
      events = stream(server, '/v1/chat/completions', **self.body())
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
    with serving(fixed('ok')) as (server, _):
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


class RefusalsTest(parameterized.TestCase):
  def check(self, server, path, body, status, message, **options):
    got, answer = call(server, path, body, **options)
    self.assertEqual(got, status, answer)
    self.assertEqual(set(answer), {'error'})
    self.assertEqual(set(answer['error']), {'message', 'type', 'param', 'code'})
    self.assertIn(message, answer['error']['message'])
    return answer['error']

  @parameterized.parameters(
    b'',
    b'{"prompt": "x"',
    b'\xff',
    b'"x"',
    b'[]',
    b'null',
    b'{"prompt": "x", "temperature": NaN}',
    b'[' * 100_000,
    b'{"n": 1' + b'0' * 5000 + b'}',
  )
  def test_bad_json(self, body):
    with serving(fixed('')) as (server, engine):
      self.check(server, '/v1/completions', body, 400, 'the body must be')
      self.assertEmpty(engine.calls)

  @parameterized.parameters(
    dict(prompt=None),
    dict(prompt=3),
    dict(prompt=[]),
    dict(prompt=['a', 3]),
    dict(prompt=[1, 'a']),
    dict(prompt=[-1]),
    dict(prompt=[True]),
    dict(prompt=[[1.5]]),
    dict(prompt=''),
    dict(prompt='\ud800'),
    dict(prompt=['a'] * 129),
    dict(n='2'),
    dict(n=True),
    dict(n=0),
    dict(n=129),
    dict(n=65, prompt=['a', 'b']),
    dict(max_tokens=0),
    dict(max_tokens=1.5),
    dict(max_tokens=-1),
    dict(temperature='hot'),
    dict(temperature=-0.1),
    dict(temperature=2.1),
    dict(top_p=0),
    dict(top_p=1.1),
    dict(seed='x'),
    dict(seed=2**64),
    dict(stop=3),
    dict(stop=''),
    dict(stop=['']),
    dict(stop=['a', None]),
    dict(stop=['a'] * 17),
    dict(logprobs=True),
    dict(logprobs=21),
    dict(stream='yes'),
    dict(stream_options={'include_usage': True}),
    dict(stream=True, stream_options=[1]),
    dict(stream=True, stream_options={'include_usage': 1}),
    dict(stream=True, stream_options={'other': 1}),
    dict(frequency_penalty=0.5),
    dict(frequency_penalty=False),
    dict(echo=0),
    dict(echo=True),
    dict(best_of=2),
    dict(logit_bias={'5': 100}),
    dict(temprature=1.0),
  )
  def test_bad_fields(self, **fields):
    with serving(fixed('')) as (server, engine):
      body = {'prompt': 'x'} | fields
      self.check(server, '/v1/completions', body, 400, '')
      self.assertEmpty(engine.calls)

  @parameterized.parameters(
    dict(messages=None),
    dict(messages=[]),
    dict(messages='hi'),
    dict(messages=['hi']),
    dict(messages=[{'role': 'user'}]),
    dict(messages=[{'role': 'king', 'content': 'x'}]),
    dict(messages=[{'role': ['user'], 'content': 'x'}]),
    dict(messages=[{'role': 'user', 'content': [{'type': 'image_url'}]}]),
    dict(messages=[{'role': 'user', 'content': ['x']}]),
    dict(messages=[{'role': 'user', 'content': 'no template'}]),
    dict(prompt='x'),
    dict(top_logprobs=2),
    dict(logprobs=2),
    dict(response_format={'type': 'json_object'}),
  )
  def test_bad_chats(self, **fields):
    with serving(fixed('')) as (server, engine):
      good = {'messages': [{'role': 'user', 'content': 'x'}]}
      self.check(server, '/v1/chat/completions', good | fields, 400, '')
      self.assertEmpty(engine.calls)

  def test_neutral_and_idle_fields_pass(self):
    with serving(fixed('a')) as (server, _):
      complete(
        server,
        'x',
        model='m',
        frequency_penalty=0,
        presence_penalty=0.0,
        echo=False,
        logit_bias={},
        best_of=1,
        suffix=None,
        user='me',
        unknown=None,
      )

  def test_messages_say_what_was_expected_and_what_came(self):
    with serving(fixed('')) as (server, _):
      error = self.check(
        server,
        '/v1/completions',
        {'prompt': 'x', 'temperature': 3},
        400,
        'temperature must be a number in [0, 2], got 3',
      )
      self.assertEqual(error['param'], 'temperature')
      self.assertEqual(error['type'], 'invalid_request_error')

  def test_too_long(self):
    with serving(fixed('')) as (server, engine):
      for body in (
        {'prompt': 'x' * SIZE},
        {'prompt': 'x' * 150, 'max_tokens': 51},
        {'prompt': ['x', 'x' * 5000]},
      ):
        error = self.check(server, '/v1/completions', body, 400, 'must fit 200')
        self.assertEqual(error['code'], 'context_length_exceeded')
      self.assertEmpty(engine.calls)
      complete(server, 'x' * 150, max_tokens=50)

  def test_what_the_engine_refuses(self):
    with serving(lambda p, s: ValueError('no room')) as (server, _):
      self.check(server, '/v1/completions', {'prompt': 'x'}, 400, 'no room')

  def test_second_prompt_refused_cancels_the_first(self):
    def script(prompt, seed):
      return ValueError('no room') if prompt == 'b' else b'a' * 100

    with serving(script, delay=0.1) as (server, engine):
      body = {'prompt': ['a', 'b']}
      self.check(server, '/v1/completions', body, 400, 'no room')
      self.assertLen(engine.cancelled, 1)

  def test_routes(self):
    with serving(fixed('')) as (server, _):
      self.check(server, '/v1/embeddings', {}, 404, 'no route /v1/embeddings')
      self.check(server, '/', None, 404, '/v1/chat/completions')
      self.check(server, '/health', {}, 405, 'does not take POST')
      self.check(server, '/v1/completions', None, 405, 'does not take GET')
      self.check(server, '/health', b'', 501, 'DELETE', method='DELETE')
      self.check(server, '/health?x=1' + 'y' * 70_000, None, 414, '')
      self.assertEqual(call(server, '/health'), (200, {'status': 'ok'}))
      _, models = call(server, '/v1/models')
      self.assertEqual([model['id'] for model in models['data']], ['m'])
      body = {'prompt': 'x', 'model': 'gpt'}
      error = self.check(server, '/v1/completions', body, 404, "'m'")
      self.assertEqual(error['code'], 'model_not_found')

  def test_bodies(self):
    with (
      mock.patch.object(openai_server, 'MAX_BODY', 1000),
      serving(fixed('a')) as (server, _),
    ):
      check = self.check
      check(server, '/v1/completions', b'x' * 1001, 413, 'at most 1000')
      check(server, '/v1/completions', b'x' * 3000, 413, 'at most 1000')
      for length, status in (('-1', 400), ('1_0', 400), ('9' * 30, 400)):
        headers = {'Content-Length': length}
        check(server, '/v1/completions', b'{}', status, '', headers=headers)
      headers = {'Transfer-Encoding': 'chunked'}
      check(server, '/v1/completions', b'0\r\n\r\n', 411, '', headers=headers)
      complete(server, 'x')

  def test_a_large_body_is_read_so_that_its_sender_sees_the_answer(self):
    with (
      mock.patch.object(openai_server, 'MAX_BODY', 1 << 20),
      serving(fixed('a')) as (server, _),
    ):
      body = b' ' * (4 << 20)
      self.check(server, '/v1/completions', body, 413, 'at most')

  def test_a_connection_goes_on_after_a_refusal(self):
    with serving(fixed('ok')) as (server, _):
      connection = http.client.HTTPConnection('127.0.0.1', server.server_port)
      with contextlib.closing(connection):
        for path, body, status in (
          ('/v1/nothing', '{"prompt": "x"}', 404),
          ('/v1/completions', '{"prompt": 3}', 400),
          ('/v1/completions', '{"prompt": "x"}', 200),
        ):
          connection.request('POST', path, body)
          response = connection.getresponse()
          response.read()
          self.assertEqual(response.status, status)
          self.assertFalse(response.will_close)

  def test_too_many_at_once(self):
    with serving(fixed('a' * 90), delay=0.01, max_requests=1) as (
      server,
      engine,
    ):
      thread = threading.Thread(target=complete, args=(server, 'x'))
      thread.start()
      until(lambda: engine.calls)
      error = self.check(
        server, '/v1/completions', {'prompt': 'x'}, 429, 'under way'
      )
      self.assertEqual(error['type'], 'rate_limit_error')
      thread.join()
      complete(server, 'x', max_tokens=2)


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
    with serving(fixed('a' * 150), delay=0.05) as (server, engine):
      connection = self.open(server, stream=stream, n=2)
      if stream:
        connection.recv(1000)
      else:
        until(lambda: len(engine.calls) == 2)
      if reset:
        linger = (1).to_bytes(4, sys.byteorder) + bytes(4)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
      connection.close()
      until(lambda: len(engine.cancelled) >= 2)
      self.assertEqual(call(server, '/health')[0], 200)
      complete(server, 'x', max_tokens=1)

  def test_client_gone_in_the_middle_of_its_request(self):
    with serving(fixed('a')) as (server, engine):
      with socket.create_connection(('127.0.0.1', server.server_port)) as s:
        s.sendall(
          b'POST /v1/completions HTTP/1.1\r\nContent-Length: 99\r\n\r\n'
          b'{"prompt": "x"}'  # would pass, but more was announced
        )
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(s.recv(100), b'')
      complete(server, 'x')
      self.assertLen(engine.calls, 1)

  def test_no_http_at_all(self):
    with serving(fixed('a')) as (server, _):
      with socket.create_connection(('127.0.0.1', server.server_port)) as s:
        s.sendall(b'\x16\x03\x01 what is this\r\n\r\n')
        self.assertIn(b'invalid_request_error', s.recv(4096))
      complete(server, 'x')

  def test_engine_fails(self):
    script = lambda p, s: RuntimeError('secret of the house')  # noqa: E731
    with serving(script) as (server, _), self.assertLogs(level='ERROR'):
      status, answer = call(server, '/v1/completions', {'prompt': 'x'})
      self.assertEqual(status, 500)
      self.assertEqual(answer['error']['type'], 'server_error')
      self.assertNotIn('secret', str(answer))

  def test_engine_fails_in_mid_stream(self):
    script = lambda p, s: RuntimeError('out of memory')  # noqa: E731
    with serving(script) as (server, _), self.assertLogs(level='ERROR'):
      connection = self.open(server, stream=True)
      data = b''
      while part := connection.recv(4096):
        data += part
    self.assertIn(b'"error"', data)
    self.assertNotIn(b'[DONE]', data)
    self.assertFalse(data.endswith(b'0\r\n\r\n'))  # a cut stream looks cut

  def test_stopping_tells_who_waits(self):
    with serving(fixed('a' * 150), delay=0.1) as (server, engine):
      answers = []
      thread = threading.Thread(
        target=lambda: answers.append(
          call(server, '/v1/completions', {'prompt': 'x', 'max_tokens': 99})
        )
      )
      thread.start()
      until(lambda: engine.calls)
      began = time.monotonic()
    self.assertEqual(server._handled, 0)  # nobody is left behind
    thread.join()
    self.assertLess(time.monotonic() - began, 2)
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

    with serving(script, delay=0.0005) as (server, _):
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
    with serving(fixed('ok')) as (server, _):
      (found,) = self.client(server).chat(['x'], logprobs=True, top_logprobs=2)
    self.assertEqual(
      found.samples[0].tokens[1], ('k', -0.25, {'k': -0.25, '?': -9999.0})
    )

  def test_more_than_the_server_takes_at_once(self):
    with serving(fixed('a' * 20), delay=0.001, max_requests=2) as (server, _):
      client = self.client(
        server, concurrency=6, retries=50, sleep=lambda _: time.sleep(0.01)
      )
      replies = client.complete(['x'] * 12, max_tokens=30)
    self.assertEqual({r.samples[0].text for r in replies}, {'a' * 20})

  def test_refusals_reach_the_caller(self):
    with serving(fixed('a')) as (server, _):
      client = self.client(server)
      with self.assertRaisesRegex(endpoint.RefusedError, 'must fit 200'):
        client.complete(['x' * 500])

  def test_engine_that_always_fails_is_a_failure(self):
    script = lambda p, s: RuntimeError('no')  # noqa: E731
    with serving(script) as (server, _), self.assertLogs(level='ERROR'):
      (found,) = self.client(server, retries=2).complete(['x'])
    self.assertIsInstance(found, reply.Failure)
    self.assertEqual((found.status, found.attempts), (500, 3))


class ServeTest(parameterized.TestCase):
  @parameterized.parameters(signal.SIGTERM, signal.SIGINT)
  def test_signals_end_it_cleanly_in_mid_stream(self, number):
    program = (
      'from launch import openai_run, openai_server, serve\n'
      'from tests.launch import openai_server_test as t\n'
      'backend = openai_run.Backend(tokenizer=t.ByteTokenizer(), model="m",'
      ' engine=t.Engine(t.fixed("a" * 150), delay=0.1))\n'
      'server = openai_server.make_server("127.0.0.1", 0, backend)\n'
      'print(server.server_port, flush=True)\n'
      'serve.serve(server)\n'
      'print("ended")\n'
    )
    with subprocess.Popen(
      [sys.executable, '-c', program],
      cwd=ROOT,
      env=os.environ | {'JAX_PLATFORMS': 'cpu'},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    ) as process:
      try:
        port = int(process.stdout.readline())
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
        body = {'prompt': 'x', 'max_tokens': 150, 'stream': True}
        connection.request('POST', '/v1/completions', json.dumps(body))
        response = connection.getresponse()
        response.readline()
        process.send_signal(number)
        with self.assertRaises(http.client.IncompleteRead) as raised:
          response.read()
        out, err = process.communicate(timeout=10)
      finally:
        process.kill()
    self.assertEqual(process.returncode, 0, err)
    self.assertEqual(out, 'ended\n')
    self.assertNotIn('Traceback', err)
    self.assertIn(b'the server is stopping', raised.exception.partial)

  def test_port_taken(self):
    with (
      serving(fixed('')) as (server, _),
      self.assertRaisesRegex(
        OSError, f'--port={server.server_port} cannot be served.*change --port'
      ),
    ):
      openai_server.make_server('127.0.0.1', server.server_port, server.backend)

  @parameterized.parameters(
    ('127.0.0.1', True),
    ('localhost', True),
    ('::1', True),
    ('0.0.0.0', False),
    ('', False),
    ('192.168.0.1', False),
  )
  def test_who_can_reach_it(self, host, local):
    self.assertEqual(serve.is_local(host), local)

  def test_seeds_are_31_bits(self):
    seeds = {openai_request._seed(s, i) for s in (0, -5, 2**62) for i in (0, 1)}
    self.assertLen(seeds, 6)
    self.assertBetween(min(seeds), 0, 2**31 - 1)
    self.assertLess(max(seeds), 2**31)


if __name__ == '__main__':
  absltest.main()
