"""When to call: the share of text that goes to the partner, held by feedback.

The paper's running quantile (decode.RunningQuantile) counts calls a decision.
Where a call is worth a whole name, the share of the text is another number,
and it drifts with the texts. `Feedback` holds the share itself (ours).

  beta_t = beta + gain (beta total - written) / (total + damping)

`total` and `written`: tokens so far, and the partner's. A rate r of decisions
that are calls, each worth L tokens, writes a share r L / (r L + 1 - r): from
the L seen so far follows the r that writes beta_t, and a decision is a call if
fewer than r t of the t scores so far are greater.
"""

import bisect
from collections.abc import Sequence


class Feedback:
  """One stream over all texts; they may be written in lockstep."""

  def __init__(self, beta: float, *, gain: float = 4.0, damping: float = 200.0):
    """Starts with nothing written.

    Args:
      beta: share of the text that the partner shall write, in [0, 1].
      gain: how much a share that is missed changes the next one.
      damping: tokens; the share of fewer is no reason to change it.

    Raises:
      ValueError: a number out of its range.
    """
    if not 0.0 <= beta <= 1.0:
      raise ValueError(f'the budget must lie in [0, 1], got {beta}')
    if gain < 0 or damping < 0:
      raise ValueError(
        'cascade.gain and cascade.damping must not be negative, got '
        f'{gain} and {damping}'
      )
    self.beta, self.gain, self.damping = beta, gain, damping
    self.total = self.written = self.calls = 0
    self._sorted: list[float] = []

  @property
  def target(self) -> float:
    """beta_t, in [0, 1]; 0 and 1 for the budgets 0 and 1."""
    if self.beta in (0.0, 1.0) or not self.total:
      return self.beta
    missed = self.beta * self.total - self.written
    beta = self.beta + self.gain * missed / (self.total + self.damping)
    return min(max(beta, 0.0), 1.0)

  @property
  def rate(self) -> float:
    """The share of decisions that shall be calls."""
    beta = self.target
    worth = (self.written + 1) / (self.calls + 1)
    return beta / (beta + worth * (1 - beta)) if beta else 0.0

  def decide(self, scores: Sequence[float]) -> list[bool]:
    """Adds the scores of decisions made at once, then decides on each."""
    for score in scores:
      bisect.insort(self._sorted, score)
    seen, rate = len(self._sorted), self.rate
    return [
      seen - bisect.bisect_right(self._sorted, score) < rate * seen
      for score in scores
    ]

  def wrote(self, tokens: int, *, written: int = 0, calls: int = 0) -> None:
    """Adds tokens, of them the `written` of the partner in new `calls`."""
    self.total += tokens
    self.written += written
    self.calls += calls
