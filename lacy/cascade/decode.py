"""Decoding in a cascade: the small model writes, and calls when it must.

Section 6. The text is the source of truth: whatever wrote the last piece, the
text is encoded again for the small model, whose cache is kept up to the first
id that changed. So the partner may be any callable on text, with a tokenizer
of its own, and CALL never enters the context.
"""

import bisect
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

Partner = Callable[[str], str]

# What an unfinished character decodes to; UTF-8 has four bytes at most.
BROKEN = '\N{REPLACEMENT CHARACTER}'
MAX_CHARACTER_IDS = 4


class Encoder(Protocol):
  """The part of lm.tokenizer.Tokenizer that decoding needs."""

  bos_id: int
  eos_id: int

  def encode(self, text: str) -> list[int]: ...

  def decode(self, ids: Sequence[int]) -> str: ...


class Reading(NamedTuple):
  """What the small model says: `score` orders calls, `token` is its own."""

  score: float
  token: int


class RunningQuantile:
  """Call iff fewer than beta t of the t scores seen are greater (section 6).

  Seed it with the scores of calibration prompts, else the first few decisions
  overshoot the budget. Beta 0 never calls, beta 1 always.
  """

  def __init__(self, beta: float, history: Iterable[float] = ()):
    if not 0.0 <= beta <= 1.0:
      raise ValueError(f'lacy.beta must lie in [0, 1], got {beta}')
    self.beta = beta
    self._sorted = sorted(history)

  def observe(self, score: float) -> bool:
    """Adds the score, then decides on it."""
    bisect.insort(self._sorted, score)
    seen = len(self._sorted)
    greater = seen - bisect.bisect_right(self._sorted, score)
    return greater < self.beta * seen


class Counts(NamedTuple):
  """Accounts of a generation, or of its beginning.

  `calls` of `decisions`; `tokens` of the small model that were generated, and
  the `delegated` ones, whose first character the partner wrote.
  """

  calls: int
  decisions: int
  delegated: int
  tokens: int


class Mark(NamedTuple):
  """A decision or a token: its character in the text, and who wrote it."""

  place: int
  partner: bool


@dataclasses.dataclass
class Cascaded:
  """A generation and its accounts.

  `spans`: character ranges of `text` that the partner wrote.
  `decisions`: every decision, at the character that it wrote or would have.
  `tokens`: the generated tokens of the small model.
  """

  text: str
  spans: list[tuple[int, int]]
  decisions: list[Mark] = dataclasses.field(default_factory=list)
  tokens: list[Mark] = dataclasses.field(default_factory=list)

  def counts(self, end: int | None = None) -> Counts:
    """Accounts of the text before character `end`, of all of it if None.

    The decision that ended the text belongs to the last character.
    """
    end = len(self.text) if end is None else end
    whole = end == len(self.text)
    made = [m.partner for m in self.decisions if m.place < end or whole]
    tokens = [m.partner for m in self.tokens if m.place < end]
    return Counts(sum(made), len(made), sum(tokens), len(tokens))

  @property
  def call_decision_rate(self) -> float:
    counts = self.counts()
    return counts.calls / max(counts.decisions, 1)

  @property
  def delegated_token_fraction(self) -> float:
    counts = self.counts()
    return counts.delegated / max(counts.tokens, 1)


def _split(logits, call_id: int, size: int):
  """Logit of CALL, log-sum-exp of the other rows, best token and its logit.

  All rows but CALL are in the softmax, as in training, but only the first
  `size` rows have a token to write.
  """
  logits = np.array(logits, np.float64)
  call = logits[call_id]
  logits[call_id] = -np.inf
  high = logits.max()
  lse = high + np.log(np.exp(logits - high).sum())
  token = int(logits[:size].argmax())
  return call, lse, token, logits[token]


def call_reader(
  logits_fn: Callable[[Sequence[int]], np.ndarray], call_id: int, size: int
) -> Callable[[Sequence[int]], Reading]:
  """Readings from logits: log-odds of CALL, and the best of `size` tokens.

  Args:
    logits_fn: ids to logits, [V] with V at least `size`.
    call_id: the row of CALL.
    size: ids of the tokenizer; the rows behind them are never written.
  """

  def read(ids):
    call, lse, token, _ = _split(logits_fn(ids), call_id, size)
    return Reading(score=float(call - lse), token=token)

  return read


