"""Agreement of correctness functions with people, each other and length.

Analyses B to D of section 4 of docs/papers/uq_length_bias.md, as flat results.
Everything runs in NumPy. NaN marks a missing label or value; an answer is left
out of the comparisons in which its label or value is missing.

Shapes: N answers, F functions or settings, R raters, T thresholds.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from calibration.correctness import ratings, thresholds
from engine.stats import ranks

Columns = Mapping[str, np.ndarray]
Results = dict[str, Any]

# The thresholds of the paper's kappa sweep.
STEPS = tuple(round(0.05 * i, 2) for i in range(21))


def _known(a, b):
  """Returns both columns in one shape, and a mask where both have a value."""
  a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
  return a, b, ~(np.isnan(a) | np.isnan(b))


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Spearman's correlation over the answers that have both numbers.

  Args:
    a: [..., N], NaN where a number is missing; leading axes broadcast.
    b: likewise.

  Returns:
    [...], in [-1, 1]; NaN where a column does not vary.
  """
  return ranks.spearman(*_known(a, b))


def spearman_matrix(columns: Columns) -> np.ndarray:
  """Spearman's correlation of every two columns, [F, F]."""
  x_FN = np.stack(list(columns.values())).astype(float)
  return spearman(x_FN[:, None], x_FN[None])


def length_spearman(
  lengths: np.ndarray, scores: Columns, values: Columns
) -> Results:
  """Spearman's correlation of length with each estimator and each function.

  The paper correlates confidences, not uncertainties, so its signs for
  estimators are the opposite of ours.

  Args:
    lengths: [N], in any unit.
    scores: uncertainties [N] by estimator.
    values: values [N] by correctness function.

  Returns:
    'spearman/estimator/<name>' and 'spearman/function/<name>'. A column that
    does not vary has no entry.
  """
  out = {}
  for kind, columns in (('estimator', scores), ('function', values)):
    found = spearman(np.stack(list(columns.values())), lengths)
    for name, value in zip(columns, found, strict=True):
      out[f'spearman/{kind}/{name}'] = float(value)
  return {name: value for name, value in out.items() if not np.isnan(value)}


def kappa(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Cohen's kappa over the answers that have both labels.

  Args:
    a: [..., N] of 0, 1 and NaN; leading axes broadcast.
    b: likewise.

  Returns:
    [...]; NaN where no answer has both labels, or where both columns give
    every answer the same label.
  """
  return ranks.kappa(*_known(a, b))


def kappas(labels: Columns, people: ratings.Ratings | None = None) -> Results:
  """Cohen's kappa of settings with each other and with people.

  A setting is a correctness function with its threshold.

  Args:
    labels: [N] of 0, 1 and NaN by setting.
    people: labels of R raters.

  Returns:
    'kappa/<setting>/<setting>': kappa; every pair of settings once.
    'kappa/<setting>/people/<rater>': kappa.
    'kappa/<setting>/people': [mean, lowest, highest] over raters.
    'kappa/people/people': [mean, lowest, highest] over pairs of raters.
    An undefined kappa has no entry.
  """
  out = {}
  for a, b in itertools.combinations(labels, 2):
    out[f'kappa/{a}/{b}'] = float(kappa(labels[a], labels[b]))

  def among(name, found):
    found = found[~np.isnan(found)]
    if found.size:
      out[name] = [float(f(found)) for f in (np.mean, np.min, np.max)]

  if people is not None:
    for name, label_N in labels.items():
      found_R = kappa(label_N, people.labels)
      for rater, value in zip(people.raters, found_R, strict=True):
        out[f'kappa/{name}/people/{rater}'] = float(value)
      among(f'kappa/{name}/people', found_R)
    pairs = list(itertools.combinations(people.labels, 2))
    among('kappa/people/people', np.array([float(kappa(*p)) for p in pairs]))
  return {
    k: v for k, v in out.items() if isinstance(v, list) or not np.isnan(v)
  }


def sweep(
  values: Columns,
  reference: np.ndarray,
  *,
  steps: Sequence[float] = STEPS,
  rule: str = '>',
) -> Results:
  """Kappa of each function with a trusted label, at each threshold.

  Args:
    values: [N] by correctness function.
    reference: trusted labels, [N] of 0, 1 and NaN.
    steps: T thresholds.
    rule: '>', or '>=' if a value equal to the threshold passes.

  Returns:
    'sweep/<function>@<threshold>': kappa. An undefined kappa has no entry.
  """
  out = {}
  for name, value_N in values.items():
    label_TN = np.stack(
      [thresholds.label(value_N, step, rule=rule) for step in steps]
    )
    for step, found in zip(steps, kappa(label_TN, reference), strict=True):
      if not np.isnan(found):
        out[f'sweep/{name}@{step:g}'] = float(found)
  return out
