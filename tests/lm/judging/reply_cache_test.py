"""Replies that are kept: asked once, whole, and never a failure."""

import dataclasses
import json
from unittest import mock

from absl.testing import absltest, parameterized

from tests.lm.judging import endpoint_support as support


class CacheTest(support.EndpointTest):
  def setUp(self):
    super().setUp()
    self.server = self.serve(support.echo)

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


if __name__ == '__main__':
  absltest.main()
