r"""Questions in words: prompts as batches, and which written answers are right.

Where questions come from, several with ';' between:
  tfds:gsm8k         a prepared TFDS data set with 'question' and 'answer'
  jsonl:/path        an object a line: 'question', 'answer', and where it is not
                     that of the config, 'grader'
  sums:64            so many additions, made here to try things out

An answer holds what its grader looks for, see `maths`: a number, alone or
behind '####', or an expression, alone or in \boxed{}.

Shapes: R rows, P prompt columns, L answer positions.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import PartitionSpec as P

from corpora import splits, tfds_store
from corpora.questions import latex_grading
from diffusion_sampler.sampling import canvas as canvas_lib
from engine import mesh as mesh_lib
from lm import tokenizer as tokenizer_lib
from lm.checkpoints import hub, pretrained_tokenizer

GRADERS = {
  'gsm8k': latex_grading.gsm8k_correct,
  'math': latex_grading.math_correct,
}
# What stands before a question in the message to a chat model.
INSTRUCTIONS = {
  'gsm8k': (
    'Solve the problem step by step. Answer in this form:\n'
    '<reasoning>\nyour steps\n</reasoning>\n'
    '<answer>\nthe number\n</answer>'
  ),
  'math': (
    'Solve the problem step by step. Put the final answer, and nothing else, '
    r'in \boxed{}.'
  ),
}
TEMPLATES = ('chat', 'plain')
# The tokenizer of 256 bytes and five specials, for models drawn at random.
BYTES = 'bytes'
KINDS = 'tfds:name, jsonl:/path or sums:count'
# Summands of made-up additions lie below.
_SUMMANDS = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
  """Questions, their form, and the space for an answer.

  Attributes:
    questions: of training, see the head of this file.
    test_questions: the same of the test. '': the test split of `questions`,
      for a file 5% of its lines.
    grader: 'gsm8k' or 'math'; of questions that name none themselves.
    tokenizer: a checkpoint, as lm.hub takes it, or 'bytes'.
    template: 'chat', the checkpoint's, with an instruction; or 'plain'.
    prompt: P; of longer prompts the last P tokens are kept.
    answer: L.
    mask_id: of the model.
    eos_id: where a text ends, beside the ends that the tokenizer knows.
    early_end: whether a row is done once `eos_id` is written and nothing
      before it is masked. The paper goes on until no mask is left.
    batch_size: prompts a round, over all devices.
    test_records: of the test, the first; 0: all.
  """

  questions: str = 'tfds:gsm8k'
  test_questions: str = ''
  grader: str = 'gsm8k'
  tokenizer: str = BYTES
  template: str = 'chat'
  prompt: int = 200
  answer: int = 256
  mask_id: int
  eos_id: int
  early_end: bool = False
  batch_size: int = 16
  test_records: int = 0

  def __post_init__(self):
    for name, known in (('grader', GRADERS), ('template', TEMPLATES)):
      if getattr(self, name) not in known:
        raise ValueError(
          f'data.{name} must be one of {", ".join(known)}, got '
          f'{getattr(self, name)!r}'
        )
    for name in ('prompt', 'answer'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'data.{name} must be at least 1, got {getattr(self, name)}'
        )

  def layout(self, block: int = 0) -> canvas_lib.Layout:
    """Of answers in blocks; 0: one block, full diffusion."""
    return canvas_lib.Layout(
      prompt=self.prompt,
      answer=self.answer,
      block=block or self.answer,
      mask_id=self.mask_id,
      eos_id=self.eos_id if self.early_end else None,
    )


class Question(NamedTuple):
  """One; `grader` says what counts of `answer` and of what is written."""

  question: str
  answer: str
  grader: str


# Where they come from: (what follows the kind, split, the config's key) ->
# (place, record) one by one.


def _tfds(name, split, key) -> Iterator[tuple[str, Mapping[str, Any]]]:
  otherwise = f'set TFDS_DATA_DIR, or give --config.{key}=jsonl:/path'
  builder = tfds_store.find(name, f'{key}=tfds:{name}', otherwise)
  found = builder.info.splits
  if split not in found:
    raise ValueError(
      f'{key}=tfds:{name} must have a split {split!r}, got '
      f'{", ".join(found)}; set --config.{key}'
    )
  for i, record in enumerate(builder.as_data_source(split=split)):
    yield (
      f'tfds:{name} {split}[{i}]',
      {
        k: v.decode('utf-8') if isinstance(v, bytes) else v
        for k, v in record.items()
      },
    )


def _jsonl(name, split, key) -> Iterator[tuple[str, Mapping[str, Any]]]:
  del split  # `read` cuts it
  path = pathlib.Path(name).expanduser()
  if not path.is_file():
    raise FileNotFoundError(
      f'{key}=jsonl:{name} must name a file, found none at {path.absolute()}; '
      f'set --config.{key}'
    )
  with path.open(encoding='utf-8') as file:
    for number, line in enumerate(file, start=1):
      if not line.strip():
        continue
      where = f'{path}:{number}'
      try:
        record = json.loads(line)
      except ValueError as error:
        raise ValueError(f'{where}: expected JSON, came {error}') from error
      if not isinstance(record, dict):
        raise ValueError(f'{where}: expected an object, came {line[:40]!r}')
      yield where, record


def _sums(count, split, key) -> Iterator[tuple[str, Mapping[str, Any]]]:
  most = _SUMMANDS**2 // 2
  if not count.isdigit() or not 1 <= int(count) <= most:
    raise ValueError(
      f'{key}=sums:{count} must have a count from 1 to {most}; set '
      f'--config.{key}'
    )
  # Half as many for the test, none of them met in training.
  size, tests = int(count), (int(count) + 1) // 2
  order = np.random.default_rng(0).permutation(_SUMMANDS**2)
  chosen = order[:size] if split == 'train' else order[size : size + tests]
  for pair in chosen.tolist():
    a, b = divmod(pair, _SUMMANDS)
    record = {'question': f'What is {a} + {b}?', 'answer': f'{a + b}'}
    yield f'sums:{count}', record | {'grader': 'gsm8k'}


_READERS = {'tfds': _tfds, 'jsonl': _jsonl, 'sums': _sums}


def _question(record: Mapping[str, Any], grader: str, where: str) -> Question:
  """Checked, so that no answer fails when it is graded in a run."""
  for field in ('question', 'answer'):
    value = record.get(field)
    if not isinstance(value, str) or not value.strip():
      came = type(value).__name__ if field in record else 'none'
      raise ValueError(f'{where}: expected text in {field!r}, came {came}')
  grader = record.get('grader', grader)
  if grader not in GRADERS:
    raise ValueError(
      f"{where}: 'grader' must be one of {', '.join(GRADERS)}, came {grader!r}"
    )
  made = Question(record['question'], record['answer'], grader)
  try:
    GRADERS[grader]('', made.answer)
  except ValueError as error:
    raise ValueError(
      f'{where}: {error}; correct it or set --config.data.grader, which is '
      f'{grader!r}'
    ) from error
  return made


def read(config: DataConfig, split: str) -> list[Question]:
  """The questions of 'train' or 'test'.

  Raises:
    ValueError: an unknown source, a malformed record (with its place), or no
      question at all.
    FileNotFoundError: no such file or prepared data set.
  """
  key, spec = 'data.questions', config.questions
  if split == 'test' and config.test_questions:
    key, spec = 'data.test_questions', config.test_questions
  out = []
  for source in filter(None, map(str.strip, spec.split(';'))):
    kind, _, argument = source.partition(':')
    if kind not in _READERS or not argument:
      raise ValueError(
        f'{key} must be {KINDS}, got {source!r}; set --config.{key}'
      )
    whole = kind != 'jsonl' or config.test_questions
    for where, record in _READERS[kind](argument, split, key):
      made = _question(record, config.grader, where)
      of_test = splits.split_of(made.question) == 'test'
      if whole or of_test == (split == 'test'):
        out.append(made)
  if not out:
    raise ValueError(
      f'{key}={spec!r} must hold questions of the {split} split, found none; '
      f'set --config.data.{"test_" * (split == "test")}questions to {KINDS}'
    )
  return out[: config.test_records or None] if split == 'test' else out


# Text to ids and back.


class Codec(NamedTuple):
  """A tokenizer as it is needed here.

  `encode` renders a question, `decode` leaves specials out, `pieces` are texts
  of single tokens, `ends` are ids that end a text.
  """

  encode: Callable[[Question], list[int]]
  decode: Callable[[Sequence[int]], str]
  pieces: Callable[[Sequence[int]], list[str]]
  ends: frozenset[int]
  vocab_size: int


def plain(question: Question) -> str:
  """The prompt for a model that knows no chat."""
  return f'Question: {question.question}\nAnswer:'


def message(question: Question) -> str:
  """What a user says to a chat model."""
  return f'{INSTRUCTIONS[question.grader]}\n\n{question.question}'


def codec(config: DataConfig) -> Codec:
  """Of the tokenizer and the template that a config names.

  Raises:
    FileNotFoundError: no such checkpoint, or no tokenizer in it.
    ValueError: a template that is not there.
  """
  if config.tokenizer == BYTES:
    if config.template == 'chat':
      raise ValueError(
        "data.template='chat' needs the tokenizer of a checkpoint; set "
        '--config.data.tokenizer or --config.data.template=plain'
      )
    bytes_only = tokenizer_lib.Tokenizer.train(
      [], vocab_size=tokenizer_lib.MIN_VOCAB
    )
    ends = frozenset({config.eos_id, bytes_only.eos_id})
    return Codec(
      lambda question: bytes_only.encode(plain(question)),
      bytes_only.decode,
      bytes_only.pieces,
      ends,
      bytes_only.vocab_size,
    )
  path = hub.resolve(config.tokenizer)
  theirs = pretrained_tokenizer.CheckpointTokenizer.load(path)

  def encode(question):
    if config.template == 'chat':
      return theirs.chat([{'role': 'user', 'content': message(question)}])
    return theirs.encode(plain(question), parse_specials=False, add_bos=False)

  ends = frozenset({config.eos_id, *theirs.stop_ids})
  return Codec(encode, theirs.decode, theirs.pieces, ends, theirs.vocab_size)


def pieces(codec: Codec, tokens) -> np.ndarray:
  """One text a token, in the shape of `tokens`; '' for those without any."""
  ids = np.asarray(tokens)
  known = ids < codec.vocab_size  # a model may have rows to spare
  texts = codec.pieces(np.where(known, ids, 0).ravel().tolist())
  return np.where(known, np.array(texts).reshape(ids.shape), '')


def prompts(
  config: DataConfig, codec: Codec, questions: Sequence[Question]
) -> dict[str, np.ndarray]:
  """Questions as arrays, a row each.

  Returns:
    'prompt' int32 [R, P], the last P tokens, on the right; 'present' bool
    [R, P], false where nothing stands; 'answer' int32 [R], the row's number,
    by which a `Grader` finds it.

  Raises:
    ValueError: a mask in a prompt.
  """
  shape = (len(questions), config.prompt)
  tokens = np.full(shape, config.eos_id, np.int32)
  present = np.zeros(shape, bool)
  for row, question in enumerate(questions):
    ids = codec.encode(question)[-config.prompt :]
    if config.mask_id in ids:
      raise ValueError(
        f'expected a question without the token data.mask_id={config.mask_id}, '
        f'came {question.question[:80]!r}; change --config.data.mask_id'
      )
    begin = config.prompt - len(ids)
    tokens[row, begin:] = ids
    present[row, begin:] = True
  return {
    'prompt': tokens,
    'present': present,
    'answer': np.arange(len(questions), dtype=np.int32),
  }


# What is right.


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Grader:
  """Grades tokens on the host; see `rewards` for the same under jit."""

  codec: Codec
  mask_id: int
  questions: Sequence[Question]

  def text(self, tokens: Sequence[int]) -> str:
    """What was written, up to its end; masks and specials are left out."""
    ids = []
    for token in tokens:
      if token in self.codec.ends:
        break
      if token != self.mask_id:
        ids.append(token)
    return self.codec.decode(ids)

  def __call__(self, answers, rows) -> np.ndarray:
    """Whether each of `answers` [R, L] answers the question `rows` [R]."""
    right = []
    lists = (np.asarray(x).tolist() for x in (answers, rows))
    for tokens, row in zip(*lists, strict=True):
      _, target, grader = self.questions[row]
      right.append(GRADERS[grader](self.text(tokens), target))
    return np.array(right, bool)


def rewards(
  grade: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Callable[..., jax.Array]:
  """`train_policy.Reward` of a function of the host.

  Every device has its own rows graded by its process; on a mesh rows must
  divide over the data axes. `grade` is (answers [R, L], rows [R]) -> bool [R].
  """

  def local(answers, rows):
    shape = jax.ShapeDtypeStruct(rows.shape, np.dtype(bool))
    return jax.pure_callback(grade, shape, answers, rows)

  def right(prompts, answers, targets):
    del prompts
    if jax.sharding.get_abstract_mesh().empty:
      return local(answers, targets)
    spread = P(mesh_lib.BATCH)
    return jax.shard_map(
      local, in_specs=(spread, spread), out_specs=spread, check_vma=False
    )(answers, targets)

  return right
