"""What published figures say about how they were made; no question is needed.

docs/papers/hle.md section 7. Three findings, each from numbers alone: rows of
the leaderboard lie below the least that an error over all bins can be, so the
last bin is left out; the first table's errors are about mean confidences, so
percents stood beside 0 and 1; and how much the last bin hides, by replay of
answers like those of the models then.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from calibration.hle import metrics
from engine import experiment as experiment_lib


class Row(NamedTuple):
  """A published row, in percent; each number may be off by `ROUNDING`."""

  accuracy: float
  confidence: float
  reported: float


# Of whole percents.
ROUNDING = 0.5
# The leaderboard's rows that state a mean confidence.
PUBLISHED = {
  'o1': Row(8.0, 93.0, 83.0),
  'o3-mini-high (text)': Row(13.4, 96.0, 80.0),
  'o4-mini-high': Row(18.1, 77.0, 57.0),
  'o3-high': Row(20.3, 55.0, 34.0),
}
# (accuracy, error) of the first table, 3,000 questions, arXiv v1, and the error
# on the final 2,500 after the percents were mended. The latter are as recalled
# from the leaderboard, and were not checked again.
FIRST = {
  'GPT-4o': (3.3, 92.5, 89.0),
  'Grok 2': (3.8, 93.2, 87.0),
  'Claude 3.5 Sonnet': (4.3, 88.9, 84.0),
  'Gemini 1.5 Pro': (5.0, 93.1, 88.0),
  'Gemini 2.0 Flash Thinking': (6.2, 93.9, 82.0),
  'o1': (9.1, 93.4, 83.0),
  'DeepSeek-R1 (text)': (9.4, 81.8, 73.0),
}
_STATED = (0.7, 0.8, 0.85, 0.9, 0.95, 1.0)
_SHARES = (0.05, 0.1, 0.15, 0.3, 0.25, 0.15)
_QUESTIONS = 2500
_ACCURACIES = (0.03, 0.05, 0.1)


def least(row: Row) -> float:
  """The bound on an error over all bins, its inputs rounded for it."""
  apart = metrics.bound(row.accuracy, row.confidence)
  # Accuracies have one decimal, confidences none.
  return apart - ROUNDING - 0.05


def below(row: Row) -> bool:
  """Whether the reported error is below the bound, whatever was rounded."""
  return row.reported + ROUNDING < least(row)


def replay(accuracy: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
  """Confidences and correctness of answers like those of 2025, [2500]."""
  rng = np.random.default_rng(seed)
  c = rng.choice(_STATED, _QUESTIONS, p=_SHARES)
  # The surer ones are right a little more often.
  odds = accuracy * (1.0 + 2.0 * (c - c.mean()))
  return c, (rng.random(_QUESTIONS) < odds).astype(np.float64)


def loop(c, a, *, beta: int = metrics.BETA, drop_last: bool = True) -> float:
  """The official error written out bin by bin: another road to it."""
  order = sorted(range(len(c)), key=lambda i: c[i])
  bins = [[i * beta, (i + 1) * beta] for i in range(len(c) // beta)]
  bins[-1][1] = len(c)
  total = 0.0
  for start, end in bins[:-1] if drop_last else bins:
    rows = order[start:end]
    apart = sum(c[i] for i in rows) / len(rows)
    apart -= sum(a[i] for i in rows) / len(rows)
    total += len(rows) / len(c) * apart**2
  return total**0.5


def figures() -> dict[str, float]:
  """All of it, by row and replay."""
  out: dict[str, float] = {}
  for name, row in PUBLISHED.items():
    out |= {
      f'bound/{name}': metrics.bound(row.accuracy, row.confidence),
      f'least/{name}': least(row),
      f'reported/{name}': row.reported,
      f'below/{name}': float(below(row)),
    }
  for name, (accuracy, first, mended) in FIRST.items():
    out |= {
      f'first/{name}': first,
      # If the first is a mean confidence, this is the error.
      f'first_less_accuracy/{name}': first - accuracy,
      f'mended/{name}': mended,
    }
  for accuracy in _ACCURACIES:
    c, a = replay(accuracy)
    kinds = {
      'official': {},
      'all_bins': {'drop_last': False},
      'percent_bug': {'percent_bug': True},
    }
    for kind, how in kinds.items():
      spread = metrics.tie_spread(c, a, orders=100, **how)
      name = f'replay_{accuracy:g}/{kind}'
      out[name] = metrics.rms_calibration(c, a, **how)
      out |= {f'{name}_low': spread.low, f'{name}_high': spread.high}
    out[f'replay_{accuracy:g}/difference'] = abs(
      loop(c, a) - metrics.rms_calibration(c, a)
    )
    out[f'replay_{accuracy:g}/accuracy'] = float(a.mean())
    out[f'replay_{accuracy:g}/confidence'] = float(c.mean())
  return out


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """Reads nothing but `run`."""

  def test(state, key):
    del state, key
    return figures()

  return experiment_lib.Experiment(
    open=lambda: experiment_lib.only_evaluates(test, steps=cfg['run']['steps']),
    rows=rows_of,
    columns=(
      ('bound', 'bound', '.1f'),
      ('reported', 'reported', '.1f'),
      ('first', 'first table', '.1f'),
      ('first_less_accuracy', 'less accuracy', '.1f'),
      ('mended', 'mended', '.1f'),
    ),
    figures='calibration.hle.plots',
  )


def rows_of(summary: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
  """Figures by published row."""
  out: dict[str, dict[str, Any]] = {}
  for key, value in summary.items():
    figure, slash, name = key.partition('/')
    if slash and not figure.startswith('replay'):
      out.setdefault(name, {})[figure] = value
  return {name: [row] for name, row in out.items()}
