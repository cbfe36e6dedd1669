"""From summaries of runs to figures over seeds, and to margins of claims.

A claim is a number that says by how much an ordering holds which a reproduction
should show. An area keeps a table of them, {name: function of one seed}; the
name says which sign or size would make the claim hold, and nothing here knows
whether it ought to.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging

# Of one run: its figures by key.
Summary = Mapping[str, Any]
# Of a sweep: by variant, one a seed, all variants in the same order of seeds.
Summaries = Mapping[str, Sequence[Summary]]


def interval(values: Sequence[float]) -> list[float]:
  """[mean, lowest, highest], rounded to six digits."""
  three = statistics.fmean(values), min(values), max(values)
  return [round(float(x), 6) for x in three]


def spread(values: Sequence[Any]):
  """[mean, lowest, highest] of numbers; one value where all agree."""
  if all(value == values[0] for value in values):
    return values[0]
  if not all(isinstance(value, int | float) for value in values):
    return ', '.join(map(str, values))
  return interval(values)


def flatten(summaries: Summaries) -> dict[str, Any]:
  """{'variant/key': spread over seeds}."""
  return {
    f'{name}/{key}': spread([summary[key] for summary in runs])
    for name, runs in summaries.items()
    for key in runs[0]
  }


def over(
  claims: Mapping[str, Callable[[Any], float]], runs: Sequence[Any]
) -> dict[str, list[float]]:
  """[mean, lowest, highest] over seeds of every claim that can be made.

  Args:
    claims: by name. One is left out if, for any seed, it is NaN or a figure
      that it needs is not there or is no number: KeyError, TypeError or
      ValueError.
    runs: one a seed.
  """
  out = {}
  for name, claim in claims.items():
    try:
      values = [float(claim(run)) for run in runs]
    except (KeyError, TypeError, ValueError) as error:
      logging.debug('claim left out: %s: %r', name, error)
      continue
    if values and not any(map(math.isnan, values)):
      out[name] = interval(values)
  return out


def margins(
  claims: Mapping[str, Callable[[Mapping[str, Summary]], float]],
  summaries: Summaries,
) -> dict[str, list[float]]:
  """`over` seeds, for claims that compare variants.

  Args:
    claims: functions of one seed's summaries by variant.
    summaries: of the sweep.

  Raises:
    ValueError: variants of different numbers of seeds.
  """
  seeds = zip(*summaries.values(), strict=True)
  return over(claims, [dict(zip(summaries, s, strict=True)) for s in seeds])


def margins_of_each(
  claims: Mapping[str, Callable[[Summary], float]], summaries: Summaries
) -> dict[str, list[float]]:
  """`over` seeds by '<variant>: <claim>', for claims about one run alone."""
  return {
    f'{variant}: {name}': margin
    for variant, runs in summaries.items()
    for name, margin in over(claims, runs).items()
  }
