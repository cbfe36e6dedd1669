"""Recorded generations: a model is asked once, what it said is scored often.

  <folder>/manifest.json                  what was asked of which model, and how
  <folder>/<set>-<style>/00000.array_record   some questions, one a record

A file is written whole or not at all, so an interrupted recording loses at most
the batch that it was in. A record holds one question with all that was said to
it, as an npz archive without pickles: texts as UTF-8 JSON, tokens and
log-probabilities as arrays, the samples one behind the other.

Shapes: S samples, T tokens of all samples, L tokens of the greedy answer, D
width, C candidates.
"""

import io
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import ml_dtypes
import numpy as np
from array_record.python import array_record_module

from corpora.questions.question import Question
from engine.runs import recording, writer

# The version of what a record holds, and the end of a file's name.
VERSION = 1
SUFFIX = '.array_record'


class Said(NamedTuple):
  """One question and all that a model said to it.

  Attributes:
    question: as it was asked.
    group: what it is about; questions of a group belong together.
    prompt: the whole text that the model read.
    samples: texts, up to the end of the line.
    tokens: int32 [T], of all samples; the one that ended a sample included.
    logprobs: float32 [T], nats, the model's own at temperature 1.
    lengths: int32 [S], tokens of each.
    ended: bool [S], whether the last of them ended it; else it was cut.
    greedy: the most probable text.
    greedy_tokens: int32 [L].
    greedy_logprobs: float32 [L].
    greedy_entropies: float32 [L], of the next-token distributions, nats.
    greedy_ended: whether the last of them ended it.
    prompt_hidden: float32 [D], the last layer at the last token of the prompt.
    answer_hidden: float32 [D], the middle layer at the greedy answer's last.
    candidates: answers whose likelihood was computed; none where open.
    candidate_logprobs: float32 [C], nats, that an answer begins with the
      candidate and with no longer one.
  """

  question: Question
  group: str
  prompt: str
  samples: tuple[str, ...]
  tokens: np.ndarray
  logprobs: np.ndarray
  lengths: np.ndarray
  ended: np.ndarray
  greedy: str
  greedy_tokens: np.ndarray
  greedy_logprobs: np.ndarray
  greedy_entropies: np.ndarray
  greedy_ended: bool
  prompt_hidden: np.ndarray
  answer_hidden: np.ndarray
  candidates: tuple[str, ...]
  candidate_logprobs: np.ndarray


_HIDDEN = ('prompt_hidden', 'answer_hidden')


def pack(said: Said) -> bytes:
  """A record. Hidden states are kept in bfloat16."""
  fields = said._asdict()
  arrays = {k: v for k, v in fields.items() if isinstance(v, np.ndarray)}
  texts = {k: v for k, v in fields.items() if k not in arrays}
  texts['question'] = said.question._asdict()
  for name in _HIDDEN:
    arrays[name] = arrays[name].astype(ml_dtypes.bfloat16).view(np.uint16)
  header = json.dumps(texts, ensure_ascii=False).encode('utf-8')
  arrays['texts'] = np.frombuffer(header, np.uint8)
  file = io.BytesIO()
  np.savez(file, allow_pickle=False, **arrays)
  return file.getvalue()


def unpack(record: bytes) -> Said:
  """What `pack` was given, hidden states rounded to bfloat16."""
  with np.load(io.BytesIO(record), allow_pickle=False) as file:
    arrays = dict(file)
  texts = json.loads(arrays.pop('texts').tobytes().decode('utf-8'))
  question = {
    key: tuple(value) if isinstance(value, list) else value
    for key, value in texts.pop('question').items()
  }
  for name in _HIDDEN:
    stored = arrays[name].view(ml_dtypes.bfloat16)
    arrays[name] = stored.astype(np.float32)
  for name in ('samples', 'candidates'):
    texts[name] = tuple(texts[name])
  return Said(question=Question(**question), **texts, **arrays)


def shard(folder: pathlib.Path, cell: str, number: int) -> pathlib.Path:
  """The file that holds that batch of questions."""
  return recording.path(folder, cell, number, SUFFIX)


def write(path: pathlib.Path, said: Sequence[Said]) -> None:
  """Writes one shard, whole or not at all."""
  with writer.replace(path) as temporary:
    file = array_record_module.ArrayRecordWriter(
      str(temporary), 'group_size:1,zstd:3'
    )
    try:
      for one in said:
        file.write(pack(one))
    finally:
      file.close()


def read(folder: pathlib.Path, cell: str) -> Iterator[Said]:
  """All questions of a cell, in the order they were asked in.

  Raises:
    FileNotFoundError: nothing of that cell was recorded.
  """
  for path in recording.paths(folder, cell, SUFFIX):
    file = array_record_module.ArrayRecordReader(str(path))
    try:
      for i in range(file.num_records()):
        yield unpack(file.read([i])[0])
    finally:
      file.close()


def split(flat: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
  """The samples' parts of an array along all of them."""
  return np.split(flat, np.cumsum(lengths)[:-1]) if len(lengths) else []
