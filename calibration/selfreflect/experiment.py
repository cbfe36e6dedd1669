"""Does a model's own summary say what its answers are? Nothing is trained.

Answers are recorded or read (calibration/recording), summaries are written by
the subject and made by rule, and a judge scores them (reflections.py); see
docs/papers/selfreflect.md. `build(cfg)` reads
configs/calibration/selfreflect*.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from calibration.recording import log, record, setup
from calibration.selfreflect import distances, own, reflections, summaries
from corpora.questions import sets
from engine import experiment as experiment_lib
from engine import options, stop
from engine.report import claims as claims_lib
from engine.stats import bootstrap

MAIN = f'tv@{distances.TEMPERATURE:g}'
# Questions whose answers are spread wider than this, in nats, are uncertain.
UNCERTAIN = 0.5
# (better, worse) summaries, by the name of the comparison.
PAIRS = {
  'good_bad': ('good', 'bad'),
  'good_almost': ('good', 'almost'),
  'good_truncated': ('good', 'truncated'),
  'good_addition': ('good', 'addition'),
  'detailed_almost': ('detailed', 'almost'),
  'verbose_bad': ('verbose', 'bad'),
}
# (one, other) by name: mean score of one less the other, uncertain questions.
APART = {
  'template_minus_greedy': ('good', 'greedy'),
  'model_minus_greedy': ('sample_and_summarize', 'greedy'),
  'basic_minus_greedy': ('basic', 'greedy'),
  'cot_minus_greedy': ('cot', 'greedy'),
  'twostep_cot_minus_greedy': ('twostep_cot', 'greedy'),
  'concatenated_minus_template': ('concatenated', 'good'),
}

COLUMNS = (
  (f'mine/{MAIN}', 'yours', '.4f'),
  ('win/good_bad', 'good < bad', '.3f'),
  ('win/good_almost', 'good < almost', '.3f'),
  *((f'score/{name}', name, '.4f') for name in ('concatenated', 'good')),
  ('score/greedy', 'greedy', '.4f'),
  ('score/sample_and_summarize', 'its own', '.4f'),
)


def sections(
  cfg: Mapping[str, Any],
) -> tuple[record.Recording, summaries.Summaries, reflections.Reflections]:
  """The answers, what the subject writes of them, what the judge scores.

  Raises:
    ValueError: a field that does not fit, or too few questions recorded.
  """
  recorded = options.section(cfg['record'], 'record', record.Recording)
  scored = options.section(
    cfg['reflect'],
    'reflect',
    reflections.Reflections,
    given=summaries.beside(recorded, reflections.Reflections.HOME),
  )
  if scored.questions > recorded.questions:
    raise ValueError(
      f'record.questions must be at least reflect.questions='
      f'{scored.questions}, got {recorded.questions}'
    )
  return recorded, scored.written(recorded), scored


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """Reads the sections `record` and `reflect`, and `summaries`.

  Raises:
    ValueError: a field that does not fit.
  """
  mine, steps = cfg['summaries'], cfg['run']['steps']
  recorded, written, scored = sections(cfg)

  def test(state, key):
    del state, key
    if mine:
      return judged(mine, scored, recorded)
    record.gather(recorded)
    summaries.gather(recorded, written)
    reflections.gather(scored, recorded, written)
    lines = {
      f'{sets.label(name)}/{style}': reflections.load(scored, name, style)
      for name, style in recorded.cells()
    }
    stop.check()
    out = {'judge': scored.judge, 'subject': recorded.model}
    every = [line for rows in lines.values() for line in rows]
    out |= figures(every)
    for cell, rows in lines.items():
      out |= {f'{cell}/{k}': v for k, v in figures(rows).items()}
    return out

  return experiment_lib.Experiment(
    open=lambda: experiment_lib.only_evaluates(test, steps=steps),
    **setup.dry_run(cfg, recorded),
    columns=COLUMNS,
    claims=claims,
    figures='calibration.selfreflect.plots',
  )


def judged(
  spec: str, scored: reflections.Reflections, recorded: record.Recording
) -> dict[str, Any]:
  """Scores of a user's own summaries, see own.py."""

  def answers():
    record.gather(recorded)
    return {
      one.question.prompt: one.samples
      for cell in recorded.cells()
      for one in log.read(recorded.at(), record.cell(*cell))
    }

  lines = own.read(own.path_of(spec), answers)
  found = own.score(reflections.open_judge(scored), lines)
  out: dict[str, Any] = {'judge': scored.judge, 'summaries': len(lines)}
  for name, values in found.items():
    out |= {f'mine/{name}{k}': v for k, v in mean(values).items()}
    out[f'array/mine/{name}'] = values
  return out


