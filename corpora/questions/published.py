"""Question sets that must be brought: a file as published, or TFDS.

  set        file as published                        TFDS
  trivia_qa  unfiltered-web-dev.json, also as .jsonl  trivia_qa/unfiltered...
  squad      dev-v1.1.json (or v2.0), also as .jsonl  squad/v1.1
  gsm8k      test.jsonl                               gsm8k
  simple_qa  simple_qa_test_set.csv

TriviaQA (Joshi et al., 2017, arXiv 1705.03551), SQuAD (Rajpurkar et al., 2016,
arXiv 1606.05250), GSM8K (Cobbe et al., 2021, arXiv 2110.14168), SimpleQA (Wei
et al., 2024, arXiv 2411.04368). A copy in the folder `$SOCRATIC_ASSETS/<set>`,
the only such file there, wins over TFDS.
"""

import json
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from corpora.questions import rows
from corpora.questions.question import Question

SUFFIXES = ('.json', '.jsonl', '.csv')
# What stands between reasoning and result in an answer of GSM8K.
_RESULT = '####'


def _trivia_qa(fields):
  """The answer that is shown, and its aliases."""
  answer = fields['answer']
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=rows.answers([answer['value'], *answer['aliases']]),
  )


def _trivia_qa_rows(data):
  """The published file has the same fields under other names."""
  for each in data['Data']:
    answer = each['Answer']
    yield {
      'question': each['Question'],
      'answer': {'value': answer['Value'], 'aliases': answer['Aliases']},
    }


def _squad(fields):
  """Spans of the passage; None where version 2.0 says that none is right."""
  if fields.get('is_impossible') or not fields['answers']['text']:
    return None
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=rows.answers(fields['answers']['text']),
    context=rows.text(fields, 'context'),
  )


def _squad_rows(data):
  """Questions stand in paragraphs, and paragraphs in articles."""
  for article in data['data']:
    for paragraph in article['paragraphs']:
      for each in paragraph['qas']:
        yield {
          'question': each['question'],
          'context': paragraph['context'],
          'answers': {'text': [answer['text'] for answer in each['answers']]},
          'is_impossible': each.get('is_impossible', False),
        }


def _gsm8k(fields):
  """The number after the reasoning."""
  _, mark, result = rows.text(fields, 'answer').rpartition(_RESULT)
  if not mark:
    raise ValueError(f"'answer' must end with {_RESULT} and a number")
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=rows.answers([result]),
  )


def _simple_qa(fields):
  return Question(
    id='',
    prompt=rows.text(fields, 'problem'),
    answers=rows.answers([fields['answer']]),
  )


class _Set(NamedTuple):
  """Of a set: its file and where that comes from, TFDS's name and split."""

  file: str
  home: str
  adapt: rows.Adapter
  tfds: str = ''
  split: str = ''
  json_rows: Callable[[Any], Iterator[dict]] | None = None


_SETS = {
  'trivia_qa': _Set(
    'unfiltered-web-dev.json',
    'https://nlp.cs.washington.edu/triviaqa',
    _trivia_qa,
    'trivia_qa/unfiltered.nocontext',
    'validation',
    _trivia_qa_rows,
  ),
  'squad': _Set(
    'dev-v1.1.json',
    'https://rajpurkar.github.io/SQuAD-explorer',
    _squad,
    'squad/v1.1',
    'validation',
    _squad_rows,
  ),
  'gsm8k': _Set(
    'test.jsonl',
    'https://github.com/openai/grade-school-math',
    _gsm8k,
    'gsm8k',
    'test',
  ),
  'simple_qa': _Set(
    'simple_qa_test_set.csv',
    'https://github.com/openai/simple-evals',
    _simple_qa,
  ),
}
NAMES = tuple(_SETS)


def load(name: str) -> list[Question]:
  """The questions of a set, from the user's own copy or from TFDS.

  Raises:
    ValueError: another name, a row of another form by its place, or a folder
      without one file of questions.
    FileNotFoundError: neither copy nor prepared data set; says how to get one.
  """
  _check(name)
  chosen = _SETS[name]
  if (path := _local(name)) is not None:
    return read(name, path)
  bring = (
    f'put {chosen.file} ({chosen.home}) in a folder {name} and set '
    'SOCRATIC_ASSETS to the folder above it'
  )
  what = f'question set {name}'
  if not chosen.tfds:
    raise FileNotFoundError(f'{what} is not here; {bring}')
  found = rows.read_tfds(
    chosen.tfds, chosen.split, what=what, otherwise=f'or {bring}'
  )
  return rows.collect(found, chosen.adapt, name=name, split=chosen.split)


def read(name: str, path: str | os.PathLike) -> list[Question]:
  """The questions of a file in a published form of the set.

  Args:
    name: one of `NAMES`.
    path: as published; or .jsonl with the fields that TFDS has.

  Raises:
    ValueError: another name or kind of file, or a row of another form.
    FileNotFoundError: no such file.
  """
  _check(name)
  chosen, path = _SETS[name], pathlib.Path(path)
  if path.suffix == '.json' and chosen.json_rows and path.is_file():
    found = _read_json(path, chosen.json_rows, name)
  else:
    found = rows.read(path)
  return rows.collect(found, chosen.adapt, name=name, split=path.stem)


def _read_json(path, json_rows, name):
  try:
    listed = list(json_rows(json.loads(path.read_text(encoding='utf-8'))))
  except (LookupError, TypeError, ValueError, RecursionError) as error:
    raise ValueError(
      f'{path}: expected the published form of {name}, {_SETS[name].file} of '
      f'{_SETS[name].home}, came another ({error!r})'
    ) from error
  for number, fields in enumerate(listed):
    yield rows.Row(f'{path} at question {number}', number, fields)


def _local(name: str) -> pathlib.Path | None:
  """The file of the user's own copy, None where there is none."""
  folder = os.environ.get('SOCRATIC_ASSETS')
  path = pathlib.Path(folder or '').expanduser() / name
  if not folder or not path.exists():
    return None
  files = sorted(file for file in path.glob('*') if file.suffix in SUFFIXES)
  if len(files) != 1:
    raise ValueError(
      f'{path}: expected one file of questions such as {_SETS[name].file}, '
      f'found {len(files)}; put it there or unset SOCRATIC_ASSETS'
    )
  return files[0]


def _check(name):
  if name not in _SETS:
    raise ValueError(
      f'question set must be one of {", ".join(NAMES)}, got {name!r}'
    )
