"""One process in a folder, and none that is dead."""

import os
import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest

from engine.runs import lock
from tests import files

_HOLDER = """
import pathlib, sys, time
from engine.runs import lock
with lock.hold(pathlib.Path(sys.argv[1])):
  print('held', flush=True)
  time.sleep(60)
"""


class LockTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    made = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(made)

  def test_a_second_one_is_told_the_folder_and_the_process(self):
    with (
      lock.hold(self.folder),
      self.assertRaisesRegex(
        BlockingIOError, f'{self.folder} is in use by process {os.getpid()};'
      ),
      lock.hold(self.folder),
    ):
      self.fail('two in one folder')
    with lock.hold(self.folder):
      pass

  def test_an_error_frees_the_folder(self):
    with self.assertRaises(KeyError), lock.hold(self.folder):
      raise KeyError
    with lock.hold(self.folder):
      pass

  def test_the_lock_of_a_killed_process_is_void(self):
    process = subprocess.Popen(
      [sys.executable, '-c', _HOLDER, str(self.folder)],
      cwd=files.ROOT,
      stdout=subprocess.PIPE,
      text=True,
    )
    try:
      self.assertEqual(process.stdout.readline(), 'held\n')
      with (
        self.assertRaisesRegex(BlockingIOError, f'process {process.pid};'),
        lock.hold(self.folder),
      ):
        self.fail('two in one folder')
    finally:
      process.kill()
      process.communicate()
    self.assertTrue((self.folder / '.lock.pid').exists())  # it left both files
    with lock.hold(self.folder):
      self.assertEqual(
        (self.folder / '.lock.pid').read_text(), str(os.getpid())
      )


if __name__ == '__main__':
  absltest.main()
