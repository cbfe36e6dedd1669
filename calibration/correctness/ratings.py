r"""Ratings of answers by people, from a file that `study.ratings` names.

JSON lines or CSV, by the ending of the file's name; one rating a line:

  {"id": "q17", "label": 1, "rater": "A"}          id,label,rater
  {"id": "q17", "label": 0, "rater": "B"}          q17,1,A

`id` is the id of the question. `label` is 1 if the answer means the same as a
reference in the context of the question, else 0. `rater` may be left out if
there is only one. Section 4, B of docs/papers/uq_length_bias.md has four raters
an answer.

Shapes: N answers, R raters.
"""

import csv
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

_LABELS: Mapping[Any, int] = {0: 0, 1: 1, '0': 0, '1': 1}


class Ratings(NamedTuple):
  """Labels by rater and answer.

  Attributes:
    raters: names, sorted.
    labels: [R, N], 0 or 1, and NaN where a rater has not rated an answer.
    unknown: number of ratings whose id is that of no answer.
  """

  raters: list[str]
  labels: np.ndarray
  unknown: int

  def unanimous(self) -> np.ndarray:
    """[N]: the label that all raters of an answer give.

    NaN where they differ, or nobody has rated the answer.
    """
    known = ~np.isnan(self.labels)
    yes = np.where(known, self.labels, 1).min(0)
    no = np.where(known, self.labels, 0).max(0)
    return np.where(yes == no, yes, np.nan)

  def rated(self) -> int:
    """Number of answers with a rating."""
    return int((~np.isnan(self.labels)).any(0).sum())

  def pick(self, places: Sequence[int]) -> 'Ratings':
    """The ratings of some of the answers.

    Args:
      places: which, in [0, N).
    """
    return self._replace(labels=self.labels[:, np.asarray(places, int)])


def _rows(path: pathlib.Path) -> list[tuple[int, Mapping[str, Any]]]:
  text = path.read_text('utf-8')
  if path.suffix == '.csv':
    return list(enumerate(csv.DictReader(text.splitlines()), start=2))
  if path.suffix != '.jsonl':
    raise ValueError(f'ratings must end in .jsonl or .csv, got {path.name}')
  rows = []
  for number, line in enumerate(text.splitlines(), start=1):
    if line.strip():
      try:
        rows.append((number, json.loads(line)))
      except json.JSONDecodeError as error:
        raise ValueError(
          f'{path.name}, line {number}: expected a JSON object, got '
          f'{line[:60]!r}'
        ) from error
  return rows


def read(path: str | os.PathLike, ids: Sequence[str]) -> Ratings:
  """The ratings of the answers with these ids, in the order of the ids.

  Args:
    path: of the file.
    ids: of the answers, all different. Some may have no ratings.

  Raises:
    ValueError: a line is no rating, a rater rates an answer twice, or the file
      rates none of the answers.
  """
  path = pathlib.Path(path)
  place = {str(id_): i for i, id_ in enumerate(ids)}
  if len(place) < len(ids):
    raise ValueError(
      f'ids must differ, got {len(ids)} and {len(place)} of them'
    )
  found: dict[tuple[str, int], int] = {}
  unknown = 0
  for number, row in _rows(path):
    if not isinstance(row, Mapping) or not {'id', 'label'} <= set(row):
      raise ValueError(
        f'{path.name}, line {number}: expected id and label, got {row!r}'
      )
    label, rater = row['label'], str(row.get('rater') or 'rater')
    if not isinstance(label, int | str) or label not in _LABELS:
      raise ValueError(
        f'{path.name}, line {number}: label must be 0 or 1, got {label!r}'
      )
    if (at := place.get(str(row['id']))) is None:
      unknown += 1
      continue
    if (rater, at) in found:
      raise ValueError(
        f'{path.name}, line {number}: {rater} has rated {row["id"]} before'
      )
    found[rater, at] = _LABELS[label]
  if not found:
    raise ValueError(
      f'{path.name} rates none of the {len(ids)} answers, {unknown} others; '
      'its ids must be those of the questions, such as '
      f'{", ".join(map(str, ids[:3]))}'
    )
  raters = sorted({rater for rater, _ in found})
  labels = np.full((len(raters), len(ids)), np.nan)
  for (rater, at), label in found.items():
    labels[raters.index(rater), at] = label
  return Ratings(raters, labels, unknown)
