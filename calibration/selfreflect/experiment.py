"""Does a model's own summary say what its answers are? Nothing is trained.

Answers are recorded or read (calibration/recording), summaries are written by
the subject and made by rule, and a judge scores them (reflections.py):
docs/papers/selfreflect.md.
`build(cfg)` reads configs/calibration/selfreflect*.py.
"""

import dataclasses
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reflect:
  """What is summed up, and who judges.

  Attributes:
    judge: see `reflections.Reflections`. judge_compute: likewise.
    questions: of each cell, the first.
    answers: N, of the gaps and again of the reference context.
    fresh: answers that summaries are made from.
    strategies: of `summaries.STRATEGIES`.
    chain_tokens: see `summaries.Summaries`. summary_tokens: likewise.
    temperatures: see `metric.Judge`. others, same_prompt: likewise.
    release: see `summaries.summary_of`.
    baselines: see `reflections.Reflections`. encoder: likewise.
  """

  judge: str
  judge_compute: str = 'float32'
  questions: int = 60
  answers: int = 10
  fresh: int = 10
  strategies: tuple[str, ...] = summaries.STRATEGIES
  chain_tokens: int = 160
  summary_tokens: int = 64
  temperatures: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0)
  others: tuple[str, ...] = ('hellinger', 'kl', 'wasserstein', 'accuracy')
  same_prompt: bool = False
  release: bool = False
  baselines: tuple[str, ...] = ()
  encoder: str = 'minilm_l6'

  def __post_init__(self):
    for name in ('questions', 'answers', 'fresh'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'reflect.{name} must be at least 1, got {getattr(self, name)}'
        )
    unknown = [s for s in self.strategies if s not in summaries.STRATEGIES]
    if unknown:
      raise ValueError(
        f'reflect.strategies must be of {", ".join(summaries.STRATEGIES)}, got '
        f'{unknown[0]!r}'
      )
    if distances.TEMPERATURE not in self.temperatures:
      raise ValueError(
        f'reflect.temperatures must have {distances.TEMPERATURE:g}, the '
        f"release's, got {self.temperatures}"
      )


def asked(
  reflect: Reflect, recorded: record.Recording
) -> tuple[summaries.Summaries, reflections.Reflections]:
  """What the subject writes, and what the judge scores.

  Raises:
    ValueError: too few samples or questions are recorded.
  """
  counts = summaries.Counts(reflect.answers, reflect.answers, reflect.fresh)
  for key, need, have in (
    ('samples', sum(counts), recorded.samples),
    ('questions', reflect.questions, recorded.questions),
  ):
    if need > have:
      raise ValueError(
        f'record.{key} must be at least {need} for reflect.answers='
        f'{reflect.answers}, reflect.fresh={reflect.fresh} and '
        f'reflect.questions={reflect.questions}, got {have}'
      )
  shared = dict(
    counts=counts,
    questions=reflect.questions,
    file=min(recorded.file, reflect.questions),
    strategies=reflect.strategies,
    chain_tokens=reflect.chain_tokens,
    summary_tokens=reflect.summary_tokens,
  )
  scored = {
    name: getattr(reflect, name)
    for name in (
      'judge',
      'judge_compute',
      'temperatures',
      'others',
      'same_prompt',
      'release',
      'baselines',
      'encoder',
    )
  }
  return (
    summaries.Summaries.of(recorded, **shared),
    reflections.Reflections.of(recorded, **shared, **scored),
  )


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """Reads the sections `record` and `reflect`, and `summaries`.

  Raises:
    ValueError: a field that does not fit.
  """
  recorded = options.section(cfg['record'], 'record', record.Recording)
  reflect = options.section(cfg['reflect'], 'reflect', Reflect)
  mine, steps = cfg['summaries'], cfg['run']['steps']
  written, scored = asked(reflect, recorded)

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
    out = {'judge': reflect.judge, 'subject': recorded.model}
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
  ends = stats.binomtest(won, count).proportion_ci(method='wilson')
  return {
    '': won / count,
    '_low': ends.low,
    '_high': ends.high,
    '_ties': float((one == other)[both].mean()),
    '_n': count,
  }


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
  lowest = np.nanargmin(np.stack(list(scores.values())), axis=0)
  at = list(scores).index(reflections.CONCATENATED)
  out['concatenated_lowest'] = float((lowest == at).mean())
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


def claims(found: claims_lib.Summaries) -> dict[str, list[float]]:
  """Figures by judge and subject, as [value, low, high].

  A judge's good_bad_win is over all subjects; scores of two judges stand in
  keys of their own.
  """
  out = {}
  for runs in found.values():
    run = runs[0]
    judge, subject = run['judge'], run['subject']
    for key, figure in (
      ('good_bad_win', 'win/good_bad'),
      ('good_almost_win', 'win/good_almost'),
      ('template_minus_greedy', 'apart/template_minus_greedy'),
      ('model_minus_greedy', 'apart/model_minus_greedy'),
      ('concatenated_minus_template', 'apart/concatenated_minus_template'),
    ):
      if figure in run:
        out[f'{key}/{judge}/{subject}'] = [
          round(float(run[figure + end]), 6) for end in ('', '_low', '_high')
        ]
  return out
