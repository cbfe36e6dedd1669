"""A model is asked, and all that it says is written down (log.py).

A batch of questions at a time: samples at temperature 1, the greedy answer with
its entropies and hidden states, and, where the answers are a closed set, the
likelihood of each. Stopped at any point it goes on with the next batch. Over
several processes each takes cells of its own.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import time
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from calibration.recording import candidates, log, prompts, question_mix
from corpora.questions import tasks
from engine import assets, progress, stop
from engine.runs import manifest as manifest_lib
from engine.runs import results, writer
from lm.checkpoints import decoder, hub
from lm.decoding import prefix_cache, scoring


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
  """What is asked of which model, and how.

  Attributes:
    model: see `hub.resolve`.
    sets: names of `question_mix.NAMES`.
    styles: of prompts.STYLES.
    only: cells by name, as in 'world-cot,nq_open-concise', where not every set
      is asked in every style; all where empty.
    form: 'text' or 'chat', see prompts.py.
    questions: of each set.
    samples: of each question.
    temperature: of the samples; at another than 1 they are not the model's.
    seed: of the choice of questions and of the samples.
    concise_tokens: the most of an answer of that style.
    sentence_tokens: likewise.
    cot_tokens: likewise.
    compute: of the model, float32 or bfloat16.
    candidates: whether the likelihood of every candidate is computed, for
      concise answers of closed sets.
    file: questions a file: what an interruption loses.
    batch: questions at once.
    fewest_rows: see `lm.decode.finish`.
    folder: where; a name made from the rest, in the cache, where empty.
    accept_licence: see `hub.resolve`.
  """

  model: str
  sets: tuple[str, ...]
  styles: tuple[str, ...] = ('concise', 'sentence', 'cot')
  only: str = ''
  form: str = 'text'
  questions: int = 300
  samples: int = 50
  temperature: float = 1.0
  seed: int = 0
  concise_tokens: int = 12
  sentence_tokens: int = 32
  cot_tokens: int = 64
  compute: str = 'float32'
  candidates: bool = True
  file: int = 24
  batch: int = 2
  fewest_rows: int = 8
  folder: str = ''
  accept_licence: str = ''

  def __post_init__(self):
    limits = tuple(f'{style}_tokens' for style in prompts.STYLES)
    sizes = ('questions', 'samples', 'file', 'batch', 'fewest_rows')
    for name in (*sizes, *limits):
      if getattr(self, name) < 1:
        raise ValueError(
          f'record.{name} must be positive, got {getattr(self, name)}'
        )
    if self.temperature < 0:
      raise ValueError(
        f'record.temperature must not be negative, got {self.temperature}'
      )
    for name, known in (
      ('sets', question_mix.NAMES),
      ('styles', prompts.STYLES),
    ):
      unknown = [one for one in getattr(self, name) if one not in known]
      if unknown or not getattr(self, name):
        raise ValueError(
          f'record.{name} must be of {", ".join(known)}; got '
          f'{", ".join(unknown) or "none"}'
        )
    cells = [cell(one, style) for one in self.sets for style in self.styles]
    unknown = sorted(set(filter(None, self.only.split(','))) - set(cells))
    if unknown:
      raise ValueError(
        f'record.only must name cells of {", ".join(cells)}; got '
        f'{", ".join(unknown)}'
      )
    for name, known in (
      ('form', prompts.FORMS),
      ('compute', ('float32', 'bfloat16')),
    ):
      if getattr(self, name) not in known:
        raise ValueError(
          f'record.{name} must be {" or ".join(known)}, got '
          f'{getattr(self, name)!r}'
        )

  def path(self) -> pathlib.Path:
    """Of the model.

    Raises:
      FileNotFoundError: there is none of that name.
      PermissionError: its licence was not accepted.
    """
    return hub.resolve(self.model, accept_licence=self.accept_licence)

  def manifest(self) -> dict[str, Any]:
    """What must agree for two recordings to be one; reads the model's file."""
    free: tuple[str, ...] = ('sets', 'styles', 'only', 'batch', 'fewest_rows')
    free += 'folder', 'accept_licence', 'model'
    fields = dataclasses.asdict(self)
    fields = {k: v for k, v in fields.items() if k not in free}
    # The name may be a path: the hash says which model it is.
    name = pathlib.PurePath(self.model).name
    return fields | {
      'model': name,
      'weights': fingerprint(self.path()),
      'version': log.VERSION,
    }

  def at(self) -> pathlib.Path:
    """Where it lies. Sets and styles can be added to a recording."""
    if self.folder:
      return pathlib.Path(self.folder)
    text = json.dumps(self.manifest(), sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return assets.cache_dir() / 'generations' / name

  def cells(self) -> list[tuple[str, str]]:
    """(set, style), in order."""
    cells = [(one, style) for one in self.sets for style in self.styles]
    only = self.only.split(',') if self.only else [cell(*one) for one in cells]
    return [one for one in cells if cell(*one) in only]


def cell(name: str, style: str) -> str:
  """The name of a folder."""
  return f'{name}-{style}'


@functools.cache
def fingerprint(path: pathlib.Path) -> str:
  """SHA-256 of a checkpoint's file, or of its files by name and content."""
  path = pathlib.Path(path)
  digest = hashlib.sha256()
  files = [path] if path.is_file() else sorted(path.glob('*.safetensors'))
  for file in files:
    if file != path:
      digest.update(f'{file.name}:{os.path.getsize(file)}:'.encode())
    with open(file, 'rb') as stream:
      while chunk := stream.read(1 << 20):
        digest.update(chunk)
  return digest.hexdigest()


def open_model(recording: Recording) -> decoder.Decoder:
  """Reads the checkpoint.

  Raises:
    FileNotFoundError: there is none of that name.
    PermissionError: its licence was not accepted.
    ValueError: it is no decoder.
  """
  path = recording.path()
  return decoder.open_decoder(
    path, dtype=recording.compute, what='record.model'
  )


def missing(recording: Recording) -> list[tuple[str, str, int]]:
  """(set, style, number) of the files that are not there yet, in order."""
  folder, count = recording.at(), -(-recording.questions // recording.file)
  return [
    (name, style, number)
    for name, style in recording.cells()
    for number in range(count)
    if not log.shard(folder, cell(name, style), number).exists()
  ]


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
    process: records every `processes`-th cell, from this one on.
    processes: that share the folder.
    enabled: show progress.

  Raises:
    ValueError: the folder holds another recording; more questions than a set
      has.
  """
  folder = recording.at()
  mine = recording.cells()[process::processes]
  todo = [row for row in missing(recording) if row[:2] in mine]
  asked = {
    name: question_mix.load(
      name, count=recording.questions, seed=recording.seed
    )
    for name, _, _ in todo
  }
  # Only now: what cannot be recorded leaves no folder behind.
  manifest_lib.begin(folder, recording.manifest())
  ends = _ends(model.tokenizer)
  shapes = {
    one: _shapes(recording, model.tokenizer, asked, one)
    for one in {row[:2]: None for row in todo}
  }
  with progress.Progress(
    'recording', len(todo) * recording.file, unit='questions', enabled=enabled
  ) as bar:
    for name, style, number in todo:
      stop.check()
      began = time.monotonic()
      first = number * recording.file
      some = asked[name][first : first + recording.file]
      said = _ask(recording, model, some, style, ends, shapes[name, style])
      path = log.shard(folder, cell(name, style), number)
      log.write(path, said)
      writer.write_json(
        path.with_suffix('.json'),
        {
          'machine': results.machine(),
          'versions': results.versions(),
          'seconds': round(time.monotonic() - began, 3),
        },
      )
      bar.update(len(some))


def _shapes(recording, tokenizer, asked, cell) -> prefix_cache.Plan:
  """Shapes of a cell; those of a style's are alike but for what is shared."""
  name, style = cell
  plans = {
    other: prefix_cache.plan(
      [prompt_of(recording, tokenizer, q, style)[1] for q in questions]
    )
    for other, questions in asked.items()
  }
  return prefix_cache.Plan(
    shared=plans[name].shared,
    room=max(one.room for one in plans.values()),
    width=max(one.width for one in plans.values()),
  )


def _ends(tokenizer) -> tuple[int, ...]:
  """Ids that end an answer: the model's own, and every end of a line."""
  size = tokenizer.vocab_size
  lines = [i for i, p in enumerate(tokenizer.pieces(range(size))) if '\n' in p]
  return tuple(sorted({*tokenizer.stop_ids, *lines}))


def prompt_of(recording: Recording, tokenizer, question, style: str):
  """(text, ids) of what the model reads."""
  if recording.form == 'text':
    text = prompts.text(question, style)
    return text, tokenizer.encode(text)
  messages = prompts.messages(question, style)
  return tokenizer.render(messages), tokenizer.chat(messages)


def _ask(recording, model, asked, style, ends, shapes) -> list[log.Said]:
  config, params = model.config, model.params
  texts, ids = zip(
    *(prompt_of(recording, model.tokenizer, q, style) for q in asked),
    strict=True,
  )
  root = jax.random.key(recording.seed)
  keys = jnp.stack(
    [jax.random.fold_in(root, _number(style, q.id)) for q in asked]
  )
  draw = functools.partial(
    prefix_cache.sample,
    config,
    params,
    ids,
    keys,
    max_new_tokens=getattr(recording, f'{style}_tokens'),
    stop=ends,
    shapes=shapes,
  )
  drawn = draw(
    num_samples=recording.samples,
    temperature=recording.temperature,
    batch=recording.batch,
    fewest_rows=recording.fewest_rows,
  )
  # One row a question: as many questions at once as a batch has rows.
  greedy = draw(temperature=0.0, entropy=True, batch=recording.file)
  found = [candidates.NONE] * len(asked)
  if style == 'concise' and recording.candidates:
    found = candidates.measure(
      config,
      params,
      ids,
      asked,
      functools.partial(model.tokenizer.encode, add_bos=False),
      space=' ' if recording.form == 'text' else '',
      batch=max(1, recording.batch // 8),
    )
  best = [_cut(g.tokens[0, 0], g.lengths[0, 0], ends)[0] for g in greedy]
  hidden = _hidden(model, ids, best)
  out = []
  for i, question in enumerate(asked):
    lengths = np.asarray(drawn[i].lengths[0], np.int32)
    tokens_SM = np.asarray(drawn[i].tokens[0])
    inside_SM = np.arange(tokens_SM.shape[1]) < lengths[:, None]
    parts = [
      _cut(row, length, ends)
      for row, length in zip(tokens_SM, lengths, strict=True)
    ]
    size = int(greedy[i].lengths[0, 0])
    said, ended = _cut(greedy[i].tokens[0, 0], size, ends)
    out.append(
      log.Said(
        question=question,
        group=tasks.group(question),
        prompt=texts[i],
        samples=tuple(_text(model.tokenizer, part) for part, _ in parts),
        tokens=tokens_SM[inside_SM].astype(np.int32),
        logprobs=np.asarray(drawn[i].logprobs[0])[inside_SM],
        lengths=lengths,
        ended=np.array([ended for _, ended in parts]),
        greedy=_text(model.tokenizer, said),
        greedy_tokens=np.asarray(greedy[i].tokens[0, 0, :size], np.int32),
        greedy_logprobs=np.asarray(greedy[i].logprobs[0, 0, :size]),
        greedy_entropies=np.asarray(greedy[i].entropies[0, 0, :size]),
        greedy_ended=ended,
        prompt_hidden=hidden[i][0],
        answer_hidden=hidden[i][1],
        candidates=found[i][0],
        candidate_logprobs=found[i][1],
      )
    )
  return out


def _number(style: str, name: str) -> int:
  return zlib.crc32(f'{style}/{name}'.encode())


def _cut(tokens, length, ends) -> tuple[list[int], bool]:
  """The tokens before the one that ended an answer, and whether one did."""
  ids = [int(i) for i in tokens[: int(length)]]
  if ids and ids[-1] in ends:
    return ids[:-1], True
  return ids, False


def _text(tokenizer, ids) -> str:
  return tokenizer.decode(ids).strip()


def _hidden(model, ids, answers) -> list[np.ndarray]:
  """[2, D]: last layer at the prompt's end, middle layer at the answer's."""
  layers = model.config.layers
  found = {}
  for group, states in scoring.hidden(
    model.config,
    model.params,
    [[*p, *a] for p, a in zip(ids, answers, strict=True)],
    layers=(layers, layers // 2),
    positions=[[len(p) - 1, -1] for p in ids],
    batch=8,
  ):
    for row, value in zip(group, states, strict=True):
      found[row] = np.stack([value[0, 0], value[1, 1]]).astype(np.float32)
  return [found[i] for i in range(len(ids))]
