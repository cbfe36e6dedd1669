"""Asks a model questions and records its answers (log.py).

For each question it records samples, the greedy answer with its entropies and
hidden states, and, for a closed set of answers, the likelihood of each answer.
engine.runs.recording handles shards, resuming and processes.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
import zlib
from typing import Any, ClassVar

import jax
import numpy as np

from calibration.recording import candidates, log, prompts, question_mix
from corpora.questions import sets, tasks
from engine.runs import recording as recording_lib
from lm.checkpoints import decoder, hub
from lm.decoding import prefix_cache, scoring


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording(recording_lib.Recording):
  """A model, its questions, and how it is asked: a config section.

  Attributes, besides those of `engine.runs.recording.Recording`:
    sets: names of question sets, see question_mix.py and docs/questions.md.
    styles: names of prompts.STYLES.
    only: names of cells, for example 'world-cot,nq_open-concise', if not every
      set is asked in every style; all cells if empty.
    form: 'text' or 'chat', see prompts.py.
    samples: number of samples of each question.
    temperature: sampling temperature; with values other than 1 the samples no
      longer follow the model's own distribution.
    concise_tokens: the most tokens of an answer in the style 'concise'.
    sentence_tokens: the same for 'sentence'.
    cot_tokens: the same for 'cot'.
    candidates: whether to compute the likelihood of every candidate, for
      concise answers from closed sets.
    fewest_rows: see `lm.decoding.generate.finish`.
  """

  HOME: ClassVar[str] = 'generations'
  SUFFIX: ClassVar[str] = log.SUFFIX
  VERSION: ClassVar[int] = log.VERSION
  FREE: ClassVar[tuple[str, ...]] = (
    *recording_lib.Recording.FREE,
    'sets',
    'styles',
    'only',
    'fewest_rows',
  )

  sets: tuple[str, ...]
  styles: tuple[str, ...] = prompts.STYLES
  only: str = ''
  form: str = 'text'
  questions: int = 300
  samples: int = 50
  temperature: float = 1.0
  concise_tokens: int = 12
  sentence_tokens: int = 32
  cot_tokens: int = 64
  candidates: bool = True
  file: int = 24
  batch: int = 2
  fewest_rows: int = 8

  def __post_init__(self):
    super().__post_init__()
    limits = tuple(f'{style}_tokens' for style in prompts.STYLES)
    self.check_positive('samples', 'fewest_rows', *limits)
    if self.temperature < 0:
      raise ValueError(
        f'record.temperature must not be negative, got {self.temperature}'
      )
    self.check_one_of('form', prompts.FORMS)
    sets.check('record.sets', self.sets, question_mix.NAMES)
    unknown = [one for one in self.styles if one not in prompts.STYLES]
    if unknown or not self.styles:
      raise ValueError(
        f'record.styles must be of {", ".join(prompts.STYLES)}; got '
        f'{", ".join(unknown) or "none"}'
      )
    named = self._named()
    unknown = sorted(set(filter(None, self.only.split(','))) - set(named))
    if unknown:
      raise ValueError(
        f'record.only must name cells of {", ".join(named)}; got '
        f'{", ".join(unknown)}'
      )

  def path(self) -> pathlib.Path:
    """The folder or file of the model; errors are those of `hub.resolve`."""
    return hub.resolve(self.model, accept_licence=self.accept_licence)

  def manifest(self) -> dict[str, Any]:
    """The settings that one recording shares; reads the model's files."""
    # The name may be a path: the hash says which model it is.
    name = pathlib.PurePath(self.model).name
    found = {'model': name, 'weights': fingerprint(self.path())}
    return super().manifest() | found

  def cells(self) -> list[tuple[str, str]]:
    """(set, style) of each cell, in order."""
    named = self._named()
    only = self.only.split(',') if self.only else named
    return [one for name, one in named.items() if name in only]

  def groups(self) -> tuple[str, ...]:
    """The folder of each cell, since a cell is a group."""
    return tuple(cell(*one) for one in self.cells())

  def _named(self) -> dict[str, tuple[str, str]]:
    return {
      f'{sets.label(one)}-{style}': (one, style)
      for one in self.sets
      for style in self.styles
    }


