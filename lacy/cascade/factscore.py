"""Scores of free text: supported facts, and answers that leak (section 7).

Which facts a text states, and which of them hold, a judge says: `Scorer` asks
any that `lm.judge.Judge` takes (docs/judging.md). The rest is arithmetic on
verdicts.
"""

import dataclasses
import math
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from lm.judging import judge, verdict


def factscore(
  supported: Sequence[float], *, gamma: float = 10.0, penalty: bool = True
) -> float:
  """Share of a text's atomic facts that are supported.

  Args:
    supported: a verdict for each fact that the text states, in [0, 1].
    gamma: texts with fewer facts are scaled by exp(1 - gamma / facts).
    penalty: whether they are. Report both; which one the paper does is not
      known.

  Returns:
    In [0, 1]; 0 for a text without facts.
  """
  count = len(supported)
  if not count:
    return 0.0
  score = sum(map(float, supported)) / count
  if penalty and count < gamma:
    score *= math.exp(1.0 - gamma / count)
  return score


def answer_leakage(
  gold: Sequence[Collection[str]], outputs: Sequence[str]
) -> float:
  """Share of outputs, made without calls, that contain a gold answer.

  Containment ignores case. Lower is better: the fact was delegated.

  Raises:
    ValueError: the two differ in length, or there is nothing to score.
  """
  if len(gold) != len(outputs) or not gold:
    raise ValueError(
      f'as many outputs as questions are needed, at least one; got '
      f'{len(gold)} questions and {len(outputs)} outputs'
    )
  hits = [
    any(answer.lower() in output.lower() for answer in answers)
    for answers, output in zip(gold, outputs, strict=True)
  ]
  return sum(hits) / len(hits)


SPLIT = (
  'List the facts that the text below states: one short sentence a fact, each '
  "on a line of its own that begins with '- ', each to be understood alone. If "
  "it states none, reply with 'none'.\n\nText: {text}"
)
SPLIT_AFTER = (
  'Below is the opening of a text and how it goes on. List the facts that the '
  'continuation states: one short sentence a fact, each on a line of its own '
  "that begins with '- ', each to be understood alone. Leave out what the "
  "opening states already. If it states none, reply with 'none'.\n\n"
  'Opening: {given}\n\nContinuation: {text}'
)
CHECK = (
  'Reference: {reference}\n\nClaim: {fact}\n\nDoes the reference support the '
  'claim? Reply with yes or no.'
)


class Lines:
  """The lines of a reply that begin with a dash; 'none' is no line."""

  wish = "lines that begin with '- ', or none"

  def __call__(self, text: str) -> list[str]:
    said = verdict.answer(text)
    return self.check(
      re.findall(r'^\s*[-*\u2022]\s+(.*\S)', said, re.M) or said
    )

  def check(self, value) -> list[str]:
    if isinstance(value, str):
      if value.strip(' .*"\'').casefold() == 'none':
        return []
      raise ValueError(f'expected {self.wish}, came {value[:80]!r}')
    return [str(line) for line in value]


# Names of scores, and whether few facts are penalised.
SCORES = {'factscore': False, 'factscore_penalised': True}


class Scores(NamedTuple):
  """Of N texts.

  Attributes:
    factscore: [N], nan for a text that was left out.
    factscore_penalised: [N], with the penalty for few facts.
    facts: [N], how many each states.
    unlisted: texts whose facts the judge did not list.
    unchecked: facts that it did not check.
  """

  factscore: np.ndarray
  factscore_penalised: np.ndarray
  facts: np.ndarray
  unlisted: int
  unchecked: int

  def means(self) -> dict[str, float]:
    """Means of the texts that are left, nan without any; the failures."""
    kept = ~np.isnan(self.factscore)
    means = {
      name: float(getattr(self, name)[kept].mean()) if kept.any() else math.nan
      for name in SCORES
    }
    return means | {
      'facts': float(self.facts.sum() / max(len(self.facts), 1)),
      'unlisted': self.unlisted,
      'unchecked': self.unchecked,
    }


