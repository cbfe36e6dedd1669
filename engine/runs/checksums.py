"""Sizes and checksums of the files in a folder, so that damage is named.

  <folder>/checksums.json   {"state/_METADATA": [bytes, CRC-32], ...}

Written while the folder is not yet under its final name. CRC-32 finds what
disks and copies do; it does not protect against somebody's intent.
"""

import concurrent.futures
import os
import pathlib
import zlib
from collections.abc import Collection

from engine.runs import writer

NAME = 'checksums.json'
_CHUNK = 1 << 22


def write(folder: pathlib.Path, *, skip: Collection[str] = ()) -> None:
  """Lists the files of a folder, which are on the disk afterwards.

  Args:
    folder: with files that nobody changes any more.
    skip: names of files that somebody will.

  Raises:
    FileNotFoundError: there is no such folder.
  """
  if not folder.is_dir():
    raise FileNotFoundError(f'expected the folder {folder}, found none')
  paths = sorted(
    path
    for path in folder.rglob('*')
    if path.is_file() and path.name not in (NAME, *skip)
  )
  with concurrent.futures.ThreadPoolExecutor() as pool:
    found = dict(
      zip(
        [path.relative_to(folder).as_posix() for path in paths],
        pool.map(lambda path: _measure(path, sync=True), paths),
        strict=True,
      )
    )
  writer.write_json(folder / NAME, found)


def fault(folder: pathlib.Path, *, part: int = 0, parts: int = 1) -> str:
  """What is wrong with a file of the list, in words; '' if all are as written.

  Also '' where there is no list. Files that are not listed are ignored.

  Args:
    folder: see `write`.
    part: of several processes that check a folder, which one this is.
    parts: how many they are; each looks at its share of the files.
  """
  if not (folder / NAME).exists():
    return ''
  try:
    listed = writer.read_json(folder / NAME)
  except ValueError as error:
    return str(error)
  names = sorted(listed)[part::parts]
  with concurrent.futures.ThreadPoolExecutor() as pool:
    found = pool.map(lambda name: _difference(folder, name, listed), names)
    return next(filter(None, found), '')


def _difference(folder, name, listed) -> str:
  path, (size, checksum) = folder / name, listed[name]
  if not path.is_file():
    return f'{name} is missing'
  if (there := path.stat().st_size) != size:
    return f'{name} has {there:,} bytes, and {size:,} were written'
  if _measure(path)[1] != checksum:
    return f'{name} has the right size, but its bytes are not those written'
  return ''


def _measure(path: pathlib.Path, *, sync: bool = False) -> list[int]:
  size = checksum = 0
  with open(path, 'rb', buffering=0) as file:
    if sync:
      os.fsync(file.fileno())
    while chunk := file.read(_CHUNK):
      size += len(chunk)
      checksum = zlib.crc32(chunk, checksum)
  return [size, checksum]