def cell(name: str, style: str) -> str:
  """The folder of a cell."""
  return f'{sets.key(name)}-{style}'


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
  """Opens `recording.model`, see `decoder.open_decoder`."""
  path = recording.path()
  return decoder.open_decoder(
    path, dtype=recording.compute, what='record.model'
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
  """Asks the model and writes the shards that this process still misses.

  See `engine.runs.recording.Recording`: `missing` for `process` and
  `processes`, `fill` for `enabled` and errors.

  Raises:
    ValueError: a question set has fewer questions than are asked for.
  """
  todo = recording.missing(process, processes)
  cells = dict(zip(recording.groups(), recording.cells(), strict=True))
  cells = {shard.group: cells[shard.group] for shard in todo}
  asked = {
    name: question_mix.load(
      name, count=recording.questions, seed=recording.seed
    )
    for name, _ in cells.values()
  }
  ends = _ends(model.tokenizer)
  shapes = {
    one: _shapes(recording, model.tokenizer, asked, one)
    for one in cells.values()
  }

  def write(shard, path):
    name, style = cells[shard.group]
    some = asked[name][recording.rows(shard)]
    log.write(
      path, _ask(recording, model, some, style, ends, shapes[name, style])
    )

  recording.fill(todo, write, unit='questions', enabled=enabled)


def _shapes(recording, tokenizer, asked, cell) -> prefix_cache.Plan:
  """Shapes of a cell's prompts; cells of one style differ only in `shared`."""
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
  """Ids that end an answer: the model's stop ids, and tokens with a newline."""
  size = tokenizer.vocab_size
  lines = [i for i, p in enumerate(tokenizer.pieces(range(size))) if '\n' in p]
  return tuple(sorted({*tokenizer.stop_ids, *lines}))


def prompt_of(recording: Recording, tokenizer, question, style: str):
  """The prompt that the model reads, as (text, ids)."""
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
  numbers = np.array([_number(style, q.id) for q in asked], np.uint32)
  keys = keys_of(recording.seed, numbers)
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
  drawn = jax.device_get(
    draw(
      num_samples=recording.samples,
      temperature=recording.temperature,
      batch=recording.batch,
      fewest_rows=recording.fewest_rows,
    )
  )
  # A question has one greedy answer, so one pass takes a whole shard.
  greedy = jax.device_get(
    draw(temperature=0.0, entropy=True, batch=recording.file)
  )
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
    lengths = drawn[i].lengths[0].astype(np.int32)
    tokens_SM = drawn[i].tokens[0]
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
        logprobs=drawn[i].logprobs[0][inside_SM],
        lengths=lengths,
        ended=np.array([ended for _, ended in parts]),
        greedy=_text(model.tokenizer, said),
        greedy_tokens=greedy[i].tokens[0, 0, :size].astype(np.int32),
        greedy_logprobs=greedy[i].logprobs[0, 0, :size],
        greedy_entropies=greedy[i].entropies[0, 0, :size],
        greedy_ended=ended,
        prompt_hidden=hidden[i][0],
        answer_hidden=hidden[i][1],
        candidates=found[i][0],
        candidate_logprobs=found[i][1],
      )
    )
  return out


@jax.jit
def keys_of(seed: int, numbers: np.ndarray) -> jax.Array:
  """A key for each number, independent of batches and other questions."""
  root = jax.random.key(seed)
  return jax.vmap(jax.random.fold_in, (None, 0))(root, numbers)


def _number(style: str, name: str) -> int:
  return zlib.crc32(f'{style}/{name}'.encode())


def _cut(tokens, length, ends) -> tuple[list[int], bool]:
  """The tokens before the one that ended the answer, and whether one did."""
  ids = [int(i) for i in tokens[: int(length)]]
  if ids and ids[-1] in ends:
    return ids[:-1], True
  return ids, False


def _text(tokenizer, ids) -> str:
  return tokenizer.decode(ids).strip()


def _hidden(model, ids, answers) -> list[np.ndarray]:
  """Two hidden states of each question, [2, D].

  The last layer's at the end of the prompt, and the middle layer's at the end
  of the answer.
  """
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