@dataclasses.dataclass(frozen=True)
class Scorer:
  """FactScore by a judge: it lists the facts of a text, then checks each.

  Attributes:
    ask: whom to ask, see lm/judging/judge.py.
    failures: as `lm.judge.Verdicts.rate` takes it: 'refuse' raises where a
      verdict is missing, 'drop' leaves the fact out, a number is its score. A
      text whose facts were not listed is refused, left out, or has that score.
    gamma: of `factscore`.
    attempts: how often a reply that cannot be read is asked for.
  """

  ask: judge.Ask
  _: dataclasses.KW_ONLY
  failures: str | float = 'refuse'
  gamma: float = 10.0
  attempts: int = 2

  def _check(self, claims, references) -> judge.Verdicts:
    """Whether the reference supports each (number of its text, fact)."""
    checker = judge.Judge(
      self.ask, verdict.Choice(('yes', 'no')), attempts=self.attempts
    )
    checked = checker(
      [CHECK.format(reference=references[i], fact=fact) for i, fact in claims]
    )
    if checked.failures and self.failures == 'refuse':
      checked.rate(lambda value: value == 'yes')
    return checked

  def __call__(
    self,
    texts: Sequence[str],
    references: Sequence[str],
    *,
    given: Sequence[str] | None = None,
  ) -> dict[str, float]:
    """The means of `each`."""
    return self.each(texts, references, given=given).means()

  def each(
    self,
    texts: Sequence[str],
    references: Sequence[str],
    *,
    given: Sequence[str] | None = None,
  ) -> Scores:
    """Scores of texts, each against its reference.

    Args:
      texts: what was generated.
      references: the text that supports a fact, or does not.
      given: the opening of each text, if it has one. What the opening states
        is nobody's achievement: the judge reads it, and a fact that it
        supports is left out.

    Raises:
      ValueError: failures that are refused, or other numbers of references.
    """
    if len({len(texts), len(references), len(given or texts)}) > 1:
      raise ValueError(
        f'a reference and an opening a text are needed, got {len(texts)} '
        f'texts, {len(references)} references and '
        f'{"no" if given is None else len(given)} openings'
      )
    lister = judge.Judge(self.ask, Lines(), attempts=self.attempts)
    if given is None:
      asked = [SPLIT.format(text=text) for text in texts]
    else:
      asked = [
        SPLIT_AFTER.format(given=opening, text=text)
        for opening, text in zip(given, texts, strict=True)
      ]
    listed = lister(asked)
    if listed.failures and self.failures == 'refuse':
      listed.rate(len)  # says which and why
    claims = [
      (i, fact) for i, said in enumerate(listed) for fact in said.value or ()
    ]
    unchecked: list[int] = []
    if given is not None:
      before = list(zip(claims, self._check(claims, given), strict=True))
      claims = [claim for claim, said in before if said.value == 'no']
      unchecked = [i for (i, _), said in before if said.reason]
    checked = list(zip(claims, self._check(claims, references), strict=True))
    unchecked += [i for (i, _), said in checked if said.reason]
    found: list[list[float]] = [[] for _ in texts]
    for (i, _), said in checked:
      if not said.reason:
        found[i].append(float(said.value == 'yes'))
    if self.failures != 'drop':
      for i in unchecked:
        found[i].append(float(self.failures))
    out = {name: np.full(len(texts), np.nan) for name in SCORES}
    for i, (said, scores) in enumerate(zip(listed, found, strict=True)):
      lost = said.reason or (i in unchecked and not scores)
      if lost and self.failures == 'drop':
        continue
      for name, penalty in SCORES.items():
        out[name][i] = (
          float(self.failures)
          if lost
          else factscore(scores, gamma=self.gamma, penalty=penalty)
        )
    return Scores(
      **out,
      facts=np.bincount([i for i, _ in claims], minlength=len(texts)),
      unlisted=len(listed.failures),
      unchecked=len(unchecked),
    )
