"""What a model says of its own answers, as uncertainties; on the host.

P(True): Kadavath et al. (2022), arXiv 2207.05221, section 3; PTrue of
lm-polygraph. Verbalised confidence: Tian et al. (2023), "Just Ask for
Calibration", arXiv 2305.14975, with the answer in one step (1S) or after it in
two (2S); Verbalized1S and Verbalized2S of lm-polygraph.
calibration/recording/self_report.py asks.
"""

import re
from collections.abc import Iterable

import numpy as np

_NUMBER = r'(\d+(?:\.\d+)?|\.\d+)\s*(%?)'
# In a reply that also holds the answer, and in one that holds nothing else.
AFTER_GUESS = re.compile(rf'probability\b[^\d.]*{_NUMBER}', re.IGNORECASE)
ALONE = re.compile(_NUMBER)

# Of a reply that states no probability: it says nothing (ours).
UNREAD = 0.5


def p_true(log_true: Iterable[float]) -> np.ndarray:
  """-log P(True) in nats, from log P(True).

  Raises:
    ValueError: a log-probability that is NaN or above 0. -inf is certainty that
      the answer is wrong, and gives inf.
  """
  values = np.array(list(log_true), np.float64)
  wrong = ~(values <= 1e-3)
  if wrong.any():
    raise ValueError(
      'log P(True) must be at most 0, got '
      f'{values[wrong][0]} and {wrong.sum() - 1} more; ask the model again '
      'with another --config.record.compute'
    )
  return np.maximum(-values, 0.0)


def confidence(reply: str, pattern: re.Pattern = ALONE) -> float:
  """The probability that a reply states, in [0, 1]; NaN if it states none.

  Args:
    reply: what the model said.
    pattern: `AFTER_GUESS`, `ALONE` or another with the groups number and
      percent sign. A number above 1 is taken for percent, above 100 for none.
  """
  found = pattern.search(reply)
  if not found:
    return float('nan')
  value = float(found[1])
  if found[2] or value > 1:
    value /= 100
  return value if value <= 1 else float('nan')


def uncertainty(
  replies: Iterable[str], pattern: re.Pattern = ALONE
) -> tuple[np.ndarray, float]:
  """1 - confidence of each reply, `UNREAD` for one that states none.

  Returns:
    float64 [N] in [0, 1], and the share of replies that state none.
  """
  stated = np.array([confidence(reply, pattern) for reply in replies])
  unread = np.isnan(stated)
  share = float(unread.mean()) if unread.size else 0.0
  return np.where(unread, UNREAD, 1.0 - stated), share
