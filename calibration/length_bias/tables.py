"""Estimators of uncertainty against functions of correctness, every pair.

Analyses A and F of section 4 of docs/papers/uq_length_bias.md as flat results:
AUROC with intervals beside the same within lengths, and the bias that theory
predicts. `report` adds what calibration/length_bias/agreement.py finds. On the
host; a label that is NaN is left out, of its setting alone.

Shapes: N answers, E estimators.
"""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from calibration.correctness import ratings, thresholds
from calibration.length_bias import agreement, controlled
from calibration.length_bias import theory as length_lib
from engine.stats import auroc as auroc_lib

Columns = agreement.Columns
Results = agreement.Results


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """How the table is made.

  `draws` replicates make an interval of `level`. Lengths are compared within
  `bins` of about one size, 0 for equal ones only; acceptance is measured in
  `rate_bins`, few enough that each has many answers. A setting with less than
  `fewest` answers of a class is flagged.
  """

  draws: int = 1000
  level: float = 0.95
  bins: int = 0
  rate_bins: int = 8
  fewest: int = 30

  def __post_init__(self):
    if self.draws < 1 or not 0.0 < self.level < 1.0:
      raise ValueError(
        'tables.draws must be positive and tables.level in (0, 1), got '
        f'{self.draws} and {self.level}'
      )
    if self.bins < 0:
      raise ValueError(f'tables.bins must not be negative, got {self.bins}')
    for name in ('rate_bins', 'fewest'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'tables.{name} must be positive, got {getattr(self, name)}'
        )


def check(scores: Columns, labels: Columns, lengths: np.ndarray) -> None:
  """Raises unless all columns are [N], scores numbers and labels 0, 1 or NaN.

  Raises:
    ValueError: naming the column, what was expected and what came.
  """
  count = len(lengths)
  for kind, columns in (('estimator', scores), ('setting', labels)):
    for name, column in columns.items():
      if np.shape(column) != (count,):
        raise ValueError(
          f'{kind} {name!r} must have a number an answer, ({count},), got '
          f'shape {np.shape(column)}'
        )
  for name, column in scores.items():
    if missing := int(np.isnan(column).sum()):
      raise ValueError(
        f'estimator {name!r} must score every answer, {missing} of {count} '
        'are NaN; leave those answers out of all columns'
      )
  for name, column in labels.items():
    known = column[~np.isnan(column)]
    if not np.isin(known, (0, 1)).all():
      raise ValueError(
        f'setting {name!r}: labels must be 0, 1 or NaN, got '
        f'{np.unique(known)[:5].tolist()}'
      )


def check_setting(name: str, labels: np.ndarray) -> None:
  """Raises unless a setting has answers of both classes; NaN is left out.

  Raises:
    ValueError: naming the setting and the class that is missing.
  """
  auroc_lib.check_labels(name, labels[~np.isnan(labels)])


def _f32(x):
  return jnp.asarray(x, jnp.float32)


@functools.partial(jax.jit, static_argnames=('draws', 'level'))
def _row(key, u_EN, lengths_N, strata_N, label_N, mask_N, *, draws, level):
  """Of one setting: (AUROC, within lengths, partial) [E, 3], and the share."""
  # All estimators see the same replicates.
  whole_key, within_key, partial_key = jax.random.split(key, 3)
  residual_EN = controlled.rank_residuals(-u_EN, lengths_N, mask_N)

  def intervals(key, score_EN):
    return jax.lax.map(
      lambda score_N: auroc_lib.bootstrap_auroc(
        key, score_N, label_N, mask_N, draws=draws, level=level
      ),
      score_EN,
    )

  within_E3 = jax.lax.map(
    lambda score_N: controlled.bootstrap_stratified(
      within_key, score_N, label_N, strata_N, mask_N, draws=draws, level=level
    ),
    -u_EN,
  )
  share = controlled.stratified_auroc(-u_EN[0], label_N, strata_N, mask_N).share
  return (
    intervals(whole_key, -u_EN),
    within_E3,
    intervals(partial_key, residual_EN),
    share,
  )


