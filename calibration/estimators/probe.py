"""Learned uncertainty: a logistic regression on a hidden state.

Methods 7 and 8 of section 2.1 of docs/papers/uq_length_bias.md: the state of
the final answer token predicts a correctness label (ROUGE-L above 0.5, or a
judge's). The paper states neither layer nor scaling: the caller passes states
of one layer, unscaled as in the code that the paper builds on. Runs on the
host, with scikit-learn (the extra `calibration`).

Shapes: N answers, D width.
"""

import dataclasses

import numpy as np
from sklearn import linear_model, model_selection


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
  """How a probe is fitted.

  Attributes:
    folds: parts of the answers; each is predicted by a probe on the others.
    tolerance: of L-BFGS, the paper's.
    iterations: most steps of L-BFGS, the paper's.
    inverse_penalty: scikit-learn's C, at its default.
  """

  folds: int = 5
  tolerance: float = 1e-4
  iterations: int = 10_000
  inverse_penalty: float = 1.0

  def __post_init__(self):
    if self.folds < 2:
      raise ValueError(f'probe.folds must be at least 2, got {self.folds}')
    for name in ('tolerance', 'iterations', 'inverse_penalty'):
      if not getattr(self, name) > 0:
        raise ValueError(
          f'probe.{name} must be positive, got {getattr(self, name)}'
        )


def out_of_fold(
  states: np.ndarray,
  labels: np.ndarray,
  groups: np.ndarray | None = None,
  *,
  probe: Probe,
  seed: int,
) -> np.ndarray:
  """P(wrong) of every answer, by a probe that has not seen it or its group.

  Each probe has its own scale, which adds a little noise to an AUROC over all
  answers.

  Args:
    states: [N, D], finite.
    labels: [N], 1 for correct, 0 for wrong, NaN where unknown: these answers
      are predicted and never fitted on.
    groups: [N] of any type, equal for answers about the same thing; None if all
      are about different things.
    probe: how to fit.
    seed: seed of the folds.

  Returns:
    [N] in [0, 1], float64.

  Raises:
    ValueError: shapes differ, a label is not 0, 1 or NaN, or there are too few
      answers of a class, or too few groups, to fit every fold.
  """
  states, labels = np.asarray(states, np.float64), np.asarray(labels, float)
  groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
  if states.ndim != 2 or not (labels.shape == groups.shape == states.shape[:1]):
    raise ValueError(
      'a probe needs states [N, D], labels [N] and groups [N], got '
      f'{states.shape}, {labels.shape} and {groups.shape}'
    )
  if not np.isfinite(states).all():
    raise ValueError('states of a probe must be finite, got some that are not')
  known = ~np.isnan(labels)
  if not np.isin(labels[known], (0, 1)).all():
    raise ValueError(
      'labels of a probe must be 0, 1 or NaN, got '
      f'{np.unique(labels[known])[:5].tolist()}'
    )
  if len(np.unique(groups)) < probe.folds:
    raise ValueError(
      f'probe.folds={probe.folds} needs as many groups, got '
      f'{len(np.unique(groups))}; take fewer folds or more questions'
    )
  # Classes are spread over the folds, the unknown among the wrong.
  strata = np.where(known, labels, 0).astype(int)
  folds = model_selection.StratifiedGroupKFold(
    probe.folds, shuffle=True, random_state=seed
  )
  wrong = np.full(len(labels), np.nan)
  for train, test in folds.split(states, strata, groups):
    train = train[known[train]]
    counts = np.bincount(labels[train].astype(int), minlength=2)
    if counts.min() == 0:
      raise ValueError(
        'a probe needs answers of both classes outside of every fold, got '
        f'{counts[0]} wrong and {counts[1]} correct; take fewer probe.folds, '
        'more questions or another label'
      )
    model = linear_model.LogisticRegression(
      C=probe.inverse_penalty,
      solver='lbfgs',
      tol=probe.tolerance,
      max_iter=probe.iterations,
    ).fit(states[train], labels[train].astype(int) == 0)
    wrong[test] = model.predict_proba(states[test])[:, 1]
  return wrong