def matrix(lines: Sequence[Mapping], distance: str) -> dict[str, np.ndarray]:
  """Scores [questions] by summary; NaN where one is missing."""
  names = lines[0]['scores'][distance] if lines else ()
  return {
    name: np.array(
      [line['scores'][distance][name] for line in lines], np.float64
    )
    for name in names
  }


def wins(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
  """How often `one` has the lower score, with Wilson's 95%, and ties.

  Questions that lack either are left out; a tie is no win.
  """
  both = ~(np.isnan(one) | np.isnan(other))
  won, count = int((one < other)[both].sum()), int(both.sum())
  if not count:
    return {}
  value, low, high = wilson(won, count)
  return {
    '': value,
    '_low': low,
    '_high': high,
    '_ties': float((one == other)[both].mean()),
    '_n': count,
  }


def wilson(won: int, count: int) -> list[float]:
  """[share, low, high], 95% (Wilson, 1927)."""
  ends = stats.binomtest(won, count).proportion_ci(method='wilson')
  return [won / count, float(ends.low), float(ends.high)]


def mean(values: np.ndarray) -> dict[str, float]:
  """Mean with a 95% interval over questions, those that are NaN left out."""
  kept = values[~np.isnan(values)]
  if not len(kept):
    return {}
  value, low, high = bootstrap.interval(
    lambda i: kept[i].mean(-1), len(kept)
  ).tolist()
  return {'': value, '_low': low, '_high': high, '_n': len(kept)}


def figures(lines: Sequence[Mapping]) -> dict[str, Any]:
  """All figures of some questions, flat."""
  if not lines:
    return {'questions': 0}
  scores = matrix(lines, MAIN)
  spread = np.array([line['entropy'] for line in lines])
  uncertain = spread > UNCERTAIN
  out: dict[str, Any] = {
    'questions': len(lines),
    'uncertain': int(uncertain.sum()),
    'entropy': float(spread.mean()),
    'positions': float(np.mean([line['positions'] for line in lines])),
    'skipped': sum(line['skipped'] for line in lines),
  }
  for name, values in scores.items():
    out |= {f'score/{name}{k}': v for k, v in mean(values).items()}
    out[f'missing/{name}'] = int(np.isnan(values).sum())
  each = np.stack(list(scores.values()), axis=1)
  each = each[~np.isnan(each).all(1)]  # a question may have no gap
  if len(each):
    at = list(scores).index(reflections.CONCATENATED)
    out['concatenated_lowest'] = float((np.nanargmin(each, 1) == at).mean())
  for name, (one, other) in APART.items():
    if {one, other} <= set(scores):
      apart = (scores[one] - scores[other])[uncertain]
      out |= {f'apart/{name}{k}': v for k, v in mean(apart).items()}
  for distance in lines[0]['scores']:
    found = matrix(lines, distance)
    for name, (one, other) in PAIRS.items():
      tail = '' if distance == MAIN else f'/{distance}'
      won = wins(found[one], found[other])
      out |= {f'win/{name}{tail}{k}': v for k, v in won.items()}
  for fault in sorted({line['fault'] for line in lines}):
    some = np.array([line['fault'] == fault for line in lines])
    won = wins(scores['good'][some], scores['almost'][some])
    out |= {f'win/good_almost:{fault}{k}': v for k, v in won.items()}
  return out


# Figures that a results file has by judge and subject.
_CLAIMED = {
  'good_bad_win': 'win/good_bad',
  'good_almost_win': 'win/good_almost',
  'template_minus_greedy': 'apart/template_minus_greedy',
  'model_minus_greedy': 'apart/model_minus_greedy',
  'concatenated_minus_template': 'apart/concatenated_minus_template',
}


def claims(found: claims_lib.Summaries) -> dict[str, list[float]]:
  """[value, low, high] by '<figure>/<judge>/<subject>'.

  Wins are also '<figure>/<judge>', over the questions of all its subjects. No
  figure is over two judges.
  """
  out = {}
  both: dict[str, list[int]] = {}
  for runs in found.values():
    run = runs[0]
    if 'subject' not in run:  # a user's own summaries
      continue
    for key, figure in _CLAIMED.items():
      if figure not in run:
        continue
      three = [run[figure + end] for end in ('', '_low', '_high')]
      name = f'{key}/{run["judge"]}'
      out[f'{name}/{run["subject"]}'] = _rounded(three)
      if figure.startswith('win/'):
        count = run[f'{figure}_n']
        total = both.setdefault(name, [0, 0])
        total[0] += round(run[figure] * count)
        total[1] += count
  pooled = {name: _rounded(wilson(*total)) for name, total in both.items()}
  return out | pooled


def _rounded(values: Sequence[float]) -> list[float]:
  return [round(float(value), 6) for value in values]