def aurocs(
  key: jax.Array,
  scores: Columns,
  labels: Columns,
  lengths: np.ndarray,
  settings: Settings,
) -> Results:
  """AUROC of every estimator in every setting, beside what length leaves.

  Args:
    key: consumed here.
    scores: uncertainties by estimator, higher is less certain.
    labels: 1 correct, 0 wrong or NaN by setting.
    lengths: of the answers, in tokens, words or characters.
    settings: of intervals and strata.

  Returns:
    '<setting>/<estimator>/auroc', '.../within' and '.../partial', each
    [estimate, low, high] (length_controlled.py; the interval of `partial` is
    without that of its regression). '<setting>/known', '/correct', '/few'
    (1 where a class has less than `fewest`), '/within_share' of pairs. What is
    undefined is not there: a setting of one class has '/omitted' with the
    reason, and `omitted` counts them.

  Raises:
    ValueError: no estimator, or columns that do not fit.
  """
  check(scores, labels, lengths)
  if not scores:
    raise ValueError('a table needs at least one estimator, got none')
  u_EN = _f32(np.stack(list(scores.values())))
  strata_N = jnp.asarray(controlled.strata(lengths, bins=settings.bins))
  out: Results = {'omitted': 0}
  for number, (setting, label_N) in enumerate(labels.items()):
    known_N = ~np.isnan(label_N)
    counts = np.bincount(label_N[known_N].astype(int), minlength=2)
    out[f'{setting}/known'] = int(known_N.sum())
    out[f'{setting}/correct'] = int(counts[1])
    out[f'{setting}/few'] = int(counts.min() < settings.fewest)
    try:
      check_setting(setting, label_N)
    except ValueError as error:
      logging.warning('%s: left out of the table', error)
      out[f'{setting}/omitted'] = str(error)
      out['omitted'] += 1
      continue
    *found, share = _row(
      jax.random.fold_in(key, number),
      u_EN,
      _f32(lengths),
      strata_N,
      jnp.asarray(np.nan_to_num(label_N)),
      jnp.asarray(known_N),
      draws=settings.draws,
      level=settings.level,
    )
    out[f'{setting}/within_share'] = float(share)
    for kind, values_E3 in zip(
      ('auroc', 'within', 'partial'), found, strict=True
    ):
      for name, value in zip(scores, np.asarray(values_E3), strict=True):
        if not np.isnan(value).any():
          out[f'{setting}/{name}/{kind}'] = value.tolist()
  return out


def biases(
  scores: Columns,
  labels: Columns,
  lengths: np.ndarray,
  settings: Settings,
  *,
  trusted: str,
) -> Results:
  """What theory makes of each setting, if one of them is the truth.

  Over the answers that both label.

  Returns:
    '<setting>/<estimator>/bias', observed less true AUROC, and what cases 1
    and 2 predict of it, '.../bias_case1' and '.../bias_case2' (length.py).
    What is undefined is not there.
  """
  check(scores, labels, lengths)
  u_EN, truth_N = _f32(np.stack(list(scores.values()))), labels[trusted]
  strata = controlled.strata(lengths, bins=settings.rate_bins)
  out = {}
  for setting, label_N in labels.items():
    known_N = ~(np.isnan(label_N) | np.isnan(truth_N))
    found = length_lib.bias(
      u_EN,
      jnp.asarray(np.nan_to_num(label_N)),
      jnp.asarray(np.nan_to_num(truth_N)),
      jnp.asarray(strata),
      jnp.asarray(known_N),
    )
    for kind, area_E in (
      ('bias', found.observed),
      ('bias_case1', found.case1),
      ('bias_case2', found.case2),
    ):
      for name, value in zip(
        scores, np.asarray(area_E - found.true), strict=True
      ):
        if setting != trusted and not np.isnan(value):
          out[f'{setting}/{name}/{kind}'] = float(value)
  return out


def report(
  key: jax.Array,
  scores: Columns,
  values: Columns,
  lengths: np.ndarray,
  *,
  settings: Settings,
  trusted: str,
  people: ratings.Ratings | None = None,
  labelled: Mapping[str, thresholds.Setting] = thresholds.ALL,
) -> Results:
  """All of the above of one run.

  Args:
    key: consumed here.
    scores: uncertainties by estimator.
    values: of correctness functions, by function; NaN where there is none.
    lengths: of the answers.
    settings: of the table.
    trusted: the setting that stands for the truth, as 'judge': thresholds are
      swept against it, and biases are against it.
    people: ratings of the same answers, where there are any: thresholds are
      swept against what all of an answer's raters say, too.
    labelled: the settings.

  Raises:
    ValueError: columns that do not fit, or no setting of the trusted name.
  """
  labels = thresholds.labels(values, labelled)
  if trusted not in labels:
    raise ValueError(
      f'trusted must be a setting with values, one of {", ".join(labels)}, '
      f'got {trusted!r}'
    )
  out = aurocs(key, scores, labels, lengths, settings)
  out |= biases(scores, labels, lengths, settings, trusted=trusted)
  out |= agreement.length_spearman(lengths, scores, values)
  out |= agreement.kappas(labels, people)
  out |= agreement.sweep(values, labels[trusted])
  if people is not None:
    swept = agreement.sweep(values, people.unanimous())
    out |= {f'people/{name}': value for name, value in swept.items()}
  return out
