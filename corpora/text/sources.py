"""Where documents come from: one `open` for every kind of corpus.

  wiki_summaries            lead sections of Wikipedia, fetched by itself
  jsonl:/path/to/file       a JSON object a line: 'text', optional 'title'
  text:/path/to/folder      *.txt below the folder; the title is the file's path
  tfds:name[/config]        a prepared TFDS data set with a 'text' feature

A document is a dict with 'title' and 'text' (and what else its source has).
Sources that have no splits of their own are cut 90/5/5 by a hash of the title,
or of the text where there is none, so a document never changes sides when
others come or go. A UTF-8 byte-order mark is left out.
"""

import abc
import array
import codecs
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from corpora import splits, tfds_store
from engine import assets, progress

KINDS = 'wiki_summaries, jsonl:/path, text:/folder, tfds:name[/config]'
CHUNK = 1024


def open(
  spec: str,
  split: str,
  *,
  data_dir: str | os.PathLike | None = None,
) -> Sequence[dict[str, Any]]:
  """Random access to the documents of a split; nothing is loaded whole.

  Args:
    spec: see the head of this file.
    split: 'train', 'validation' or 'test'.
    data_dir: the cache, see `assets.cache_dir`.

  Raises:
    ValueError: unknown spec or split, a malformed document (with its file and
      line), or a corpus without documents.
    FileNotFoundError: no such file, folder or prepared data set.
  """
  if split not in splits.SPLITS:
    raise ValueError(
      f'split must be one of {", ".join(splits.SPLITS)}, got {split!r}'
    )
  kind, argument = _parse(spec)
  if kind == 'wiki_summaries':
    return _TfdsSource(_wiki_summaries(data_dir), split)
  if kind == 'tfds':
    return _TfdsSource(_tfds_builder(argument), split)
  if kind == 'text':
    return _TextSource(_text_files(argument), split)
  path = _jsonl_path(argument)
  stat = path.stat()
  offsets, labels = _jsonl_index(str(path), stat.st_size, stat.st_mtime_ns)
  chosen = labels == splits.SPLITS.index(split)
  return _JsonlSource(path, offsets[chosen])


def identity(spec: str) -> dict[str, Any]:
  """What changes when the contents of the corpus do; cheap to compute.

  Files count by absolute path, size and time of change, pinned assets by their
  hash, TFDS data sets by name and version.
  """
  kind, argument = _parse(spec)
  if kind == 'wiki_summaries':
    return {'asset': assets.identity('wiki_summaries')}
  if kind == 'tfds':
    return {'tfds': _tfds_builder(argument).info.full_name}
  if kind == 'text':
    listing = [assets.stat(path) for _, path in _text_files(argument)]
    text = json.dumps(listing).encode('utf-8', 'surrogateescape')
    return {'files': hashlib.sha256(text).hexdigest()}
  return {'file': assets.stat(_jsonl_path(argument))}


def _parse(spec: str) -> tuple[str, str]:
  kind, _, argument = spec.partition(':')
  known = kind in ('jsonl', 'text', 'tfds') and argument
  if not known and spec != 'wiki_summaries':
    raise ValueError(
      f'corpus must be one of {KINDS}, got {spec!r}; change --config.corpus'
    )
  return kind, argument


class _Source(Sequence):
  """Documents by index, slice (a list) or iteration, read in chunks."""

  @abc.abstractmethod
  def _read(self, indices: Sequence[int]) -> list[dict[str, Any]]:
    """The documents of these indices, in their order."""

  def __getitem__(self, index):
    if isinstance(index, slice):
      return self._read(range(len(self))[index])
    if not -len(self) <= index < len(self):
      raise IndexError(f'document {index} of {len(self)}')
    return self._read([index % len(self)])[0]

  def __iter__(self) -> Iterator[dict[str, Any]]:
    for begin in range(0, len(self), CHUNK):
      yield from self[begin : begin + CHUNK]


