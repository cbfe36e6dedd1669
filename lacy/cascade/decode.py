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
  """What the small model says next: `score` orders calls, `token` is over V."""

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


@dataclasses.dataclass
class Cascaded:
  """A generation and its accounts.

  `spans`: character ranges of `text` that the partner wrote.
  `decisions`, `calls`: decode decisions and how many were calls.
  `tokens`, `delegated`: generated small-model tokens, and those whose first
  character the partner wrote.
  """

  text: str
  spans: list[tuple[int, int]]
  decisions: int = 0
  calls: int = 0
  tokens: int = 0
  delegated: int = 0

  @property
  def call_decision_rate(self) -> float:
    return self.calls / max(self.decisions, 1)

  @property
  def delegated_token_fraction(self) -> float:
    return self.delegated / max(self.tokens, 1)


def call_reader(
  logits_fn: Callable[[Sequence[int]], np.ndarray], call_id: int
) -> Callable[[Sequence[int]], Reading]:
  """Readings from logits [V]: log-odds of CALL, argmax without it."""

  def read(ids):
    logits = np.array(logits_fn(ids), np.float64)
    call = logits[call_id]
    logits[call_id] = -np.inf
    high = logits.max()
    lse = high + np.log(np.exp(logits - high).sum())
    return Reading(score=float(call - lse), token=int(logits.argmax()))

  return read


def uncertainty_reader(
  logits_fn: Callable[[Sequence[int]], np.ndarray], call_id: int
) -> Callable[[Sequence[int]], Reading]:
  """For models never taught to call: minus the top log-probability over V."""

  def read(ids):
    logits = np.array(logits_fn(ids), np.float64)
    logits[call_id] = -np.inf
    high = logits.max()
    lse = high + np.log(np.exp(logits - high).sum())
    return Reading(score=float(lse - high), token=int(logits.argmax()))

  return read


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
      if BROKEN not in tokenizer.decode(new):
        break
    return tokenizer.decode(new)

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
  wait behind the text, and nobody is called in the middle of a character.
  """
  out = Cascaded(text=prompt, spans=[])
  pending: list[int] = []
  while out.decisions < max_decisions:
    ids = [tokenizer.bos_id, *tokenizer.encode(out.text), *pending]
    reading = read(ids)
    out.decisions += 1
    if threshold.observe(reading.score) and not pending:
      out.calls += 1
      piece = partner(out.text)
      if not piece:
        break
      out.spans.append((len(out.text), len(out.text) + len(piece)))
      out.text += piece
      continue
    if reading.token == tokenizer.eos_id:
      break
    pending.append(reading.token)
    piece = tokenizer.decode(pending)
    if BROKEN not in piece or len(pending) >= MAX_CHARACTER_IDS:
      out.text += piece
      pending = []
  _count_tokens(out, tokenizer, prompt)
  return out


def _count_tokens(out: Cascaded, tokenizer: Encoder, prompt: str) -> None:
  """Counts the generated tokens by who wrote their first character."""
  written = np.zeros(len(out.text) + 1, bool)
  for start, end in out.spans:
    written[start:end] = True
  ids = tokenizer.encode(out.text)
  place = 0
  for i, token in enumerate(ids):
    if place >= len(prompt):
      out.tokens += 1
      out.delegated += bool(written[place])
    piece = tokenizer.decode([token])
    whole = BROKEN not in piece
    place = place + len(piece) if whole else len(tokenizer.decode(ids[: i + 1]))
