"""The key: from the environment, to the server, and nowhere else."""

import logging
import os
from unittest import mock

from absl.testing import absltest

from lm.judging import endpoint
from tests.lm.judging import endpoint_support as support


class KeyTest(support.EndpointTest):
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
          handler.say(support.completion(f'you sent {key}') | {key: [key]})

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
    self.assertEqual(set(said), {f'Bearer {support.KEY}'})
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
      self.assertNotIn(support.KEY[:8], shown)

  def test_a_key_that_cannot_be_a_header_is_not_shown(self):
    server = self.serve(support.echo)
    for key in (f'{support.KEY}\nX: y', f'{support.KEY} x', f'{support.KEY}é'):
      with (
        mock.patch.dict(os.environ, {'OPENAI_API_KEY': key}),
        self.assertRaisesRegex(ValueError, 'OPENAI_API_KEY') as raised,
      ):
        self.client(server).complete(['x'])
      self.assertNotIn(support.KEY, str(raised.exception))
    self.assertEmpty(server.bodies)

  def test_white_space_around_it_is_none_of_it(self):
    server = self.serve(support.echo)
    with mock.patch.dict(os.environ, {'OPENAI_API_KEY': f' {support.KEY}\n'}):
      self.client(server).complete(['x'])
    self.assertEqual(
      server.headers[0]['Authorization'], f'Bearer {support.KEY}'
    )

  def test_none_where_none_is_set(self):
    server = self.serve(support.echo)
    client = self.client(server, api_key_env='SOCRATIC_NO_SUCH_KEY')
    client.complete(['x'])
    self.client(server, api_key_env='').complete(['x'])
    for headers in server.headers:
      self.assertNotIn('Authorization', headers)

  def test_a_word_that_is_no_secret_is_left_in_replies(self):
    server = self.serve(support.echo)
    with mock.patch.dict(os.environ, {'OPENAI_API_KEY': 'none'}):
      replies = self.client(server).complete(['none of them'])
    self.assertEqual(self.texts(replies), ['re: none of them'])

  def test_unencrypted_and_far_is_warned_of(self):
    client = endpoint.Endpoint('http://192.0.2.1:1/v1', 'm')
    with mock.patch.object(endpoint.logging, 'log_first_n') as warn:
      client._key()
    warn.assert_called_once()
    self.assertNotIn(support.KEY, str(warn.call_args))


if __name__ == '__main__':
  absltest.main()
