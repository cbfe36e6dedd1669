"""The folder of compiled programs stays within its limit."""

import os
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest

from tests import program_cache


class TrimTest(absltest.TestCase):
  def test_removes_what_was_read_longest_ago_down_to_half(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.enter_context(
      mock.patch.dict(os.environ, {'JAX_COMPILATION_CACHE_DIR': folder})
    )
    for name, read in (('b', 30), ('a', 10), ('d', 40), ('c', 20)):
      path = pathlib.Path(folder) / name
      path.write_bytes(bytes(10))
      os.utime(path, (read, 50 - read))
    program_cache.trim(40)
    self.assertLen(os.listdir(folder), 4)
    program_cache.trim(39)
    # 19 bytes may stay: one program.
    self.assertEqual(os.listdir(folder), ['d'])

  def test_no_folder_yet(self):
    missing = {'JAX_COMPILATION_CACHE_DIR': 'no/such/folder'}
    with mock.patch.dict(os.environ, missing):
      program_cache.trim(0)


if __name__ == '__main__':
  absltest.main()
