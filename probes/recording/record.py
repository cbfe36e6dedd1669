"""A model answers, is graded, and its activations are kept.

One file of questions at a time: generate, grade, read the sites, write
(store.py). Stopped at any point it goes on with the next file. Over several
processes each records its own tasks on its own devices, and nothing is shared
but the folder. docs/papers/probes.md section 2.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from corpora.questions import grading, multiple_choice, tasks
from engine import assets, progress, stop
from engine.runs import manifest as manifest_lib
from lm import transformer
from lm.checkpoints import decoder
from lm.decoding import prefix_cache, scoring
from probes.recording import activations, store

# Of prompts, examples and graders: what they say changes with it.
VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
  """What is asked of which model, and which sites are kept.

  Attributes:
    model: see `hub.resolve`.
    tasks: names of `corpora.tasks`.
    questions: of each task.
    seed: of their choice.
    layers: counted from 0; all where empty.
    streams: see activations.py.
    tokens: see activations.py.
    dtype: on disk, float32 or bfloat16.
    compute: of the model, the same two.
    max_new_tokens: of an answer, which also ends at a line's end.
    by_byte: options are ranked by their likelihood over their bytes, rather
      than by all of it, which favours short ones.
    file: questions a file.
    batch: sequences that are answered or read at once.
    folder: where; a name made from the rest, in the cache, where empty.
    accept_licence: see `hub.resolve`.
  """

  model: str
  tasks: tuple[str, ...]
  questions: int
  seed: int = 0
  layers: tuple[int, ...] = ()
  streams: tuple[str, ...] = ('resid_post',)
  tokens: tuple[str, ...] = ('last_prompt', 'last_answer')
  dtype: str = 'bfloat16'
  compute: str = 'float32'
  max_new_tokens: int = 8
  by_byte: bool = True
  file: int = 210
  batch: int = 32
  folder: str = ''
  accept_licence: str = ''

  def __post_init__(self):
    for name in ('questions', 'max_new_tokens', 'file', 'batch'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'record.{name} must be positive, got {getattr(self, name)}'
        )
    for name in ('dtype', 'compute'):
      if getattr(self, name) not in ('float32', 'bfloat16'):
        raise ValueError(
          f'record.{name} must be float32 or bfloat16, got '
          f'{getattr(self, name)!r}'
        )
    activations.sites(
      max(self.layers, default=0) + 1,
      wanted=self.layers,
      streams=self.streams,
      tokens=self.tokens,
    )
    unknown = [name for name in self.tasks if name not in tasks.NAMES]
    if unknown or not self.tasks:
      raise ValueError(
        f'record.tasks must be of {", ".join(tasks.NAMES)}; got '
        f'{", ".join(unknown) or "none"}'
      )

  def manifest(self) -> dict[str, Any]:
    """What must agree for two recordings to be one."""
    free = ('batch', 'folder', 'accept_licence', 'tasks')
    fields = dataclasses.asdict(self)
    fields = {k: v for k, v in fields.items() if k not in free}
    return fields | {'version': VERSION}

  def at(self) -> pathlib.Path:
    """Where it lies. Tasks can be added to a recording."""
    if self.folder:
      return pathlib.Path(self.folder)
    text = json.dumps(self.manifest(), sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return assets.cache_dir() / 'activations' / name

  def sites(
    self, config: transformer.TransformerConfig
  ) -> tuple[activations.Site, ...]:
    """Those that are kept of a model of that shape."""
    return activations.sites(
      config.layers,
      wanted=self.layers,
      streams=self.streams,
      tokens=self.tokens,
    )


def missing(recording: Recording) -> list[tuple[str, int]]:
  """(task, number) of the files that are not there yet, in order."""
  count = -(-recording.questions // recording.file)
  return [
    (task, number)
    for task in recording.tasks
    for number in range(count)
    if not store.shard(recording.at(), task, number).exists()
  ]


def open_model(recording: Recording) -> decoder.Decoder:
  """Reads the checkpoint.

  Raises:
    FileNotFoundError: there is none of that name.
    PermissionError: its licence was not accepted.
    ValueError: it is no decoder.
  """
  return decoder.open_decoder(
    recording.model,
    accept_licence=recording.accept_licence,
    dtype=recording.compute,
    what='record.model',
  )


def record(
  recording: Recording,
  model: decoder.Decoder,
  *,
  process: int = 0,
  processes: int = 1,
  enabled: bool = True,
) -> None:
  """Records what is missing.

  Args:
    recording: see there.
    model: see `open_model`.
    process: records every `processes`-th task, from this one on.
    processes: that share the folder.
    enabled: show progress.

  Raises:
    ValueError: the folder holds another recording; more questions than a task
      has.
  """
  folder = recording.at()
  wanted = recording.sites(model.config)
  mine = recording.tasks[process::processes]
  todo = [(t, n) for t, n in missing(recording) if t in mine]
  loaded = {
    name: tasks.load(name, count=recording.questions, seed=recording.seed)
    for name in dict(todo)
  }
  # Only now: what cannot be recorded leaves no folder behind.
  manifest_lib.begin(folder, recording.manifest())
  with progress.Progress(
    'recording', len(todo) * recording.file, unit='answers', enabled=enabled
  ) as bar:
    for name, number in todo:
      stop.check()
      task = loaded[name]
      first = number * recording.file
      asked = task.questions[first : first + recording.file]
      if task.grader:
        said = _in_text(recording, model, task, asked)
      else:
        said = _by_option(recording, model, asked)
      prompts, ids, texts, labels = said
      store.write(
        store.shard(folder, name, number),
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
      bar.update(len(asked))


def _in_text(recording, model, task, asked):
  """Greedy answers up to a line's end, and whether each is right."""
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
  """The tokens before the first that ends the line or the text."""
  for count, token in enumerate(ids):
    if token in tokenizer.stop_ids or '\n' in tokenizer.decode([token]):
      return list(ids[:count])
  return list(ids)


def _by_option(recording, model, asked):
  """The likeliest option, read in full after the question."""
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
