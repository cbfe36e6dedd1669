"""Rows are written once, by whichever process has them."""

import dataclasses
import json
import os
import pathlib
import signal
import tempfile
from typing import ClassVar
from unittest import mock

from absl.testing import absltest, parameterized

from engine import mesh as mesh_lib
from engine import stop
from engine.runs import recording, writer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lines(recording.Recording):
  """Rows are the numbers of questions, a line each."""

  HOME: ClassVar[str] = 'lines'
  SUFFIX: ClassVar[str] = '.txt'
  VERSION: ClassVar[int] = 3
  FREE: ClassVar[tuple[str, ...]] = (*recording.Recording.FREE, 'names')

  names: tuple[str, ...] = ('a', 'b', 'c')
  file: int = 2
  batch: int = 1

  def groups(self):
    return self.names


def write(lines):
  def one(shard, path):
    rows = range(100)[lines.rows(shard)]
    with writer.replace(path) as temporary:
      temporary.write_text(''.join(f'{row}\n' for row in rows))

  return one


class Case(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.lines = Lines(model='m', questions=5, folder=str(self.folder / 'x'))

  def fill(self, lines, shards=None):
    shards = lines.missing() if shards is None else shards
    lines.fill(shards, write(lines), unit='rows', enabled=False)

  def read(self, lines, group):
    found = recording.paths(lines.at(), group, lines.SUFFIX)
    return ' '.join(path.read_text() for path in found).split()


class FillTest(Case):
  def test_every_row_once_in_order(self):
    self.assertEqual(
      self.lines.missing(),
      [(group, number) for group in 'abc' for number in range(3)],
    )
    self.fill(self.lines, self.lines.missing()[::-1])
    for group in 'abc':
      self.assertEqual(self.read(self.lines, group), [*'01234'])
    self.assertEqual(self.lines.missing(), [])

  def test_only_what_is_missing_is_written(self):
    self.fill(self.lines)
    file = recording.path(self.lines.at(), 'b', 1, '.txt')
    file.unlink()
    self.assertEqual(self.lines.missing(), [('b', 1)])
    before = {
      path: path.stat().st_mtime_ns for path in self.lines.at().rglob('*.txt')
    }
    self.fill(self.lines)
    self.assertEqual(file.read_text(), '2\n3\n')
    for path, time in before.items():
      self.assertEqual(path.stat().st_mtime_ns, time)

  def test_a_shard_says_where_it_was_made(self):
    self.fill(self.lines, [recording.Shard('a', 2)])
    beside = json.loads((self.lines.at() / 'a' / '00002.json').read_text())
    self.assertEqual({*beside}, {'machine', 'versions', 'seconds'})
    # It is no shard.
    self.assertLen(recording.paths(self.lines.at(), 'a', '.txt'), 1)

  @parameterized.parameters(1, 2, 3, 5)
  def test_processes_share_the_groups(self, processes):
    shares = [
      self.lines.missing(process, processes) for process in range(processes)
    ]
    together = [shard for share in shares for shard in share]
    self.assertCountEqual(together, self.lines.missing())
    self.assertLen({*together}, 9)
    for one in shares:
      for other in shares:
        if one is not other:
          self.assertEmpty({s.group for s in one} & {s.group for s in other})

  def test_a_group_that_was_not_recorded_is_named(self):
    with self.assertRaisesRegex(FileNotFoundError, 'a recording of d, but has'):
      recording.paths(self.lines.at(), 'd', '.txt')


class StopTest(Case):
  def test_between_two_shards_and_it_goes_on_with_the_next(self):
    def asked(shard, path):
      write(self.lines)(shard, path)
      if shard == ('a', 1):
        os.kill(os.getpid(), signal.SIGTERM)

    with stop.deferred(), self.assertRaises(stop.Interrupted):
      self.lines.fill(self.lines.missing(), asked, unit='rows', enabled=False)
    self.assertEqual(self.lines.missing()[0], ('a', 2))
    self.fill(self.lines)
    self.assertEqual(self.read(self.lines, 'a'), [*'01234'])


class GatherTest(Case):
  def test_a_mesh_of_one_device_and_only_if_something_is_missing(self):
    seen = []

    def record(process, processes):
      seen.append((process, processes, mesh_lib.current().size))
      self.fill(self.lines)

    self.lines.gather(record)
    self.lines.gather(record)
    self.assertEqual(seen, [(0, 1, 1)])

  def test_a_process_whose_share_is_there_opens_nothing(self):
    self.fill(self.lines, self.lines.missing(0, 2))
    sync = mock.Mock()
    with (
      mock.patch.object(recording.jax, 'process_count', return_value=2),
      mock.patch('jax.experimental.multihost_utils.sync_global_devices', sync),
    ):
      self.lines.gather(mock.Mock(side_effect=AssertionError))
    # But it waits for the other.
    sync.assert_called_once()


class IdentityTest(Case):
  def test_what_is_free_may_change_and_groups_may_be_added(self):
    self.fill(self.lines)
    more = dataclasses.replace(self.lines, batch=9, names=('a', 'd'))
    self.assertEqual(more.missing(), [('d', number) for number in range(3)])
    self.fill(more)
    self.assertEqual(self.read(more, 'd'), [*'01234'])

  @parameterized.parameters(
    (dict(seed=1), 'seed: 0 there, 1 asked'),
    (dict(model='n'), 'model: m there, n asked'),
    (dict(file=3, questions=6), 'file: 2 there, 3 asked; questions: 5 there'),
  )
  def test_another_recording_is_refused_by_the_field(self, changes, what):
    self.fill(self.lines)
    other = dataclasses.replace(self.lines, **changes)
    with self.assertRaisesRegex(ValueError, what):
      other.gather(mock.Mock(side_effect=AssertionError))
    with self.assertRaisesRegex(ValueError, what):
      self.fill(other)

  def test_without_a_folder_the_name_is_made_of_what_is_asked(self):
    names = {
      dataclasses.replace(self.lines, folder='', **changes).at()
      for changes in ({}, {'batch': 7}, {'names': ('z',)}, {'seed': 3})
    }
    self.assertLen(names, 2)
    self.assertEqual({path.parent.name for path in names}, {'lines'})

  @parameterized.parameters(
    (dict(questions=0), 'record.questions must be positive, got 0'),
    (dict(file=-1), 'record.file must be positive, got -1'),
    (dict(batch=0), 'record.batch must be positive, got 0'),
    (
      dict(compute='float16'),
      'record.compute must be float32 or bfloat16 or int8, got',
    ),
  )
  def test_what_does_not_fit_is_said_first(self, changes, what):
    with self.assertRaisesRegex(ValueError, what):
      dataclasses.replace(self.lines, **changes)


if __name__ == '__main__':
  absltest.main()
