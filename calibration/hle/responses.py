"""A model takes the exam, a judge marks it; what is kept names no question.

  <folder>/responses/00000.jsonl   an attempt a line

A shard is answered and judged before it is written, so a run that was killed at
any point goes on with the next questions and ends in the same report. A line
holds the id, what was made of the response and the judge's verdict; neither the
question nor the response, which may quote it.
"""

import collections
import contextlib
import dataclasses
import functools
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np

from calibration.hle import data, guard, parse, protocol
from calibration.recording import record
from engine.runs import recording as recording_lib
from engine.runs import writer
from lm.checkpoints import decoder, hub
from lm.decoding import prefix_cache
from lm.judging import endpoint, local, turns
from lm.judging import reply as reply_lib

RULES = 'rules'
_GROUP = 'responses'
# Tokens of a question with its right answer and the judge's instructions; the
# judge may split a response into twice the tokens that its model wrote.
_QUESTION = 8192
Judge = Callable[[Sequence[str]], Sequence[str | reply_lib.Failure]]


class Said(NamedTuple):
  """A response; `text` is None where none came.

  `tokens` is how many it has, None where a server does not say; `cut` that it
  met its limit.
  """

  text: str | None
  tokens: int | None
  cut: bool


# Items to the responses of every attempt, [items][attempts].
Answer = Callable[[Sequence[data.Item]], list[list[Said]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Responses(recording_lib.Recording):
  """Who takes the exam and who marks it: see configs/calibration/hle.py.

  Attributes, besides those of `engine.runs.recording.Recording`:
    digest: SHA-256 of the ids of the questions that are asked, in order.
    url: an OpenAI-compatible server that has `model`; a local model if empty.
    key_env: environment variable with its key.
    judge: 'rules' (letters, numbers and words), a local model, or a model of
      `judge_url`.
    judge_compute: dtype of a local judge.
    judge_url: see `url`. judge_key_env: likewise.
    attempts: responses to each question; more than one needs a temperature.
    temperature: 0 takes the most probable.
    max_new_tokens: of a response. judge_tokens: of the judge's.
  """

  HOME: ClassVar[str] = 'exams'
  SUFFIX: ClassVar[str] = '.jsonl'
  VERSION: ClassVar[int] = 1
  SECTION: ClassVar[str] = 'hle'
  FREE: ClassVar[tuple[str, ...]] = (
    *recording_lib.Recording.FREE,
    'key_env',
    'judge_key_env',
  )

  digest: str
  url: str = ''
  key_env: str = 'OPENAI_API_KEY'
  judge: str = RULES
  judge_compute: str = 'bfloat16'
  judge_url: str = ''
  judge_key_env: str = 'OPENAI_API_KEY'
  attempts: int = 1
  temperature: float = 0.0
  max_new_tokens: int = 256
  judge_tokens: int = 256

  def __post_init__(self):
    super().__post_init__()
    self.check_positive('attempts', 'max_new_tokens', 'judge_tokens')
    if self.temperature < 0:
      raise ValueError(
        f'hle.temperature must not be negative, got {self.temperature}'
      )
    if self.attempts > 1 and not self.temperature:
      raise ValueError(
        f'hle.attempts={self.attempts} are all the same at temperature 0; set '
        'hle.temperature'
      )

  def groups(self) -> tuple[str, ...]:
    return (_GROUP,)

  def of(self, model: str, items: Sequence[data.Item]) -> 'Responses':
    """The same for another model and exam."""
    ids = '\n'.join(item.id for item in items)
    digest = hashlib.sha256(ids.encode()).hexdigest()
    return dataclasses.replace(
      self, model=model, questions=len(items), digest=digest
    )

  def manifest(self) -> dict[str, Any]:
    found = super().manifest()
    for name, url in (('model', self.url), ('judge', self.judge_url)):
      model = getattr(self, name)
      if not url and model != RULES:
        path = hub.resolve(model, accept_licence=self.accept_licence)
        found[f'{name}_weights'] = record.fingerprint(path)
    return found


def gather(
  wanted: Responses, items: Sequence[data.Item], keep: guard.Guard
) -> None:
  """Answers and marks what is missing; opens no model if nothing is.

  Args:
    wanted: settings.
    items: of the exam, in order.
    keep: knows what must not be written.

  Raises:
    ValueError: the folder holds another exam or other settings.
  """

  def ask(**share):
    with open_judge(wanted) as judge:
      take(wanted, items, open_model(wanted), judge, keep, **share)

  wanted.gather(ask)


def take(
  wanted: Responses,
  items: Sequence[data.Item],
  answer: Answer,
  judge: Judge | None,
  keep: guard.Guard,
  *,
  process: int = 0,
  processes: int = 1,
  enabled: bool = True,
) -> None:
  """Writes what is missing.

  Args:
    wanted: settings.
    items: of the exam, in order.
    answer: the model.
    judge: takes prompts; None for the rules.
    keep: knows what must not be written.
    process: see `Recording.missing`.
    processes: see `Recording.missing`.
    enabled: whether to show progress.

  Raises:
    guard.LeakError: a line would hold a question; it is not written.
  """

  def write(shard, path):
    some = items[wanted.rows(shard)]
    rows = mark(some, answer(some), judge)
    text = ''.join(json.dumps(row, ensure_ascii=False) + '\n' for row in rows)
    keep.check(text, str(path))
    with writer.replace(path) as temporary:
      temporary.write_text(text, encoding='utf-8')

  wanted.fill(
    wanted.missing(process, processes),
    write,
    unit='questions',
    enabled=enabled,
  )


def mark(
  items: Sequence[data.Item],
  said: Sequence[Sequence[Said]],
  judge: Judge | None,
) -> list[dict[str, Any]]:
  """Lines of the file. An empty response is wrong, and no judge is asked."""
  pairs = [
    (item, number, one)
    for item, many in zip(items, said, strict=True)
    for number, one in enumerate(many)
  ]
  found = [_empty(one) for _, _, one in pairs]
  asked = [i for i, verdict in enumerate(found) if verdict is None]
  if judge is None:
    replies = [protocol.by_rules(pairs[i][0], pairs[i][2].text) for i in asked]
  else:
    replies = map(
      _judged,
      judge([protocol.judge(pairs[i][0], pairs[i][2].text) for i in asked]),
    )
  for i, verdict in zip(asked, replies, strict=True):
    found[i] = verdict
  return [
    _line(item, number, one, verdict)
    for (item, number, one), verdict in zip(pairs, found, strict=True)
  ]


def _empty(one: Said) -> parse.Judgement | None:
  if one.text is None:
    return parse.Judgement(None, parse.NONE_STATED, reason='no response')
  if not one.text.strip():
    return parse.Judgement(False, parse.NONE_STATED)
  return None


def _judged(reply: str | reply_lib.Failure) -> parse.Judgement:
  if isinstance(reply, reply_lib.Failure):
    return parse.Judgement(None, parse.NONE_STATED, reason='no reply')
  return parse.judgement(reply)


def _line(item, number, one, verdict) -> dict[str, Any]:
  text = one.text or ''
  stated = parse.confidence(text)
  said = parse.answer(text)
  return {
    'id': item.id,
    'attempt': number,
    'answer_type': item.answer_type,
    'category': item.category,
    # None is unjudged, and stays so.
    'correct': verdict.correct,
    'confidence': verdict.confidence,
    'stated': stated.flag or 'stated',
    'answered': said is not None,
    'answer_hash': hashlib.sha256((said or '').encode()).hexdigest()[:16],
    'unjudged': verdict.reason,
    'empty': not text.strip(),
    'tokens': one.tokens,
    'cut': one.cut,
  }


def load(wanted: Responses) -> list[dict[str, Any]]:
  """All lines, in the order of the exam.

  Raises:
    FileNotFoundError: nothing was answered.
  """
  return [
    json.loads(line)
    for path in recording_lib.paths(wanted.at(), _GROUP, wanted.SUFFIX)
    for line in path.read_text(encoding='utf-8').splitlines()
  ]


@contextlib.contextmanager
def open_judge(wanted: Responses) -> Iterator[Judge | None]:
  """The judge; None for the rules. A local model is open within the block."""
  if wanted.judge == RULES:
    yield None
    return
  if wanted.judge_url:
    server = endpoint.Endpoint(
      wanted.judge_url,
      wanted.judge,
      api_key_env=wanted.judge_key_env,
      report_refused=True,
      quote=False,
    )
    yield functools.partial(
      server.ask, max_tokens=wanted.judge_tokens, temperature=0.0
    )
    return
  # Cache is made for what comes, so room costs nothing.
  size = _QUESTION + 2 * wanted.max_new_tokens + wanted.judge_tokens
  with local.Local.open(
    wanted.judge,
    accept_licence=wanted.accept_licence,
    dtype=wanted.judge_compute,
    slots=wanted.batch,
    size=size,
  ) as model:
    yield functools.partial(_ask, model, size, wanted.judge_tokens)


def _ask(model: local.Local, size: int, most: int, prompts):
  """Replies of a local judge; a `Failure` for what is longer than it takes."""
  asked = [[{'role': 'user', 'content': text}] for text in prompts]
  fits = [len(model.ids(one)) + most <= size for one in asked]
  replies = iter(
    model.ask(
      [one for one, fit in zip(asked, fits, strict=True) if fit],
      max_new_tokens=most,
    )
  )
  return [
    next(replies) if fit else reply_lib.Failure('too long') for fit in fits
  ]


def open_model(wanted: Responses) -> Answer:
  """The model that takes the exam; opened here."""
  if wanted.url:
    server = endpoint.Endpoint(
      wanted.url,
      wanted.model,
      api_key_env=wanted.key_env,
      report_refused=True,
      quote=False,
    )
    return functools.partial(_by_server, wanted, server)
  model = decoder.open_decoder(
    wanted.model,
    accept_licence=wanted.accept_licence,
    dtype=wanted.compute,
    what='model',
  )
  return functools.partial(_by_model, wanted, model)


def _by_server(wanted, server, items) -> list[list[Said]]:
  prompts = [
    protocol.question(item) for item in items for _ in range(wanted.attempts)
  ]
  replies = server.chat(
    prompts,
    max_tokens=wanted.max_new_tokens,
    temperature=wanted.temperature,
  )
  flat = []
  for reply in replies:
    if isinstance(reply, reply_lib.Failure) or not reply.samples:
      flat.append(Said(None, None, False))
      continue
    sample = reply.samples[0]
    flat.append(
      Said(
        sample.text,
        reply.usage.get('completion_tokens'),
        sample.finish == 'length',
      )
    )
  return [
    flat[i * wanted.attempts : (i + 1) * wanted.attempts]
    for i in range(len(items))
  ]


def _by_model(wanted, model, items) -> list[list[Said]]:
  for item in items:
    if item.image:
      raise ValueError(
        f'the question {item.id} has a picture, which a local model does not '
        'take; set exam.text_only=True or ask a server that does'
      )
  tokenizer = model.tokenizer
  prompts = [turns.ids(tokenizer, protocol.question(item)) for item in items]
  numbers = [zlib.crc32(item.id.encode()) for item in items]
  keys = record.keys_of(wanted.seed, np.array(numbers, np.uint32))
  drawn = prefix_cache.sample(
    model.config,
    model.params,
    prompts,
    keys,
    max_new_tokens=wanted.max_new_tokens,
    num_samples=wanted.attempts,
    temperature=wanted.temperature,
    stop=tokenizer.stop_ids,
    batch=wanted.batch,
  )
  out = []
  for found in jax.device_get(drawn):
    row = []
    for ids, length in zip(found.tokens[0], found.lengths[0], strict=True):
      ids = ids[: int(length)].tolist()
      ended = bool(ids) and ids[-1] in tokenizer.stop_ids
      text = tokenizer.decode(ids[:-1] if ended else ids)
      row.append(Said(text, len(ids), not ended))
    out.append(row)
  return out


def counts(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
  """How often a response or a judge's reply was of some kind."""
  stated = collections.Counter(row['stated'] for row in rows)
  return {
    'attempts': len(rows),
    'unjudged': sum(row['correct'] is None for row in rows),
    'empty': sum(row['empty'] for row in rows),
    'cut': sum(row['cut'] for row in rows),
    'answered': sum(row['answered'] for row in rows),
    'confidence_missing': stated['missing'],
    'confidence_fraction': stated['fraction'],
    'confidence_clamped': stated['clamped'],
    'tokens': sum(row['tokens'] or 0 for row in rows),
  }
