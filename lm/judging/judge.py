"""Asking a model to judge, and knowing how often it did not.

Whom to ask is a function from prompts to replies: `Endpoint.ask`, or any over
a local model. What cannot be read is a verdict without a value, with its reason
and the text; it is counted, and no average is taken over it by default.
"""

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from absl import logging

from lm.judging import endpoint, reply, verdict

Ask = Callable[[list[endpoint.Prompt]], Sequence[str | reply.Failure]]


class Verdict(NamedTuple):
  """What the judge said of one prompt.

  Attributes:
    value: None where there is none.
    reason: why there is none; '' where there is a value.
    raw: the text of the last reply; None where none came.
    attempts: how often the judge was asked.
  """

  value: Any
  reason: str
  raw: str | None
  attempts: int


class Verdicts(tuple):
  """Verdicts in the order of the prompts."""

  @property
  def values(self) -> list[Any]:
    """None where there is no value."""
    return [v.value for v in self]

  @property
  def failures(self) -> dict[int, Verdict]:
    """Those without a value, by the number of the prompt."""
    return {i: v for i, v in enumerate(self) if v.reason}

  @property
  def unparsed(self) -> int:
    """How many replies could not be read."""
    return sum(v.raw is not None for v in self.failures.values())

  @property
  def unanswered(self) -> int:
    """How many replies never came."""
    return sum(v.raw is None for v in self.failures.values())

  def rate(
    self,
    score: Callable[[Any], float],
    *,
    failures: str | float = 'refuse',
  ) -> float:
    """The mean of `score(value)`.

    Args:
      score: of a value; True is 1, as in `lambda value: value == 'yes'`.
      failures: what those without a value are: 'refuse' raises if there are
        any, 'drop' leaves them out, a number is their score (0 and 1 give the
        bounds of a share).

    Raises:
      ValueError: failures that nobody said how to treat, or nothing to average.
    """
    missing = len(self.failures)
    scores = [float(score(v.value)) for v in self if not v.reason]
    if isinstance(failures, int | float):
      scores += [float(failures)] * missing
    elif failures not in ('refuse', 'drop'):
      raise ValueError(
        f"failures must be 'refuse', 'drop' or a number, got {failures!r}"
      )
    elif missing and failures == 'refuse':
      first, why = next(iter(self.failures.items()))
      raise ValueError(
        f'{self.unparsed} of {len(self)} verdicts could not be read and '
        f'{self.unanswered} never came (prompt {first}: {why.reason}); '
        "say how they count: failures='drop' or a number"
      )
    if not scores:
      raise ValueError(f'no verdict to average, of {len(self)}')
    return statistics.fmean(scores)


@dataclasses.dataclass(frozen=True)
class Judge:
  """Asks for verdicts and reads them.

  Attributes:
    ask: gives the replies to many prompts in their order; a `Failure` where
      none came.
    schema: how a reply is read, see lm/judging/verdict.py.
    attempts: how often a reply that cannot be read is asked for, each time
      with what was wrong, so that neither a cache nor a greedy model repeats
      itself. Replies that never came are not asked for again: `ask` has tried.
  """

  ask: Ask
  schema: verdict.Schema
  _: dataclasses.KW_ONLY
  attempts: int = 1

  def __post_init__(self):
    if self.attempts < 1:
      raise ValueError(f'attempts must be at least 1, got {self.attempts}')

  def __call__(self, prompts: Sequence[endpoint.Prompt]) -> Verdicts:
    """Verdicts on prompts: texts, or messages of a chat."""
    asked: list[endpoint.Prompt] = list(prompts)
    found: list[Verdict] = [None] * len(asked)
    open_ = list(range(len(asked)))
    for attempt in range(1, self.attempts + 1):
      if not open_:
        break
      replies = self.ask([asked[i] for i in open_])
      if len(replies) != len(open_):
        raise ValueError(
          f'ask must give a reply a prompt, {len(open_)}, got {len(replies)}'
        )
      for i, said in zip(open_, replies, strict=True):
        found[i] = self._read(said, attempt)
      open_ = [i for i in open_ if found[i].reason and found[i].raw is not None]
      for i in open_:
        asked[i] = self._again(asked[i], found[i])
    verdicts = Verdicts(found)
    if failures := verdicts.failures:
      logging.warning(
        'Of %d verdicts %d cannot be read and %d never came; the first: %s',
        len(verdicts),
        verdicts.unparsed,
        verdicts.unanswered,
        next(iter(failures.values())).reason,
      )
    return verdicts

  def _read(self, said: str | reply.Failure, attempt: int) -> Verdict:
    if isinstance(said, reply.Failure):
      return Verdict(None, said.reason or 'no reply', None, attempt)
    if not isinstance(said, str):
      raise TypeError(f'ask must give texts or Failures, got {type(said)}')
    try:
      return Verdict(self.schema(said), '', said, attempt)
    except ValueError as error:
      return Verdict(None, str(error) or 'not to be read', said, attempt)

  def _again(self, prompt: endpoint.Prompt, last: Verdict) -> endpoint.Prompt:
    """The prompt with what was wrong; longer each time."""
    note = (
      f'That could not be read: {last.reason}. '
      f'Reply with {self.schema.wish} and nothing else.'
    )
    if isinstance(prompt, str):
      return f'{prompt}\n\n{last.raw}\n\n{note}'
    return [
      *prompt,
      {'role': 'assistant', 'content': last.raw},
      {'role': 'user', 'content': note},
    ]