def uncertainty_reader(
  logits_fn: Callable[[Sequence[int]], np.ndarray], call_id: int, size: int
) -> Callable[[Sequence[int]], Reading]:
  """For models never taught to call: minus the top log-probability over V."""

  def read(ids):
    _, lse, token, high = _split(logits_fn(ids), call_id, size)
    return Reading(score=float(lse - high), token=token)

  return read


def continuation(
  tokenizer: Encoder, ids: Sequence[int], new: Sequence[int]
) -> str:
  """The text that `new` adds behind `ids`.

  Alone, a tokenizer in the style of SentencePiece decodes `new` without the
  space that it begins with.
  """
  return tokenizer.decode([*ids, *new])[len(tokenizer.decode(ids)) :]


def greedy_partner(
  read: Callable[[Sequence[int]], Reading], tokenizer: Encoder
) -> Partner:
  """A model as partner: its greedy next token as text, '' at the end of text.

  A token that ends in the middle of a character is followed by the next ones,
  until the character is whole.
  """

  def partner(text: str) -> str:
    ids = [tokenizer.bos_id, *tokenizer.encode(text)]
    new: list[int] = []
    while len(new) < MAX_CHARACTER_IDS:
      token = read([*ids, *new]).token
      if token == tokenizer.eos_id:
        break
      new.append(token)
      if BROKEN not in continuation(tokenizer, ids, new):
        break
    return continuation(tokenizer, ids, new)

  return partner


def generate(
  read: Callable[[Sequence[int]], Reading],
  partner: Partner,
  tokenizer: Encoder,
  prompt: str,
  threshold: RunningQuantile,
  *,
  max_decisions: int,
) -> Cascaded:
  """Greedy decoding with delegation, up to `max_decisions` or end of text.

  Args:
    read: the small model on ids that start with bos.
    partner: text so far to the piece that follows; '' ends the text.
    tokenizer: the small model's.
    prompt: text to continue; nobody's decision.
    threshold: one stream over all prompts, in their order.
    max_decisions: decode decisions at most.

  A character may span several ids. Ids that do not make whole characters yet
  wait behind the text, and nobody is called in the middle of a character. An
  id that adds no text ends it: a stop id of a checkpoint, or a special token
  behind which every decision would be the same.
  """
  out = Cascaded(text=prompt, spans=[])
  pending: list[int] = []
  while len(out.decisions) < max_decisions:
    ids = [tokenizer.bos_id, *tokenizer.encode(out.text)]
    reading = read([*ids, *pending])
    called = threshold.observe(reading.score) and not pending
    out.decisions.append(Mark(len(out.text), called))
    if called:
      piece = partner(out.text)
      if not piece:
        break
      out.spans.append((len(out.text), len(out.text) + len(piece)))
      out.text += piece
      continue
    ends = reading.token == tokenizer.eos_id
    if ends or not continuation(tokenizer, ids, [reading.token]):
      break
    pending.append(reading.token)
    piece = continuation(tokenizer, ids, pending)
    if BROKEN not in piece or len(pending) >= MAX_CHARACTER_IDS:
      out.text += piece
      pending = []
  out.tokens = token_marks(out, tokenizer, prompt)
  return out


def token_marks(out: Cascaded, tokenizer: Encoder, prompt: str) -> list[Mark]:
  """The generated tokens, by who wrote their first character."""
  written = np.zeros(len(out.text) + 1, bool)
  for start, end in out.spans:
    written[start:end] = True
  ids = tokenizer.encode(out.text)
  marks = []
  place = 0
  for i in range(len(ids)):
    if place >= len(prompt):
      marks.append(Mark(place, bool(written[place])))
    before = tokenizer.decode(ids[: i + 1])
    # In the middle of a character the next id belongs to it too.
    if out.text.startswith(before) or not before.endswith(BROKEN):
      place = len(before)
  return marks