# Files of the user.


def _jsonl_path(argument: str) -> pathlib.Path:
  path = pathlib.Path(argument).expanduser().absolute()
  if not path.is_file():
    raise FileNotFoundError(
      f'corpus jsonl:{argument} must name a file, found none at {path}; '
      'change --config.corpus'
    )
  return path


def _check(document: Any, where: str) -> dict[str, Any]:
  """The document with a title; ValueError that begins with `where`."""
  if not isinstance(document, dict):
    raise ValueError(
      f"{where}: expected a JSON object with 'text', came "
      f'{type(document).__name__}'
    )
  for field, needed in (('text', True), ('title', False)):
    if field not in document and not needed:
      continue
    if not isinstance(document.get(field), str):
      came = type(document[field]).__name__ if field in document else 'none'
      raise ValueError(f'{where}: expected a string {field!r}, came {came}')
    try:
      document[field].encode('utf-8')
    except UnicodeEncodeError as error:
      raise ValueError(
        f'{where}: expected Unicode in {field!r}, came a lone surrogate at '
        f'character {error.start}'
      ) from error
  return {'title': '', **document}


def _parse_line(line: bytes, where: str) -> dict[str, Any]:
  line = line.removeprefix(codecs.BOM_UTF8)
  try:
    text = line.decode('utf-8')
  except UnicodeDecodeError as error:
    raise ValueError(
      f'{where}: expected UTF-8, came byte 0x{line[error.start]:02x} at byte '
      f'{error.start} of the line'
    ) from error
  try:
    document = json.loads(text)
  except (ValueError, RecursionError) as error:
    raise ValueError(
      f'{where}: expected a JSON object, came {text[:40].rstrip()!r} ({error})'
    ) from error
  return _check(document, where)


@functools.lru_cache(maxsize=4)
def _jsonl_index(
  path: str, size: int, mtime_ns: int
) -> tuple[np.ndarray, np.ndarray]:
  """Checks every line once: offsets int64 [n, 2] and splits uint8 [n]."""
  del mtime_ns  # part of the key: a changed file is read again
  offsets, labels = array.array('q'), array.array('B')
  begin = 0
  first, differ = None, False
  with (
    pathlib.Path(path).open('rb') as file,
    progress.Progress(f'checking {path}', size, unit='B') as bar,
  ):
    for number, line in enumerate(file, start=1):
      end = begin + len(line)
      if line.removeprefix(codecs.BOM_UTF8).strip():
        document = _parse_line(line, f'{path}:{number}')
        if document['text'].strip():
          offsets.extend((begin, end))
          field = 'title' if document['title'] else 'text'
          key = document[field]
          first = first or (field, key)
          differ |= (field, key) != first
          labels.append(splits.SPLITS.index(splits.split_of(key)))
      begin = end
      bar.update(len(line))
  if not labels:
    raise ValueError(
      f'corpus jsonl:{path} must hold at least one document with text, '
      'got none; change --config.corpus'
    )
  if len(labels) > 1 and not differ:
    field, key = first
    raise ValueError(
      f'corpus jsonl:{path} must hold documents that differ, got {len(labels)} '
      f'documents with the {field} {key[:40]!r}: the split of a document '
      f'follows from it, so {splits.SPLITS[labels[0]]} has them all and the '
      'other splits none; give each its own title, or none at all'
    )
  return (
    np.frombuffer(offsets, np.int64).reshape(-1, 2),
    np.frombuffer(labels, np.uint8),
  )


class _JsonlSource(_Source):
  """Lines of a file, parsed when asked for."""

  def __init__(self, path: pathlib.Path, offsets: np.ndarray):
    self._path, self._offsets = path, offsets

  def __len__(self) -> int:
    return len(self._offsets)

  @functools.cached_property
  def _bytes(self) -> np.ndarray:
    return np.memmap(self._path, np.uint8, 'r')

  def __getstate__(self):
    state = dict(self.__dict__)
    state.pop('_bytes', None)  # mapped anew in another process
    return state

  def _read(self, indices):
    return [
      _parse_line(
        self._bytes[begin:end].tobytes(), f'{self._path} at byte {begin}'
      )
      for begin, end in self._offsets[list(indices)].tolist()
    ]


