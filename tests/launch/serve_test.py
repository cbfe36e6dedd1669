"""The command: where it listens, and how it ends."""

import http.client
import json
import os
import signal
import subprocess
import sys

from absl.testing import absltest, parameterized

from launch import serve
from lm.serving import request
from lm.serving import server as server_lib
from tests import files
from tests.lm.serving import support


class ServeTest(parameterized.TestCase):
  @parameterized.parameters(signal.SIGTERM, signal.SIGINT)
  def test_signals_end_it_cleanly_in_mid_stream(self, number):
    program = (
      'from launch import serve\n'
      'from lm.serving import backend as b, server as s\n'
      'from tests.lm.serving import support as t\n'
      'backend = b.Backend(tokenizer=t.ByteTokenizer(), model="m",'
      ' engine=t.Engine(t.fixed("a" * 150), hold=1))\n'
      'server = s.make_server("127.0.0.1", 0, backend)\n'
      'print(server.server_port, flush=True)\n'
      'serve.serve(server)\n'
      'print("ended")\n'
    )
    with subprocess.Popen(
      [sys.executable, '-c', program],
      cwd=files.ROOT,
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
      support.serving(support.fixed('')) as (server, _),
      self.assertRaisesRegex(
        OSError, f'--port={server.server_port} cannot be served.*change --port'
      ),
    ):
      server_lib.make_server('127.0.0.1', server.server_port, server.backend)

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
    seeds = {request._seed(s, i) for s in (0, -5, 2**62) for i in (0, 1)}
    self.assertLen(seeds, 6)
    self.assertBetween(min(seeds), 0, 2**31 - 1)
    self.assertLess(max(seeds), 2**31)


if __name__ == '__main__':
  absltest.main()
