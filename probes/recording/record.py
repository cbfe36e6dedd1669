"""Asks a model questions, grades its answers, records activations (store.py).

For each shard of questions: generate, grade, read the sites, write.
engine.runs.recording handles shards, resuming and processes. Section 2 of
docs/papers/probes.md.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from corpora.questions import grading, multiple_choice, sets, tasks
from engine.runs import recording as recording_lib
from lm import transformer
from lm.checkpoints import decoder
from lm.decoding import prefix_cache, scoring
from probes.recording import activations, store


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording(recording_lib.Recording):
  """A model, its questions, and the sites that are kept: a config section.

  Attributes, besides those of `engine.runs.recording.Recording`:
    tasks: names of `corpora.questions.tasks`, or files, see docs/questions.md.
    layers: counted from 0; all layers if empty.
    streams: see activations.py.
    tokens: see activations.py.
    dtype: dtype of the activations on disk, float32 or bfloat16.
    max_new_tokens: the most tokens of an answer; a newline ends it too.
    by_byte: whether to rank options by log-likelihood per byte. The total
      log-likelihood favours short options.
  """

  HOME: ClassVar[str] = 'activations'
  SUFFIX: ClassVar[str] = store.SUFFIX
  # Raise it when prompts, examples or graders change what a row holds.
  VERSION: ClassVar[int] = 1
  FREE: ClassVar[tuple[str, ...]] = (*recording_lib.Recording.FREE, 'tasks')

  tasks: tuple[str, ...]
  layers: tuple[int, ...] = ()
  streams: tuple[str, ...] = ('resid_post',)
  tokens: tuple[str, ...] = ('last_prompt', 'last_answer')
  dtype: str = 'bfloat16'
  max_new_tokens: int = 8
  by_byte: bool = True
  file: int = 210
  batch: int = 32

  def __post_init__(self):
    super().__post_init__()
    self.check_positive('max_new_tokens')
    self.check_one_of('dtype', ('float32', 'bfloat16'))
    activations.sites(
      max(self.layers, default=0) + 1,
      wanted=self.layers,
      streams=self.streams,
      tokens=self.tokens,
    )
    sets.check('record.tasks', self.tasks, tasks.NAMES)

  def groups(self) -> tuple[str, ...]:
    """The folder of each task, since a task is a group."""
    return tuple(map(sets.key, self.tasks))

  def named(self) -> dict[str, str]:
    """The group of each task, by the task's name in results."""
    return dict(zip(map(sets.label, self.tasks), self.groups(), strict=True))

  def sites(
    self, config: transformer.TransformerConfig
  ) -> tuple[activations.Site, ...]:
    """The sites that are kept, for a model of shape `config`."""
    return activations.sites(
      config.layers,
      wanted=self.layers,
      streams=self.streams,
      tokens=self.tokens,
    )


def open_model(recording: Recording) -> decoder.Decoder:
  """Opens `recording.model`, see `decoder.open_decoder`."""
  return decoder.open_decoder(
    recording.model,
    accept_licence=recording.accept_licence,
    dtype=recording.compute,
    what='record.model',
  )


def gather(recording: Recording) -> None:
  """`record` in every process; opens no model if no shard is missing."""
  recording.gather(
    lambda **share: record(recording, open_model(recording), **share)
  )


def record(
  recording: Recording,
  model: decoder.Decoder,
  *,
  process: int = 0,
  processes: int = 1,
  enabled: bool = True,
) -> None:
  """Asks the model, reads its sites and writes the shards still missing.

  See `engine.runs.recording.Recording`: `missing` for `process` and
  `processes`, `fill` for `enabled` and errors.

  Raises:
    ValueError: a task has fewer questions than are asked for.
  """
  wanted = recording.sites(model.config)
  todo = recording.missing(process, processes)
  named = dict(zip(recording.groups(), recording.tasks, strict=True))
  loaded = {
    group: tasks.load(
      named[group], count=recording.questions, seed=recording.seed
    )
    for group in dict(todo)
  }

  def write(shard, path):
    task = loaded[shard.group]
    asked = task.questions[recording.rows(shard)]
    if task.grader:
      said = _in_text(recording, model, task, asked)
    else:
      said = _by_option(recording, model, asked)
    prompts, ids, texts, labels = said
    store.write(
      path,
      store.Answers(
        ids=np.array([question.id for question in asked]),
        groups=np.array([tasks.group(question) for question in asked]),
        prompts=np.array([question.prompt for question in asked]),
        answers=np.array(texts),
        labels=np.array(labels, np.float32),
        tokens=np.array([len(answer) for answer in ids], np.int32),
        grader=np.array([task.grader or 'likeliest_option'] * len(asked)),
      ),
      {
        site.name: value
        for site, value in activations.extract(
          model.config,
          model.params,
          prompts,
          ids,
          wanted,
          batch=recording.batch,
          dtype=recording.dtype,
        ).items()
      },
    )

  recording.fill(todo, write, unit='answers', enabled=enabled)


def _in_text(recording, model, task, asked):
  """Greedy answers up to the first newline, and whether each is correct."""
  encode = model.tokenizer.encode
  prompts = [encode(tasks.prompt(task, question)) for question in asked]
  end = encode('\n', add_bos=False)
  found = prefix_cache.greedy(
    model.config,
    model.params,
    prompts,
    max_new_tokens=recording.max_new_tokens,
    stop=[*model.tokenizer.stop_ids, *(end if len(end) == 1 else ())],
    batch=recording.batch,
  )
  ids = [line_of(answer, model.tokenizer) for answer in found]
  texts = [model.tokenizer.decode(answer).strip() for answer in ids]
  labels = [
    grading.grade(task.grader, text, question.answers)
    for text, question in zip(texts, asked, strict=True)
  ]
  return prompts, ids, texts, labels


def line_of(ids: Sequence[int], tokenizer) -> list[int]:
  """The tokens before the first one that ends the line or the text."""
  for count, token in enumerate(ids):
    if token in tokenizer.stop_ids or '\n' in tokenizer.decode([token]):
      return list(ids[:count])
  return list(ids)


def _by_option(recording, model, asked):
  """The most likely option, scored in full after the question."""
  encode = model.tokenizer.encode
  options = functools.partial(encode, add_bos=False)
  prompts = [encode(multiple_choice.prompt_of(q)) for q in asked]
  scored = scoring.score(
    model.config,
    model.params,
    prompts,
    [[options(f' {c}') for c in question.choices] for question in asked],
    batch=recording.batch,
  )
  found = [np.array([option.total for option in row]) for row in scored]
  texts = []
  for question, score in zip(asked, found, strict=True):
    size = np.array([len(c.encode('utf-8')) for c in question.choices])
    score = score / size if recording.by_byte else score
    texts.append(question.choices[int(np.argmax(score))])
  labels = [t in q.answers for t, q in zip(texts, asked, strict=True)]
  return prompts, [options(f' {text}') for text in texts], texts, labels