def _text_files(argument: str) -> list[tuple[str, pathlib.Path]]:
  folder = pathlib.Path(argument).expanduser().absolute()
  if not folder.is_dir():
    raise FileNotFoundError(
      f'corpus text:{argument} must name a folder, found none at {folder}; '
      'change --config.corpus'
    )
  files = sorted(
    (path.relative_to(folder).as_posix(), path)
    for path in folder.rglob('*.txt')
    if path.is_file() and path.stat().st_size
  )
  if not files:
    raise ValueError(
      f'corpus text:{argument} must hold at least one *.txt with text, '
      'got none; change --config.corpus'
    )
  return files


class _TextSource(_Source):
  """Files, read when asked for."""

  def __init__(self, files: list[tuple[str, pathlib.Path]], split: str):
    self._files = [item for item in files if splits.split_of(item[0]) == split]

  def __len__(self) -> int:
    return len(self._files)

  def _read(self, indices):
    return [_text_file(*self._files[index]) for index in indices]


def _text_file(title: str, path: pathlib.Path) -> dict[str, Any]:
  try:
    # Without the mark that some editors write before the first byte.
    text = path.read_bytes().removeprefix(codecs.BOM_UTF8).decode('utf-8')
  except UnicodeDecodeError as error:
    raise ValueError(
      f'{path}: expected UTF-8, came byte 0x{error.object[error.start]:02x} '
      f'at byte {error.start}'
    ) from error
  return {'title': title, 'text': text}


# Data sets of TFDS, imported when asked for: the import takes a second.


def _wiki_summaries(data_dir):
  from corpora.text.wiki_summaries import wiki_summaries_dataset_builder as wiki

  root = assets.cache_dir(data_dir)
  folder = root / 'tfds' / str(assets.identity('wiki_summaries'))[:16]
  folder.mkdir(parents=True, exist_ok=True)
  builder = wiki.Builder(
    data_dir=str(folder),
    assets_dir=str(root),
    file_format='array_record',
  )
  tfds_store.prepare(builder, folder)
  return builder


def _tfds_builder(name: str):
  what = f'corpus tfds:{name}'
  builder = tfds_store.find(name, what, 'or set TFDS_DATA_DIR')
  if 'text' not in builder.info.features:
    raise ValueError(
      f"{what} must have a feature 'text', got "
      f'{", ".join(builder.info.features)}; change --config.corpus'
    )
  return builder


class _TfdsSource(_Source):
  """Examples of a TFDS data set with their strings decoded.

  A data set that lacks one of the three splits is cut 90/5/5 by a hash of name
  and index of the examples of its 'train'.
  """

  def __init__(self, builder, split: str):
    self._indices = None
    name = builder.info.full_name
    if all(s in builder.info.splits for s in splits.SPLITS):
      self._source = builder.as_data_source(split=split)
    else:
      self._source = builder.as_data_source(split='train')
      self._indices = np.array(
        [
          i
          for i in range(len(self._source))
          if splits.split_of(f'{name}/{i}') == split
        ],
        np.int64,
      )

  def __len__(self) -> int:
    return len(self._source if self._indices is None else self._indices)

  def _read(self, indices):
    indices = list(indices)
    if self._indices is not None:
      indices = self._indices[indices].tolist()
    examples = self._source.__getitems__(indices)
    return [{'title': '', **_strings(example)} for example in examples]


def _strings(example: dict[str, Any]) -> dict[str, Any]:
  return {
    key: value.decode('utf-8') if isinstance(value, bytes) else value
    for key, value in example.items()
  }
