"""A user's own copy of Humanity's Last Exam; none of it is kept here.

docs/papers/hle.md sections 2 and 3. The exam is gated: whoever has agreed to
its terms has files, and names them. Messages of errors name rows and keys, and
never quote a question.
"""

import base64
import binascii
import hashlib
import json
import pathlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from absl import logging

TYPES = ('exactMatch', 'multipleChoice')
# Questions of each release, all or without pictures.
RELEASES = {
  2500: 'final',
  2158: 'final, text only',
  2700: 'preview of February 2025',
  3000: 'first, January 2025',
}
_NEEDED = ('id', 'question', 'answer', 'answer_type')
_KEPT = (*_NEEDED, 'image', 'category', 'raw_subject', 'canary')
_IMAGE = re.compile(r'data:image/[\w.+-]+;base64,(.+)', re.DOTALL)
_CANARY = re.compile(
  r'\bhle:\w{4}\W?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b',
  re.IGNORECASE,
)


class Item(NamedTuple):
  """A question; `image` is a data URI, '' where there is none."""

  id: str
  question: str
  answer: str
  answer_type: str
  image: str = ''
  category: str = ''
  subject: str = ''


class Exam(NamedTuple):
  """Items and what a results file may say of where they come from.

  Attributes:
    items: after the filters.
    rows: before them.
    release: its name, or the nearest and that it differs.
    digest: SHA-256 of all ids, sorted; of ids, never of text.
    canary: the benchmark's string as the file has it; '' where it has none.
  """

  items: list[Item]
  rows: int
  release: str
  digest: str
  canary: str


def load_hle(
  path: str | pathlib.Path,
  *,
  text_only: bool = True,
  category: str = '',
  subject: str = '',
  answer_type: str = '',
  ids: Collection[str] = (),
) -> Exam:
  """Reads a file or a folder of shards.

  Args:
    path: .parquet, .json (an array) or .jsonl, or a folder of .parquet files.
    text_only: leaves out questions with a picture.
    category: only those; all if empty.
    subject: only those; all if empty.
    answer_type: only those; all if empty.
    ids: only those, such as a list of verified ones; all if empty.

  Raises:
    FileNotFoundError: nothing is there.
    ValueError: another kind of file, a row without a key or with a wrong value,
      an id that comes twice, or filters that leave nothing.
  """
  path = pathlib.Path(path).expanduser()
  seen: dict[str, int] = {}
  items, canary = [], ''
  for number, row in enumerate(_rows(path), 1):
    where = f'{path}: row {number}'
    item = _item(row, where)
    if item.id in seen:
      raise ValueError(
        f'{where}: the id {item.id} stands in row {seen[item.id]} too'
      )
    seen[item.id] = number
    items.append(item)
    if not canary and (found := _CANARY.search(str(row.get('canary', '')))):
      canary = found[0]
  if not items:
    raise ValueError(f'{path}: expected at least one question, came none')
  wanted = [
    item
    for item in items
    if not (text_only and item.image)
    and category in ('', item.category)
    and subject in ('', item.subject)
    and answer_type in ('', item.answer_type)
    and (not ids or item.id in ids)
  ]
  if not wanted:
    raise ValueError(
      f'{path}: none of {len(items)} questions passes the filters; loosen '
      'exam.text_only, exam.category, exam.subject, exam.answer_type or '
      'exam.ids'
    )
  digest = hashlib.sha256('\n'.join(sorted(seen)).encode()).hexdigest()
  return Exam(wanted, len(items), _release(len(items)), digest, canary)


def _release(count: int) -> str:
  if count in RELEASES:
    return RELEASES[count]
  nearest = min(RELEASES, key=lambda size: abs(size - count))
  text = f'{count} questions, none of the releases; nearest is '
  text += f'{RELEASES[nearest]} with {nearest}'
  logging.warning('%s', text)
  return text


def _rows(path: pathlib.Path) -> Iterator[Mapping[str, Any]]:
  if path.is_dir():
    files = sorted(path.glob('*.parquet'))
    if not files:
      raise FileNotFoundError(f'{path}: expected .parquet files, found none')
    for file in files:
      yield from _parquet(file)
    return
  if not path.is_file():
    raise FileNotFoundError(f'expected the exam at {path}, found nothing')
  readers = {'.parquet': _parquet, '.json': _json, '.jsonl': _jsonl}
  if path.suffix not in readers:
    raise ValueError(
      f'{path}: expected {", ".join(readers)} or a folder, came '
      f'{path.suffix or "no suffix"}'
    )
  yield from readers[path.suffix](path)


def _parquet(path: pathlib.Path) -> Iterator[Mapping[str, Any]]:
  from pyarrow import lib, parquet

  try:
    file = parquet.ParquetFile(path)
    kept = [name for name in file.schema_arrow.names if name in _KEPT]
    for batch in file.iter_batches(columns=kept):
      yield from batch.to_pylist()
  except lib.ArrowException as error:
    raise ValueError(f'{path}: expected a Parquet file: {error}') from error


def _json(path: pathlib.Path) -> Iterable[Mapping[str, Any]]:
  try:
    found = json.loads(path.read_text('utf-8-sig'))
  except ValueError as error:
    raise ValueError(f'{path}: expected JSON: {_short(error)}') from None
  if not isinstance(found, list):
    raise ValueError(f'{path}: expected an array of objects')
  return found


def _jsonl(path: pathlib.Path) -> Iterator[Mapping[str, Any]]:
  with open(path, encoding='utf-8-sig') as file:
    for number, line in enumerate(file, 1):
      if not line.strip():
        continue
      try:
        yield json.loads(line)
      except ValueError as error:
        raise ValueError(
          f'{path}: line {number}: expected JSON: {_short(error)}'
        ) from None


def _short(error: Exception) -> str:
  """What json says, without the text that it quotes."""
  return str(getattr(error, 'msg', type(error).__name__))


def _item(row: Any, where: str) -> Item:
  if not isinstance(row, Mapping):
    raise ValueError(f'{where}: expected an object')
  for key in _NEEDED:
    if not isinstance(row.get(key), str) or not row[key].strip():
      raise ValueError(f'{where}: expected a text under "{key}"')
  if row['answer_type'] not in TYPES:
    raise ValueError(
      f'{where}: "answer_type" must be {" or ".join(TYPES)}, came '
      f'{row["answer_type"][:40]!r}'
    )
  image = row.get('image') or ''
  if image and not _is_image(image):
    raise ValueError(
      f'{where}: "image" must be empty or data:image/...;base64,...'
    )
  return Item(
    id=row['id'],
    question=row['question'],
    answer=row['answer'],
    answer_type=row['answer_type'],
    image=image,
    category=str(row.get('category') or ''),
    subject=str(row.get('raw_subject') or ''),
  )


def _is_image(value: Any) -> bool:
  match = _IMAGE.fullmatch(value) if isinstance(value, str) else None
  if not match:
    return False
  try:
    return bool(base64.b64decode(match[1], validate=True))
  except binascii.Error:
    return False
