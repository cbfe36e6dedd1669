"""Official figures and right ones, side by side, from judged attempts.

docs/papers/hle.md section 6. Accuracy counts all attempts, bins judged ones.

Shapes: N judged attempts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from calibration.hle import metrics, responses
from calibration.metrics import binned, smooth
from engine.stats import auroc

# Bins of the error for few answers: as many as this, where 100 a bin are too
# many (ours).
_FEW_BINS = 10


def pairs(rows: Sequence[Mapping]) -> tuple[np.ndarray, np.ndarray]:
  """Confidence in [0, 1] and correctness of the judged attempts, [N]."""
  judged = [row for row in rows if row['correct'] is not None]
  c = np.array([row['confidence'] for row in judged], np.float64) / 100.0
  a = np.array([row['correct'] for row in judged], np.float64)
  return c, a


def measure(rows: Sequence[Mapping]) -> dict[str, Any]:
  """All figures of a model's attempts.

  An error that needs more answers than were judged is left out.
  """
  counted = responses.counts(rows)
  c, a = pairs(rows)
  accuracy = metrics.accuracy(int(a.sum()), len(rows))
  out: dict[str, Any] = {
    'accuracy': accuracy.value,
    'half_width': accuracy.half_width,
    'judged': len(c),
    'unjudged': counted['unjudged'],
    'parse_rate': 1 - counted['confidence_missing'] / len(rows),
    'answer_rate': counted['answered'] / len(rows),
  }
  out |= {f'count/{name}': value for name, value in counted.items()}
  if not len(c):
    return out
  out |= figures(c, a)
  return out


def figures(c: np.ndarray, a: np.ndarray) -> dict[str, float]:
  """Errors of confidences [N] and correctness [N], N at least 1."""
  out = {'confidence': float(c.mean()), 'judged_accuracy': float(a.mean())}
  sizes = {'': metrics.BETA, '_few': max(len(c) // _FEW_BINS, 1)}
  for tail, beta in sizes.items():
    if len(c) < beta:
      continue
    official = metrics.rms_calibration(c, a, beta=beta)
    out[f'rms_official{tail}'] = official
    out[f'rms_official{tail}_printed'] = metrics.printed(official)
    out[f'rms_all_bins{tail}'] = metrics.rms_calibration(
      c, a, beta=beta, drop_last=False
    )
    out[f'rms_percent_bug{tail}'] = metrics.rms_calibration(
      c, a, beta=beta, percent_bug=True
    )
    for name, drop_last in (('official', True), ('all_bins', False)):
      spread = metrics.tie_spread(c, a, beta=beta, drop_last=drop_last)
      out[f'rms_{name}{tail}_ties_low'] = spread.low
      out[f'rms_{name}{tail}_ties_high'] = spread.high
  c32 = jnp.asarray(c.astype(np.float32))
  a32 = jnp.asarray(a.astype(np.float32))
  out['ece'] = float(binned.ece(binned.by_width(c32, a32)))
  out['smece'] = float(smooth.smece(c32, a32).value)
  out['brier'] = float(np.mean((c - a) ** 2))
  out['bound'] = metrics.bound(a.mean(), c.mean())
  if 0 < a.mean() < 1:
    out['auroc'] = float(auroc.auroc(c, a))
  return out
