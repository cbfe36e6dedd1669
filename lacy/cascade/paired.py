"""Two ways of writing the same articles, compared article by article.

A way's counts stand in a summary as text, 'supported/entities' an article, so
that a results file says all that a difference needs. The precision of a way is
pooled: supported over entities of all articles and seeds together.

An interval draws articles and seeds again, with replacement, the same ones for
both ways.

Shapes: S seeds, N articles, R replicates.
"""

from collections.abc import Sequence

import numpy as np

from engine.report import claims as claims_lib
from engine.stats import bootstrap
from lacy.cascade import support

DRAWS = 4000
# Written by the partner alone, whatever the rule.
ALONE = 'partner alone'
# What lacy is compared with.
OTHERS = ('loss', 'standard', 'rho', 'lacy:entity')


def dumps(counts: Sequence[support.Support]) -> str:
  """'1/2 0/3': supported and entities of each article."""
  return ' '.join(f'{count.supported}/{count.entities}' for count in counts)


def loads(text: str) -> np.ndarray:
  """[N, 2] of `dumps`; ValueError where it is none."""
  try:
    pairs = [tuple(map(int, pair.split('/'))) for pair in text.split()]
    return np.array(pairs, np.int64).reshape(len(pairs), 2)
  except ValueError as error:
    raise ValueError(
      f'counts must read supported/entities of each article, came {text[:40]!r}'
    ) from error


def precision(total) -> np.ndarray:
  """Of sums [..., 2]; nan without entities."""
  supported, entities = np.moveaxis(np.asarray(total, np.float64), -1, 0)
  some = entities > 0
  return np.where(some, supported / np.where(some, entities, 1), np.nan)


def interval(statistic, *counts: np.ndarray, seed: int = 0) -> list[float]:
  """[value, low, high]: 95%, over articles and seeds.

  Args:
    statistic: of the sums [..., 2] of each way.
    *counts: of each way, [S, N, 2], the same seeds and articles in each.
    seed: of the draws.

  Returns:
    All NaN where the value is.
  """
  seeds, articles, _ = counts[0].shape
  rng = np.random.default_rng(seed)
  drawn_S = rng.integers(0, seeds, (DRAWS, seeds))
  drawn_N = rng.integers(0, articles, (DRAWS, articles))
  # How often each is drawn: a sum over what is drawn is a weighted sum.
  often_RS = _often(drawn_S, seeds)
  often_RN = _often(drawn_N, articles)
  whole = statistic(*(way.sum((0, 1)) for way in counts))
  if np.isnan(whole):
    return [float('nan')] * 3
  values = statistic(
    *(np.einsum('rs,rn,snc->rc', often_RS, often_RN, way) for way in counts)
  )
  made = bootstrap.percentile(np.asarray(whole), np.asarray(values), 0.95)
  return [round(float(x), 6) for x in made]


def _often(drawn_RK, size):
  out = np.zeros((len(drawn_RK), size))
  np.add.at(out, (np.arange(len(drawn_RK))[:, None], drawn_RK), 1)
  return out


def ways(summaries: claims_lib.Summaries) -> list[str]:
  """The ways of writing, in order."""
  first = next(iter(summaries.values()))[0]
  return [k.rpartition('/')[0] for k in first if k.endswith('/counts')]


def claims(summaries: claims_lib.Summaries) -> dict[str, list[float]]:
  """Precision and its differences, '<way>: <what>' to [value, low, high].

  Supported entities are those of a seed. What has no value is left out.
  """
  counts = {
    (name, way): np.stack([loads(run[f'{way}/counts']) for run in runs])
    for name, runs in summaries.items()
    for way in ways(summaries)
  }
  out = {}
  for way in ways(summaries):
    for name in summaries:
      out[f'{way}: {name}'] = interval(precision, counts[name, way])
    for other in OTHERS:
      names = 'lacy', other
      if way == ALONE or not set(names) <= set(summaries):
        continue
      pair = [counts[name, way] for name in names]
      seeds = len(pair[0])
      for what, statistic in (
        ('', lambda a, b: precision(a) - precision(b)),
        ('supported_', lambda a, b, n=seeds: (a - b)[..., 0] / n),
      ):
        out[f'{way}: {what}lacy_minus_{other}'] = interval(statistic, *pair)
  return {name: three for name, three in out.items() if three[0] == three[0]}
