"""How far functions of correctness agree: with people, each other, length.

Analyses B to D of section 4 of docs/papers/uq_length_bias.md as flat results.
On the host; a label or value that is NaN is left out, of its column alone.

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

# Where kappa is looked at, as in the paper.
STEPS = tuple(round(0.05 * i, 2) for i in range(21))


def _known(a, b):
  """Both columns in one shape, and where both have a value."""
  a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
  return a, b, ~(np.isnan(a) | np.isnan(b))


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Spearman's correlation over the answers that have both numbers.

  Args:
    a: [..., N], NaN where there is none; leading axes broadcast.
    b: likewise.

  Returns:
    NaN where one does not vary.
  """
  return ranks.spearman(*_known(a, b))


def spearman_matrix(columns: Columns) -> np.ndarray:
  """Of every two columns, [F, F]."""
  x_FN = np.stack(list(columns.values())).astype(float)
  return spearman(x_FN[:, None], x_FN[None])


def length_spearman(
  lengths: np.ndarray, scores: Columns, values: Columns
) -> Results:
  """Of length with uncertainties and with the values of functions.

  The paper shows confidences: its signs of estimators are the opposite.

  Returns:
    'spearman/estimator/<name>' and 'spearman/function/<name>', without what
    does not vary.
  """
  out = {}
  for kind, columns in (('estimator', scores), ('function', values)):
    found = spearman(np.stack(list(columns.values())), lengths)
    for name, value in zip(columns, found, strict=True):
      out[f'spearman/{kind}/{name}'] = float(value)
  return {name: value for name, value in out.items() if not np.isnan(value)}


def kappa(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Cohen's kappa of labels over the answers that both have.

  Args:
    a: [..., N] of 0, 1 and NaN; leading axes broadcast.
    b: likewise.

  Returns:
    NaN where they have no answer in common, or both say one thing throughout.
  """
  return ranks.kappa(*_known(a, b))


def kappas(labels: Columns, people: ratings.Ratings | None = None) -> Results:
  """Agreement of settings with each other and with people.

  Returns:
    'kappa/<setting>/<setting>', every two once; 'kappa/<setting>/people' and
    'kappa/people/people', [mean, lowest, highest] over raters or pairs of
    them, and 'kappa/<setting>/people/<rater>'. What is undefined is not there.
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
  """Agreement with a trusted label by the threshold of each function.

  Args:
    values: [N] by function.
    reference: [N] of 0, 1 and NaN.
    steps: thresholds.
    rule: whether a value at the threshold passes, see thresholds.py.

  Returns:
    'sweep/<function>@<threshold>': kappa. What is undefined is not there.
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
