"""A user's own summaries, judged: a JSON object a line.

  {"question": "...", "answers": ["...", ...], "summary": "..."}

The first half of the answers are gaps, the second is what the judge is told, as
in the paper's release. Without `answers` those of the recording are taken.
"""

import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from calibration.selfreflect import masking, metric
from engine import progress as progress_lib
from engine import stop

_PREFIX = 'jsonl:'


class Line(NamedTuple):
  """A summary, and the answers that it shall say."""

  question: str
  answers: tuple[str, ...]
  summary: str


def path_of(spec: str) -> pathlib.Path:
  """The file that `summaries` names.

  Raises:
    ValueError: another form.
    FileNotFoundError: no such file.
  """
  if not spec.startswith(_PREFIX):
    raise ValueError(f'summaries must be jsonl:/path, got {spec!r}')
  path = pathlib.Path(spec.removeprefix(_PREFIX)).expanduser()
  if not path.is_file():
    raise FileNotFoundError(f'summaries={spec} must be a file, found none')
  return path


def read(
  path: pathlib.Path, recorded: Callable[[], Mapping[str, Sequence[str]]]
) -> list[Line]:
  """All lines, checked before a judge is opened.

  Args:
    path: of the file.
    recorded: answers by question; asked for if a line has none.

  Raises:
    ValueError: a line of another form, a question that nobody answered, or
      fewer than two answers that are not empty; with the line's number.
  """
  known: Mapping[str, Sequence[str]] | None = None
  out = []
  with open(path, encoding='utf-8-sig') as file:
    for number, text in enumerate(file, 1):
      if not text.strip():
        continue
      where = f'{path}:{number}'
      found = _object(text, where)
      if 'answers' not in found:
        known = recorded() if known is None else known
        if found['question'] not in known:
          raise ValueError(
            f'{where}: the question {found["question"][:60]!r} is not in the '
            'recording; add its "answers"'
          )
        found['answers'] = known[found['question']]
      answers = tuple(text for text in found['answers'] if text.strip())
      if len(answers) < 2:
        raise ValueError(
          f'{where}: expected two answers at least that are not empty, one '
          f'with gaps and one for the judge; came {len(answers)}'
        )
      out.append(Line(found['question'], answers, found['summary']))
  if not out:
    raise ValueError(f'{path}: expected a summary a line, came none')
  return out


def _object(text: str, where: str) -> dict[str, Any]:
  try:
    found = json.loads(text)
  except ValueError as error:
    raise ValueError(f'{where}: expected JSON: {error}') from error
  texts = isinstance(found, dict) and all(
    isinstance(found.get(key), str) for key in ('question', 'summary')
  )
  answers = found.get('answers', []) if texts else None
  if not isinstance(answers, list) or not all(
    isinstance(answer, str) for answer in answers
  ):
    raise ValueError(
      f'{where}: expected an object with the texts "question" and "summary" '
      f'and a list of texts "answers", came {text.strip()[:80]}'
    )
  return found


def score(judge: metric.Judge, lines: Sequence[Line]) -> dict[str, np.ndarray]:
  """Scores of all summaries by distance, [lines]; NaN without a gap."""
  rows = []
  with progress_lib.Progress('judging', len(lines), unit='summaries') as bar:
    for line in lines:
      stop.check()
      half = len(line.answers) // 2
      tasks = masking.tasks(line.answers[:half], masking.stop_words())
      found = judge(line.question, [line.summary], tasks, line.answers[half:])
      rows.append({name: found.of(name)[0] for name in found.distances})
      bar.update(1)
  return {name: np.array([row[name] for row in rows]) for name in rows[0]}
