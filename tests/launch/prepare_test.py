"""The command: a table, one line for bad input, two at a time."""

import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest

from tests import files
from tests.launch import command


class PrepareCommandTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    self.docs = self.root / 'docs.jsonl'
    self.docs.write_text(
      ''.join(f'{{"text": "document {i}"}}\n' for i in range(200))
    )

  def _start(self, *flags):
    command = [sys.executable, '-m', 'launch.prepare', *flags]
    command += [f'--data_dir={self.root}/data']
    return subprocess.Popen(
      command,
      cwd=files.ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )

  def test_two_at_a_time_print_the_same_table(self):
    flags = (f'--corpus=jsonl:{self.docs}', '--vocab_size=300', '--context=32')
    both = [self._start(*flags) for _ in range(2)]
    outs = [process.communicate() for process in both]
    self.assertEqual([process.returncode for process in both], [0, 0], outs)
    self.assertEqual(outs[0][0], outs[1][0])
    vocabulary, header, *rows = outs[0][0].splitlines()
    self.assertRegex(vocabulary, r'^vocabulary +\d+$')
    self.assertEqual(
      header.split(),
      ['split', 'documents', 'tokens', 'bytes', 'records', 'full', 'folder'],
    )
    self.assertEqual(
      [row.split()[0] for row in rows], ['train', 'validation', 'test']
    )
    self.assertEqual(sum(int(row.split()[1]) for row in rows), 200)

  def test_bad_input_ends_in_one_line_and_two(self):
    self.docs.write_text('{"text": "a"}\n{"txt": "b"}\n')
    cases = {
      (
        f'--corpus=jsonl:{self.docs}',
      ): "docs.jsonl:2: expected a string 'text'",
      ('--corpus=jsonl:/no/such',): 'must name a file',
      ('--vocab_size=many',): 'vocab_size',
      ('--corpsu=a',): 'Did you mean: corpus',
      ('wiki_summaries',): 'write --corpus=wiki_summaries',
    }
    for flags, message in cases.items():
      with self.subTest(flags):
        done = command.here('prepare', *flags, f'--data_dir={self.root}/data')
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stdout, '')
        self.assertLen(done.stderr.splitlines(), 1)
        self.assertIn(message, done.stderr)


if __name__ == '__main__':
  absltest.main()
