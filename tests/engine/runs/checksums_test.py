"""Damage in a folder is found, by file, and by one process of many."""

import pathlib
import tempfile
import zlib

from absl.testing import absltest

from engine.runs import checksums, writer


class ChecksumsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    made = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(made)
    (self.folder / 'sub').mkdir()
    for name in ('a', 'sub/b', 'sub/c', 'late'):
      (self.folder / name).write_bytes(f'bytes of {name}'.encode() * 3)
    checksums.write(self.folder, skip=('late',))

  def faults(self, parts):
    return [
      checksums.fault(self.folder, part=part, parts=parts)
      for part in range(parts)
    ]

  def test_lists_sizes_and_checksums(self):
    data = b'bytes of a' * 3
    listed = writer.read_json(self.folder / checksums.NAME)
    self.assertEqual(list(listed), ['a', 'sub/b', 'sub/c'])
    self.assertEqual(listed['a'], [30, zlib.crc32(data)])

  def test_what_is_as_written_has_no_fault(self):
    (self.folder / 'late').write_bytes(b'changed')
    (self.folder / 'new').touch()
    self.assertEqual(self.faults(1), [''])

  def test_every_kind_of_damage_is_seen_by_one_process_of_many(self):
    path = self.folder / 'sub' / 'b'
    whole = path.read_bytes()
    for data, said in (
      (b'', 'sub/b has 0 bytes, and 42 were written'),
      (whole[:-1], 'sub/b has 41 bytes'),
      (whole.replace(b'o', b'O'), 'sub/b has the right size, but'),
      (None, 'sub/b is missing'),
    ):
      path.unlink() if data is None else path.write_bytes(data)
      for parts in (1, 2, 5):
        found = list(filter(None, self.faults(parts)))
        self.assertLen(found, 1)
        self.assertIn(said, found[0])

  def test_a_damaged_list_is_a_fault_and_a_missing_one_is_none(self):
    path = self.folder / checksums.NAME
    path.write_bytes(b'')
    self.assertIn('checksums.json', self.faults(1)[0])
    path.unlink()
    self.assertEqual(self.faults(1), [''])


if __name__ == '__main__':
  absltest.main()
