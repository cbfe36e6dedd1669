"""Scores of free text: supported facts, and answers that leak (section 7).

Judging which facts a text states, and which of them hold, is somebody else's
work (a judge's); here is the arithmetic on its verdicts.
"""

import math
from collections.abc import Collection, Sequence


def factscore(
  supported: Sequence[bool], *, gamma: float = 10.0, penalty: bool = True
) -> float:
  """Share of a text's atomic facts that are supported.

  Args:
    supported: a verdict for each fact that the text states.
    gamma: texts with fewer facts are scaled by exp(1 - gamma / facts).
    penalty: whether they are. Report both; which one the paper does is not
      known.

  Returns:
    In [0, 1]; 0 for a text without facts.
  """
  count = len(supported)
  if not count:
    return 0.0
  score = sum(map(bool, supported)) / count
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
