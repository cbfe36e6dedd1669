"""From summaries of runs to figures over seeds: [mean, lowest, highest]."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def spread(values: Sequence[Any]):
  """[mean, lowest, highest] of numbers; one value where all agree."""
  if all(value == values[0] for value in values):
    return values[0]
  if not all(isinstance(value, int | float) for value in values):
    return ', '.join(map(str, values))
  return [
    round(x, 6) for x in (statistics.fmean(values), min(values), max(values))
  ]


def flatten(summaries: Mapping[str, Sequence[Mapping]]) -> dict[str, Any]:
  """{'variant/key': spread over seeds}."""
  return {
    f'{name}/{key}': spread([summary[key] for summary in runs])
    for name, runs in summaries.items()
    for key in runs[0]
  }
