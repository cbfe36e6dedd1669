"""A judge scores summaries of recorded answers, and its scores are kept.

  <folder>/<set>-<style>/00000.jsonl   a question a line

Every summary of a question stands against the same gaps and the same reference:
those of known quality (constructions.py), what the subject wrote itself
(summaries.py), and `concatenated`, the list of fresh answers.
"""

import collections
import dataclasses
import functools
import itertools
import json
import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from calibration.recording import cell as cell_lib
from calibration.recording import log, record
from calibration.selfreflect import (
  baselines,
  constructions,
  conversation,
  distances,
  masking,
  metric,
  summaries,
)
from engine.runs import recording as recording_lib
from engine.runs import writer
from lm.checkpoints import decoder, hub
from lm.checkpoints import encoder as encoder_lib

CONCATENATED = 'concatenated'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reflections(summaries.Summaries):
  """A subject's summaries, and the judge that scores them.

  Attributes, besides those of `summaries.Summaries`:
    judge: name or path of the judge, see `lm.checkpoints.hub.resolve`.
    judge_compute: dtype of the judge's computation.
    temperatures: see `metric.Judge`. others, same_prompt: likewise.
    release: see `summaries.summary_of`.
    baselines: of `baselines.NAMES`.
    encoder: sentence encoder of the baseline `embedding`.
  """

  HOME: ClassVar[str] = 'reflections'
  VERSION: ClassVar[int] = 1
  # Scores are of all strategies at once.
  FREE: ClassVar[tuple[str, ...]] = record.Recording.FREE

  judge: str
  judge_compute: str = 'float32'
  temperatures: tuple[float, ...] = (5.0,)
  others: tuple[str, ...] = ()
  same_prompt: bool = False
  release: bool = False
  baselines: tuple[str, ...] = ()
  encoder: str = 'minilm_l6'

  def __post_init__(self):
    super().__post_init__()
    self.check_one_of('judge_compute', ('float32', 'bfloat16', 'int8'))
    unknown = [name for name in self.baselines if name not in baselines.NAMES]
    if unknown:
      raise ValueError(
        f'reflect.baselines must be of {", ".join(baselines.NAMES)}, got '
        f'{unknown[0]!r}'
      )
    metric.check(self.temperatures, self.others)
    if distances.TEMPERATURE not in self.temperatures:
      raise ValueError(
        f'reflect.temperatures must have {distances.TEMPERATURE:g}, the '
        f"release's, got {self.temperatures}"
      )

  def manifest(self) -> dict[str, Any]:
    path = hub.resolve(self.judge, accept_licence=self.accept_licence)
    return super().manifest() | {'judge_weights': record.fingerprint(path)}

  def groups(self) -> tuple[str, ...]:
    return tuple(record.cell(*one) for one in self.cells())

  def written(self, recorded: record.Recording) -> summaries.Summaries:
    """What the subject is to write about `recorded`."""
    home = summaries.Summaries.HOME
    own = [field.name for field in dataclasses.fields(summaries.Summaries)]
    fields = {name: getattr(self, name) for name in own}
    return summaries.Summaries(**(fields | summaries.beside(recorded, home)))


class Item(NamedTuple):
  """What the judge reads of one question.

  Attributes:
    id: of the question.
    question: its text.
    masked: answers with gaps.
    told: answers of the reference context.
    texts: summaries by name; None where one is missing.
    fault: of the construction `almost`; wrong: of `bad`.
    entropy: of what the answers mean, in nats.
  """

  id: str
  question: str
  masked: Sequence[str]
  told: Sequence[str]
  texts: dict[str, str | None]
  fault: str
  wrong: str
  entropy: float


def entropy(labels: Sequence[str]) -> float:
  """Of the shares of labels, in nats."""
  counts = np.array(list(collections.Counter(labels).values()), np.float64)
  p = counts / counts.sum()
  return float(-(p * np.log(p)).sum())


def items(
  wanted: Reflections,
  cell: cell_lib.Cell,
  written: dict[str, list[str]],
) -> list[Item]:
  """All questions of a cell that were answered at all.

  A question none of whose answers means anything is left out.

  Args:
    wanted: how samples are shared out.
    cell: the recorded answers.
    written: texts of the subject by strategy, see `summaries.load`.
  """
  fresh = [
    constructions.options(
      wanted.counts.split(one.samples)[2], wanted.counts.split(labels)[2]
    )
    for one, labels in zip(cell.said, cell.labels, strict=True)
  ]
  out = []
  for number, one in enumerate(cell.said):
    masked, told, drawn = wanted.counts.split(one.samples)
    told = [text for text in told if text]
    labels = cell.labels[number]
    other = _never(fresh, number, set(labels), cell)
    if not fresh[number] or not told or not any(masked) or other is None:
      continue
    made = constructions.make(
      fresh[number], other, samples=len(drawn), number=number
    )
    own = {
      strategy: summaries.summary_of(
        texts[number], strategy, release=wanted.release
      )
      for strategy, texts in written.items()
    }
    listed = conversation.listed([text for text in drawn if text])
    out.append(
      Item(
        id=one.question.id,
        question=one.question.prompt,
        masked=[text for text in masked if text],
        told=told,
        texts=made.texts | own | {CONCATENATED: listed},
        fault=made.fault,
        wrong=made.wrong,
        entropy=entropy(labels[: sum(wanted.counts)]),
      )
    )
  return out


