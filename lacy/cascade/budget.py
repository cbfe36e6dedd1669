"""When to call: the share of text that goes to the partner, held by feedback.

The paper's running quantile (decode.RunningQuantile) counts calls a decision.
Where a call is worth a whole name, the share of the text is another number,
and it drifts with the texts. `Feedback` holds the share itself (ours).

  beta_t = beta + gain (beta total - written) / (total + damping)

`total` and `written`: tokens so far, and the partner's; turns that are not over
count with what they will add. A rate r of decisions that are calls, each worth
L tokens, writes a share r L / (r L + 1 - r): from the L so far follows the r
that writes beta_t. A decision is a call if fewer than r t of the last t scores
are greater: scores drift along a text, and a high one is high among those of
now.
"""

import bisect
import collections
from collections.abc import Sequence


class Feedback:
  """One stream over all texts; they may be written in lockstep."""

  def __init__(
    self,
    beta: float,
    *,
    gain: float = 40.0,
    damping: float = 2000.0,
    window: int = 100,
  ):
    """Starts with nothing written.

    Args:
      beta: share of the text that the partner shall write, in [0, 1].
      gain: how much a share that is missed changes the next one.
      damping: tokens; the share of fewer is no reason to change it.
      window: t, how many scores are compared, at least those of a step; 0:
        all.

    Raises:
      ValueError: a number out of its range.
    """
    if not 0.0 <= beta <= 1.0:
      raise ValueError(f'the budget must lie in [0, 1], got {beta}')
    if min(gain, damping, window) < 0:
      raise ValueError(
        'cascade.gain, cascade.damping and cascade.window must not be '
        f'negative, got {gain}, {damping} and {window}'
      )
    self.beta, self.gain, self.damping = beta, gain, damping
    self.window = window
    self.total = self.written = self.calls = self.open = 0
    self._sorted: list[float] = []
    self._recent: collections.deque[float] = collections.deque()

  @property
  def target(self) -> float:
    """beta_t, in [0, 1]; 0 and 1 for the budgets 0 and 1."""
    if self.beta in (0.0, 1.0) or not self.total:
      return self.beta
    coming = self.open * (self.worth - 1)
    missed = self.beta * (self.total + coming) - (self.written + coming)
    beta = self.beta + self.gain * missed / (self.total + self.damping)
    return min(max(beta, 0.0), 1.0)

  @property
  def worth(self) -> float:
    """L, the tokens of a call so far; 1 at first."""
    return max((self.written + 1) / (self.calls + 1), 1.0)

  @property
  def rate(self) -> float:
    """The share of decisions that shall be calls."""
    beta = self.target
    return beta / (beta + self.worth * (1 - beta)) if beta else 0.0

  def decide(self, scores: Sequence[float]) -> list[bool]:
    """Adds the scores of decisions made at once, then decides on each."""
    for score in scores:
      bisect.insort(self._sorted, score)
    self._recent.extend(scores)
    while self.window and len(self._recent) > max(self.window, len(scores)):
      old = self._recent.popleft()
      del self._sorted[bisect.bisect_left(self._sorted, old)]
    seen, rate = len(self._sorted), self.rate
    return [
      seen - bisect.bisect_right(self._sorted, score) < rate * seen
      for score in scores
    ]

  def wrote(
    self, tokens: int, *, written: int = 0, calls: int = 0, at_work: int = 0
  ) -> None:
    """Adds tokens.

    Args:
      tokens: of all texts in a step.
      written: of them, the partner's.
      calls: turns that began in it.
      at_work: turns that are not over.
    """
    self.total += tokens
    self.written += written
    self.calls += calls
    self.open = at_work
