"""From the value of a correctness function to a label: the eleven settings.

Section 2.2 of docs/papers/uq_length_bias.md. The paper does not state whether a
value at the threshold passes. We infer that it fails in the sweeps, where the
agreement at 1.0 is 0, and passes for ROUGE-L recall at 1.0, which does agree.

Shapes: N answers.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from calibration.correctness import near

RULES = ('>', '>=')


def check_rule(rule: str) -> None:
  """Raises a ValueError unless `rule` is '>' or '>='."""
  if rule not in RULES:
    raise ValueError(f"rule must be '>' or '>=', got {rule!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
  """A correctness function and its threshold.

  Attributes:
    function: a key of the values.
    title: the name in figures.
    threshold: in [-1, 1].
    rule: '>' or '>=', whether a value at the threshold passes.
  """

  function: str
  title: str
  threshold: float
  rule: str = '>'

  def __post_init__(self):
    check_rule(self.rule)
    if not -1.0 <= self.threshold <= 1.0:
      raise ValueError(
        f'threshold of {self.function} must lie in [-1, 1], got '
        f'{self.threshold}'
      )

  def __call__(self, values: np.ndarray) -> np.ndarray:
    """Labels [N]: 1 correct, 0 wrong, NaN where the value is NaN."""
    return label(values, self.threshold, rule=self.rule)


def label(
  values: np.ndarray, threshold: float, *, rule: str = '>'
) -> np.ndarray:
  """1 where a value passes, else 0, and NaN where it is NaN; float64.

  Raises:
    ValueError: `rule` is neither '>' nor '>='.
  """
  check_rule(rule)
  values = np.asarray(values, np.float64)
  passed = values > threshold if rule == '>' else values >= threshold
  return np.where(np.isnan(values), np.nan, passed)


def _settings(*rows) -> dict[str, Setting]:
  return {
    key: Setting(function=function, title=title, threshold=threshold, rule=rule)
    for key, function, title, threshold, rule in rows
  }


# In the order of the paper's figures, from the least to the most trustworthy.
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
  # Its values are labels already: 1 for yes, 0 for no.
  ('judge', 'judge', 'LM judge', 0.5, '>'),
)

# Our own settings, beside the paper's eleven.
EXTRA: Mapping[str, Setting] = _settings(
  ('alias', 'alias', 'alias containment', 0.5, '>'),
)
ALL: Mapping[str, Setting] = {**SETTINGS, **EXTRA}


def labels(
  values: Mapping[str, np.ndarray],
  settings: Mapping[str, Setting] = ALL,
) -> dict[str, np.ndarray]:
  """The labels [N] of every setting whose function has values.

  Args:
    values: {function: [N]}.
    settings: their order is that of the labels.

  Raises:
    ValueError: no setting names one of the functions.
  """
  known = list(dict.fromkeys(s.function for s in settings.values()))
  if unknown := set(values) - set(known):
    raise ValueError(
      f'no setting names the function {min(unknown)!r}; there are settings of '
      f'{", ".join(known)}{near.hint(min(unknown), known)}'
    )
  return {
    key: setting(values[setting.function])
    for key, setting in settings.items()
    if setting.function in values
  }
