"""Recorded activations on disk: a folder a task, a file every few questions.

  <folder>/manifest.json         what was recorded, and how
  <folder>/<task>/<number>.npz   some questions: labels, texts, and each site

Every file is written whole or not at all, so what is there is right, and a
recording goes on where it stopped. bfloat16, which numpy does not know, lies
as uint16. Reading a site reads nothing of the others. No pickle.

Shapes: N samples, D width.
"""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import ml_dtypes
import numpy as np

from engine.runs import recording, writer

SUFFIX = '.npz'


class Answers(NamedTuple):
  """What a model said to the questions of one task.

  Attributes:
    ids: of the questions, [N] strings.
    groups: what each is about; a group must not be split.
    prompts: the questions, without examples.
    answers: the model's.
    labels: 1 where right, float32.
    tokens: how many the answer has.
    grader: by which it was graded, a key of `corpora.grading.GRADERS` or
      'likeliest_option'.
  """

  ids: np.ndarray
  groups: np.ndarray
  prompts: np.ndarray
  answers: np.ndarray
  labels: np.ndarray
  tokens: np.ndarray
  grader: np.ndarray


def shard(folder: pathlib.Path, task: str, number: int) -> pathlib.Path:
  """The file that holds that batch of questions."""
  return recording.path(folder, task, number, SUFFIX)


def write(
  path: pathlib.Path,
  answers: Answers,
  sites: Mapping[str, np.ndarray],
) -> None:
  """Writes one shard, whole or not at all.

  Args:
    path: see `shard`.
    answers: to the questions of the shard.
    sites: activations [N, D] by the name of the site, float32 or bfloat16.
  """
  arrays = dict(answers._asdict())
  for name, value in sites.items():
    if value.dtype == ml_dtypes.bfloat16:
      value, name = value.view(np.uint16), f'{name}:bfloat16'
    arrays[f'site/{name}'] = value
  with writer.replace(path) as temporary:
    np.savez(temporary, allow_pickle=False, **arrays)


def _shards(folder, task):
  return recording.paths(folder, task, SUFFIX)


def answers(folder: pathlib.Path, task: str) -> Answers:
  """All questions of a task, in the order they were asked in.

  Raises:
    FileNotFoundError: nothing of that task was recorded.
  """
  parts = []
  for path in _shards(folder, task):
    with np.load(path, allow_pickle=False) as file:
      parts.append(Answers(*(file[name] for name in Answers._fields)))
  return Answers(*map(np.concatenate, zip(*parts, strict=True)))


def sites(folder: pathlib.Path, task: str) -> list[str]:
  """Names of the sites that were recorded.

  Raises:
    FileNotFoundError: nothing of that task was recorded.
  """
  with np.load(_shards(folder, task)[0], allow_pickle=False) as file:
    names = [name.partition('/')[2] for name in file.files if '/' in name]
  return [name.partition(':')[0] for name in names]


def activations(folder: pathlib.Path, task: str, site: str) -> np.ndarray:
  """One site, float32 [N, D], in the order of `answers`.

  Raises:
    FileNotFoundError: nothing of that task was recorded.
    KeyError: the site was not; names those that were.
  """
  parts = []
  for path in _shards(folder, task):
    with np.load(path, allow_pickle=False) as file:
      if f'site/{site}' in file:
        parts.append(file[f'site/{site}'].astype(np.float32))
      elif f'site/{site}:bfloat16' in file:
        stored = file[f'site/{site}:bfloat16']
        parts.append(stored.view(ml_dtypes.bfloat16).astype(np.float32))
      else:
        there = ', '.join(sites(folder, task))
        raise KeyError(f'{path} has no site {site}, but {there}')
  return np.concatenate(parts)
