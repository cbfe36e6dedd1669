"""From the value of a correctness function to a label: the eleven settings.

Section 2.2 of docs/papers/uq_length_bias.md. Whether a value at the threshold
passes is not stated. Inferred: it does not in the sweeps (their agreement at
1.0 is 0), and it does for ROUGE-L recall at 1.0 (which agrees).

Shapes: N answers.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

RULES = ('>', '>=')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
  """A correctness function with its threshold; `rule` says if equals pass."""

  function: str
  title: str
  threshold: float
  rule: str = '>'

  def __post_init__(self):
    if self.rule not in RULES:
      raise ValueError(f"rule must be '>' or '>=', got {self.rule!r}")
    if not -1.0 <= self.threshold <= 1.0:
      raise ValueError(
        f'threshold of {self.function} must lie in [-1, 1], got '
        f'{self.threshold}'
      )

  def __call__(self, values: np.ndarray) -> np.ndarray:
    """[N] of 1 correct, 0 wrong, NaN where the value is."""
    return label(values, self.threshold, rule=self.rule)


def label(
  values: np.ndarray, threshold: float, *, rule: str = '>'
) -> np.ndarray:
  """1 where a value passes, else 0, and NaN where it is NaN; float64."""
  if rule not in RULES:
    raise ValueError(f"rule must be '>' or '>=', got {rule!r}")
  values = np.asarray(values, np.float64)
  passed = values > threshold if rule == '>' else values >= threshold
  return np.where(np.isnan(values), np.nan, passed)


def _settings(*rows) -> dict[str, Setting]:
  return {
    key: Setting(function=function, title=title, threshold=threshold, rule=rule)
    for key, function, title, threshold, rule in rows
  }


# In the order of the paper's figures, the least to the most trustworthy.
SETTINGS: Mapping[str, Setting] = _settings(
  ('rouge1_f1@0.1', 'rouge1_f1', 'ROUGE-1 F1', 0.1, '>'),
  ('rougel_f1@0.1', 'rougel_f1', 'ROUGE-L F1', 0.1, '>'),
  ('rougel_f1@0.3', 'rougel_f1', 'ROUGE-L F1', 0.3, '>'),
  ('rougel_f1@0.5', 'rougel_f1', 'ROUGE-L F1', 0.5, '>'),
  ('squad_f1@0.3', 'squad_f1', 'SQuAD F1', 0.3, '>'),
  ('bert_score@0.8', 'bert_score', 'BERTScore F1', 0.8, '>'),
  ('sentence@0.9', 'sentence', 'SentenceBERT', 0.9, '>'),
  ('sentence@0.4', 'sentence', 'SentenceBERT', 0.4, '>'),
  ('rougel_recall@1', 'rougel_recall', 'ROUGE-L recall', 1.0, '>='),
  ('align_score@0.5', 'align_score', 'AlignScore', 0.5, '>'),
  # Yes and no are 1 and 0.
  ('judge', 'judge', 'LM judge', 0.5, '>'),
)

# Ours, beside the eleven.
EXTRA: Mapping[str, Setting] = _settings(
  ('alias', 'alias', 'alias containment', 0.5, '>'),
)
ALL: Mapping[str, Setting] = {**SETTINGS, **EXTRA}


def labels(
  values: Mapping[str, np.ndarray],
  settings: Mapping[str, Setting] = ALL,
) -> dict[str, np.ndarray]:
  """Labels by setting, of those whose function has values.

  Args:
    values: {function: [N]}.
    settings: in the order that comes out.

  Raises:
    ValueError: values of a function that no setting names.
  """
  if unknown := set(values) - {s.function for s in settings.values()}:
    raise ValueError(
      f'no setting names the function {min(unknown)!r}; there are settings of '
      f'{", ".join(dict.fromkeys(s.function for s in settings.values()))}'
    )
  return {
    key: setting(values[setting.function])
    for key, setting in settings.items()
    if setting.function in values
  }
