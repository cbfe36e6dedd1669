"""What a client may not ask, and what it is told."""

import contextlib
import http.client
import threading
from unittest import mock

from absl.testing import absltest, parameterized

from lm.serving import server as server_lib
from tests.lm.serving import support


class RefusalsTest(parameterized.TestCase):
  def check(self, server, path, body, status, message, **options):
    got, answer = support.call(server, path, body, **options)
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
    with support.serving(support.fixed('')) as (server, engine):
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
    with support.serving(support.fixed('')) as (server, engine):
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
    with support.serving(support.fixed('')) as (server, engine):
      good = {'messages': [{'role': 'user', 'content': 'x'}]}
      self.check(server, '/v1/chat/completions', good | fields, 400, '')
      self.assertEmpty(engine.calls)

  def test_neutral_and_idle_fields_pass(self):
    with support.serving(support.fixed('a')) as (server, _):
      support.complete(
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
    with support.serving(support.fixed('')) as (server, _):
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
    with support.serving(support.fixed('')) as (server, engine):
      for body in (
        {'prompt': 'x' * support.SIZE},
        {'prompt': 'x' * 150, 'max_tokens': 51},
        {'prompt': ['x', 'x' * 5000]},
      ):
        error = self.check(server, '/v1/completions', body, 400, 'must fit 200')
        self.assertEqual(error['code'], 'context_length_exceeded')
      self.assertEmpty(engine.calls)
      support.complete(server, 'x' * 150, max_tokens=50)

  def test_what_the_engine_refuses(self):
    with support.serving(lambda p, s: ValueError('no room')) as (server, _):
      self.check(server, '/v1/completions', {'prompt': 'x'}, 400, 'no room')

  def test_second_prompt_refused_cancels_the_first(self):
    def script(prompt, seed):
      return ValueError('no room') if prompt == 'b' else b'a' * 100

    with support.serving(script, hold=0) as (server, engine):
      body = {'prompt': ['a', 'b']}
      self.check(server, '/v1/completions', body, 400, 'no room')
      self.assertLen(engine.cancelled, 1)

  def test_routes(self):
    with support.serving(support.fixed('')) as (server, _):
      self.check(server, '/v1/embeddings', {}, 404, 'no route /v1/embeddings')
      self.check(server, '/', None, 404, '/v1/chat/completions')
      self.check(server, '/health', {}, 405, 'does not take POST')
      self.check(server, '/v1/completions', None, 405, 'does not take GET')
      self.check(server, '/health', b'', 501, 'DELETE', method='DELETE')
      self.check(server, '/health?x=1' + 'y' * 70_000, None, 414, '')
      self.assertEqual(support.call(server, '/health'), (200, {'status': 'ok'}))
      _, models = support.call(server, '/v1/models')
      self.assertEqual([model['id'] for model in models['data']], ['m'])
      body = {'prompt': 'x', 'model': 'gpt'}
      error = self.check(server, '/v1/completions', body, 404, "'m'")
      self.assertEqual(error['code'], 'model_not_found')

  def test_bodies(self):
    with (
      mock.patch.object(server_lib, 'MAX_BODY', 1000),
      support.serving(support.fixed('a')) as (server, _),
    ):
      check = self.check
      check(server, '/v1/completions', b'x' * 1001, 413, 'at most 1000')
      check(server, '/v1/completions', b'x' * 3000, 413, 'at most 1000')
      for length, status in (('-1', 400), ('1_0', 400), ('9' * 30, 400)):
        headers = {'Content-Length': length}
        check(server, '/v1/completions', b'{}', status, '', headers=headers)
      headers = {'Transfer-Encoding': 'chunked'}
      check(server, '/v1/completions', b'0\r\n\r\n', 411, '', headers=headers)
      support.complete(server, 'x')

  def test_a_large_body_is_read_so_that_its_sender_sees_the_answer(self):
    with (
      mock.patch.object(server_lib, 'MAX_BODY', 1 << 20),
      support.serving(support.fixed('a')) as (server, _),
    ):
      body = b' ' * (4 << 20)
      self.check(server, '/v1/completions', body, 413, 'at most')

  def test_a_connection_goes_on_after_a_refusal(self):
    with support.serving(support.fixed('ok')) as (server, _):
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
    with support.serving(support.fixed('a'), hold=0, max_requests=1) as (
      server,
      engine,
    ):
      thread = threading.Thread(target=support.complete, args=(server, 'x'))
      thread.start()
      support.until(lambda: engine.calls)
      error = self.check(
        server, '/v1/completions', {'prompt': 'x'}, 429, 'under way'
      )
      self.assertEqual(error['type'], 'rate_limit_error')
      engine.release()
      thread.join()
      support.complete(server, 'x')

  @parameterized.parameters(False, True)
  def test_who_has_an_answer_finds_its_slot_free(self, stream):
    taken = []
    real = server_lib.Handler

    class Handler(real):
      def _send(self, status, value):
        taken.append((status, self.server._drawn))
        real._send(self, status, value)

      def _send_event(self, text):
        taken.append((text, self.server._drawn))
        real._send_event(self, text)

    with (
      mock.patch.object(server_lib, 'Handler', Handler),
      support.serving(support.fixed('a')) as (server, _),
    ):
      if stream:
        support.stream(server, '/v1/completions', prompt='x')
        self.assertEqual(taken[0][1], 1)
      else:
        support.complete(server, 'x')
    self.assertEqual(taken[-1], ('[DONE]' if stream else 200, 0))


if __name__ == '__main__':
  absltest.main()