def _never(fresh, number, labels, cell):
  """Options of the next question whose first means nothing that was said."""
  for step in range(1, len(fresh)):
    at = (number + step) % len(fresh)
    if not fresh[at]:
      continue
    first = fresh[at][0].text
    shown = (t.rstrip('.') for t in cell.said[at].samples)
    means = next(
      name
      for name, text in zip(cell.labels[at], shown, strict=True)
      if text == first
    )
    if means not in labels:
      return fresh[at]
  return None


def others(
  wanted: Reflections, judge: metric.Judge, item: Item, texts: list[str]
) -> dict[str, np.ndarray]:
  """Baselines by name, one a text; lower is better."""
  known = {
    'rouge': lambda: baselines.rouge(texts, item.told),
    'embedding': lambda: baselines.embedding(
      texts, item.told, _encoder(wanted.encoder).sentences
    ),
    'judge': lambda: baselines.judge(
      judge.model, item.question, texts, item.told
    ),
    'ptrue': lambda: baselines.ptrue(
      judge.model, item.question, texts, item.masked, item.told
    ),
  }
  return {name: known[name]() for name in wanted.baselines}


@functools.cache
def _encoder(name: str) -> encoder_lib.Encoder:
  return encoder_lib.Encoder.load(name)


def score(
  wanted: Reflections, judge: metric.Judge, item: Item
) -> dict[str, Any]:
  """A line of the file: scores by distance and summary; None where missing."""
  names = [name for name, text in item.texts.items() if text]
  tasks = masking.tasks(item.masked, masking.stop_words())
  texts = [item.texts[name] for name in names]
  found = judge(item.question, texts, tasks, item.told)
  made = {name: found.of(name) for name in found.distances}
  scores = {
    distance: dict.fromkeys(item.texts)
    | {
      name: round(float(value), 7)
      for name, value in zip(names, values, strict=True)
      if not math.isnan(value)
    }
    for distance, values in (made | others(wanted, judge, item, texts)).items()
  }
  return {
    'id': item.id,
    'fault': item.fault,
    'wrong': item.wrong,
    'entropy': item.entropy,
    'positions': int(found.counts.sum()),
    'skipped': found.skipped,
    'scores': scores,
  }


def open_judge(wanted: Reflections) -> metric.Judge:
  """Opens the judge; errors are those of `decoder.open_decoder`."""
  model = decoder.open_decoder(
    wanted.judge,
    accept_licence=wanted.accept_licence,
    dtype=wanted.judge_compute,
    what='reflect.judge',
  )
  return metric.Judge(
    model=model,
    temperatures=wanted.temperatures,
    others=wanted.others,
    same_prompt=wanted.same_prompt,
  )


def gather(
  wanted: Reflections, recorded: record.Recording, written: summaries.Summaries
) -> None:
  """Scores what is missing; opens no judge if nothing is.

  Args:
    wanted: the scores.
    recorded: the answers; gathered.
    written: the subject's summaries; gathered.

  Raises:
    FileNotFoundError: there is no recording, or no summaries.
    ValueError: the folder holds other scores.
  """
  wanted.gather(
    lambda **share: ask(wanted, recorded, written, open_judge(wanted), **share)
  )


def ask(
  wanted: Reflections,
  recorded: record.Recording,
  written: summaries.Summaries,
  judge: metric.Judge,
  *,
  process: int = 0,
  processes: int = 1,
  enabled: bool = True,
) -> None:
  """Writes what is missing of this process' share; see `record.record`."""
  cells = dict(zip(wanted.groups(), wanted.cells(), strict=True))

  @functools.lru_cache(1)
  def of(group):
    ids, found = read(wanted, recorded, written, *cells[group])
    return ids, {item.id: item for item in found}

  def write(shard, path):
    ids, every = of(shard.group)
    ids = ids[wanted.rows(shard)]
    rows = [score(wanted, judge, every[name]) for name in ids if name in every]
    with writer.replace(path) as temporary:
      temporary.write_text(
        ''.join(json.dumps(row) + '\n' for row in rows), encoding='utf-8'
      )

  wanted.fill(
    wanted.missing(process, processes),
    write,
    unit='questions',
    enabled=enabled,
  )


def read(
  wanted: Reflections,
  recorded: record.Recording,
  written: summaries.Summaries,
  name: str,
  style: str,
) -> tuple[list[str], list[Item]]:
  """Ids of a cell's questions, and what is to be judged of them."""
  group = record.cell(name, style)
  said = itertools.islice(log.read(recorded.at(), group), wanted.questions)
  cell = cell_lib.of(tuple(said), style)
  ids = [one.question.id for one in cell.said]
  texts = summaries.load(written, name, style, ids)
  return ids, items(wanted, cell, texts)


def load(wanted: Reflections, name: str, style: str) -> list[dict[str, Any]]:
  """Lines of a cell, in the order of its questions.

  Raises:
    FileNotFoundError: nothing was scored.
  """
  group = record.cell(name, style)
  return [
    json.loads(line)
    for path in recording_lib.paths(wanted.at(), group, wanted.SUFFIX)
    for line in path.read_text(encoding='utf-8').splitlines()
  ]
