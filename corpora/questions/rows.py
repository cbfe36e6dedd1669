"""Rows of files and data sets into questions: read, adapted, not repeated.

  *.jsonl        a JSON object a line; blank lines are none
  *.csv          a line of names, then rows
  TFDS           a prepared data set, its strings decoded

A row keeps where it stands, as file:line, for the error that it may be. What a
row means is said by an adapter: fields to a Question without an id, or None
where the row is left out.
"""

import csv
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from corpora import tfds_store
from corpora.questions.question import Question

Fields = dict[str, Any]
Adapter = Callable[[Fields], Question | None]


class Row(NamedTuple):
  """One row: where it stands, its number from 0, and what it holds."""

  where: str
  number: int
  fields: Fields


def read(path: str | os.PathLike) -> Iterator[Row]:
  """The rows of a file, by the end of its name.

  Raises:
    FileNotFoundError: no such file.
    ValueError: another kind of file, one that is not UTF-8, or a line that is
      no object, by its number.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise FileNotFoundError(f'expected a file of questions at {path}')
  readers = {'.jsonl': _read_jsonl, '.csv': _read_csv}
  if path.suffix not in readers:
    raise ValueError(
      f'{path}: expected a file of the kinds {", ".join(readers)}, came '
      f'{path.suffix or "none"}'
    )
  try:
    yield from readers[path.suffix](path)
  except UnicodeDecodeError as error:
    raise ValueError(f'{path}: expected UTF-8, came {error}') from error


def _read_jsonl(path):
  # Lines end with '\n' alone: JSON may hold the other ends of str.splitlines.
  with path.open(encoding='utf-8', newline='\n') as file:
    for number, line in enumerate(file):
      if not line.strip():
        continue
      where = f'{path}:{number + 1}'
      try:
        fields = json.loads(line)
      except (ValueError, RecursionError) as error:
        raise ValueError(
          f'{where}: expected a JSON object, came {line[:40].rstrip()!r} '
          f'({error})'
        ) from error
      if not isinstance(fields, dict):
        raise ValueError(
          f'{where}: expected a JSON object, came {type(fields).__name__}'
        )
      yield Row(where, number, fields)


def _read_csv(path):
  with path.open(encoding='utf-8', newline='') as file:
    reader = csv.DictReader(file, strict=True)
    try:
      for number, fields in enumerate(reader):
        where = f'{path}:{reader.line_num}'
        if None in fields or None in fields.values():
          raise ValueError(
            f'{where}: expected as many fields as the first line names, '
            f'{len(reader.fieldnames)}, came another number'
          )
        yield Row(where, number, fields)
    except csv.Error as error:
      line = reader.reader.line_num  # DictReader's own is not told of it
      raise ValueError(f'{path}:{line}: {error}') from error


def read_tfds(
  name: str, split: str, *, what: str, otherwise: str
) -> Iterator[Row]:
  """The examples of a TFDS data set that somebody has prepared.

  Args:
    name: as TFDS takes it.
    split: one of its own.
    what: how the message begins where it is not prepared.
    otherwise: how it ends, see `tfds_store.find`.

  Raises:
    FileNotFoundError: it is not prepared.
    ValueError: it has no such split.
  """
  builder = tfds_store.find(name, what, otherwise)
  if split not in builder.info.splits:
    raise ValueError(
      f'{what} must have the split {split} in TFDS, and has '
      f'{", ".join(builder.info.splits)}'
    )
  source = builder.as_data_source(split=split)
  for number in range(len(source)):
    where = f'{builder.info.full_name}[{split}] at {number}'
    yield Row(where, number, _plain(source[number]))


def _plain(value):
  """Lists, dicts and strings in place of arrays and bytes."""
  if isinstance(value, np.ndarray | np.generic):
    value = value.tolist()
  if isinstance(value, bytes):
    return value.decode('utf-8')
  if isinstance(value, dict):
    return {key: _plain(each) for key, each in value.items()}
  if isinstance(value, list | tuple):
    return [_plain(each) for each in value]
  return value


def collect(
  rows: Iterable[Row],
  adapt: Adapter,
  *,
  name: str,
  split: str,
  prefix: str = '',
) -> list[Question]:
  """Questions in the order of their rows, each once.

  A question that repeats an earlier one (passage, options and the words of the
  question, whatever their case) is left out. Ids are `<prefix>-<row number>`.

  Args:
    rows: at least one must give a question.
    adapt: fields to a question, or None.
    name: of the question set.
    split: of the question set, for `source`.
    prefix: of the ids; `name` if empty.

  Raises:
    ValueError: a row of another form; a repeated question with other answers,
      by both places; no question at all.
  """
  seen: dict[tuple, tuple[str, Question]] = {}
  for row in rows:
    try:
      found = adapt(row.fields)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
      detail = f'no {error}' if isinstance(error, KeyError) else error
      raise ValueError(
        f'{row.where}: expected a question of the form of {name}, came '
        f'{str(row.fields)[:60]!r} ({detail})'
      ) from error
    if found is None:
      continue
    words = ' '.join(found.prompt.casefold().split())
    key = (words, found.context, found.choices)
    if key in seen:
      where, first = seen[key]
      if set(first.answers) != set(found.answers):
        raise ValueError(
          f'{row.where}: expected the answers that the same question has at '
          f'{where}, {first.answers}, came {found.answers}; correct one of them'
        )
      continue
    seen[key] = (
      row.where,
      found._replace(
        id=f'{prefix or name}-{row.number}', source=f'{name}/{split}'
      ),
    )
  if not seen:
    raise ValueError(f'{name}: expected at least one question, found none')
  return [question for _, question in seen.values()]


def text(fields: Fields, key: str) -> str:
  """A field that must be a string with something in it, stripped."""
  value = fields[key]
  if not isinstance(value, str) or not value.strip():
    raise ValueError(f'{key!r} must be a text, is {value!r:.40}')
  try:
    value.encode('utf-8')
  except UnicodeEncodeError as error:
    raise ValueError(f'{key!r} holds a lone surrogate') from error
  return value.strip()


def answers(values: Iterable[str]) -> tuple[str, ...]:
  """Those with a letter or digit in them, stripped, each once, in order."""
  values = list(values)
  if not all(isinstance(value, str) for value in values):
    raise ValueError(f'answers must be texts, are {values!r:.60}')
  kept = dict.fromkeys(v.strip() for v in values if re.search(r'\w', v))
  if not kept:
    raise ValueError(f'no answer with a letter or digit among {values!r:.60}')
  return tuple(kept)
