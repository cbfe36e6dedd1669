"""A line now and then where there is no terminal."""

import io
import sys
import time
from unittest import mock

from absl.testing import absltest

from engine import progress


class ProgressTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.now = 100.0
    self.enter_context(mock.patch.object(time, 'monotonic', lambda: self.now))

  def _run(self, seconds, **kwargs):
    with progress.Progress('reading', 40, unit='lines', **kwargs) as bar:
      for _ in range(4):
        self.now += seconds
        bar.update(10)

  def test_a_log_has_a_line_a_minute(self):
    with (
      mock.patch.object(sys, 'stderr', io.StringIO()),
      self.assertLogs('absl', 'INFO') as logs,
    ):
      self._run(30)  # two minutes
    self.assertEqual(
      [record.getMessage() for record in logs.records],
      [
        'reading: 20 of 40 lines, 0 a second',
        'reading: 40 of 40 lines, 0 a second',
      ],
    )

  def test_nothing_when_not_wanted(self):
    with self.assertNoLogs('absl', 'INFO'):
      self._run(300, enabled=False)

  def test_a_terminal_has_a_bar(self):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    with mock.patch.object(sys, 'stderr', terminal):
      self._run(1)
    self.assertIn('reading', terminal.getvalue())


if __name__ == '__main__':
  absltest.main()
