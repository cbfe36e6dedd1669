"""FactScore of texts that a sweep of lacy/cascade/free_text.py has written.

A model on this machine lists the facts of a text and checks each against the
true article (lacy/cascade/factscore.py). Nothing is written or trained anew, so
a judge can be changed and the texts stay. `build(cfg)` reads
configs/lacy/factscore.py.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine import experiment as experiment_lib
from engine import options, stop
from engine import progress as progress_lib
from engine.runs import finished
from engine.stats import bootstrap
from lacy.cascade import experiment, factscore, writing
from lm.judging import local

COLUMNS = (
  ('factscore', 'FactScore', '.3f'),
  ('factscore_low', '2.5%', '.3f'),
  ('factscore_high', '97.5%', '.3f'),
  ('factscore_penalised', 'penalised', '.3f'),
  ('facts', 'facts', '.2f'),
  ('unlisted', 'unlisted', '.0f'),
  ('unchecked', 'unchecked', '.0f'),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FactsConfig:
  """What is judged, by whom.

  Attributes:
    runs: folder of a finished sweep; the first seed of each method is read.
    methods: variants of the sweep to take; all if empty. The first is compared
      with each of the others.
    ways: of writing, such as 'span 0.22'.
    articles: of each way, from the first.
    judge: name of the judge, see lm/checkpoints/hub.py.
    judge_dtype: what it computes in.
    max_new_tokens: of its list of facts.
    accept_licence: of the judge, see engine/assets.py.
  """

  runs: str
  methods: Sequence[str] = ()
  ways: Sequence[str] = ('span 0.22',)
  articles: int = 40
  judge: str = 'qwen2_5_coder_1_5b_instruct'
  judge_dtype: str = 'bfloat16'
  max_new_tokens: int = 96
  accept_licence: str = ''

  def __post_init__(self):
    for name in ('articles', 'max_new_tokens'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'facts.{name} must be at least 1, got {getattr(self, name)}'
        )


def read(c: FactsConfig) -> dict[tuple[str, str], list[writing.Text]]:
  """Texts by (method, way).

  Raises:
    FileNotFoundError: no finished sweep, or none that wrote texts.
    ValueError: a method or a way that it has not, or too few articles.
  """
  found = finished.sweep_runs(c.runs, key='facts.runs')
  unknown = sorted(set(c.methods) - set(found))
  if unknown:
    raise ValueError(
      f'facts.methods must be of {", ".join(found)}, got {unknown[0]!r}'
    )
  out = {}
  for method in c.methods or found:
    path = found[method][0] / 'evals' / 'writing-final.npz'
    if not path.exists():
      raise FileNotFoundError(
        f'facts.runs={c.runs} must be a sweep of lacy.cascade.free_text, and '
        f'{method} wrote no texts'
      )
    with np.load(path) as file:
      made = dict(file)
    if c.articles > len(made['titles']):
      raise ValueError(
        f'facts.articles={c.articles} must be at most the '
        f'{len(made["titles"])} that were written'
      )
    ways = made['ways'].tolist()
    for way in c.ways:
      if way not in ways:
        raise ValueError(
          f'facts.ways must be of {", ".join(ways)}, got {way!r}'
        )
      out[method, way] = [
        writing.unmarked(str(text), str(reference))
        for text, reference in zip(
          made['texts'][ways.index(way)][: c.articles],
          made['references'][: c.articles],
          strict=True,
        )
      ]
  return out


def evaluate(c: FactsConfig, ask) -> dict[str, Any]:
  """Figures as '<method> <way>/<name>', and differences over articles.

  Args:
    c: what is judged.
    ask: the judge, see lm/judging/judge.py.
  """
  scorer = factscore.Scorer(ask, failures='drop')
  found = read(c)
  scores, out = {}, {}
  with progress_lib.Progress('judging', len(found), unit='ways') as bar:
    for (method, way), texts in found.items():
      stop.check()
      scores[method, way] = made = scorer.each(
        [text.written for text in texts],
        [text.reference for text in texts],
        given=[text.opening for text in texts],
      )
      figures = made.means() | _ends(made.factscore)
      out |= {f'{method} {way}/{k}': v for k, v in figures.items()}
      bar.update(1)
  first, *others = dict.fromkeys(method for method, _ in found)
  for way in c.ways:
    for other in others:
      pair = [scores[method, way] for method in (first, other)]
      apart = {
        name: getattr(pair[0], name) - getattr(pair[1], name)
        for name in factscore.SCORES
      }
      name = f'{way}: {first} minus {other}'
      out |= {
        f'{name}/{key}': value
        for key, value in (
          *((key, _mean(each)) for key, each in apart.items()),
          *_ends(apart['factscore']).items(),
        )
      }
  return out | {'articles': c.articles, 'judge': c.judge}


def _mean(each_N: np.ndarray) -> float:
  kept = each_N[~np.isnan(each_N)]
  return float(kept.mean()) if len(kept) else math.nan


def _ends(each_N: np.ndarray) -> dict[str, float]:
  """95% of the mean, articles drawn again; those that are lost left out."""
  kept = each_N[~np.isnan(each_N)]
  low = high = math.nan
  if len(kept):
    _, low, high = bootstrap.interval(lambda i: kept[i].mean(-1), len(kept))
  return {'factscore_low': float(low), 'factscore_high': float(high)}


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """An experiment without training.

  Raises:
    ValueError: a field that does not fit.
  """
  c = options.section(cfg['facts'], 'facts', FactsConfig)
  return experiment_lib.Experiment(
    open=lambda: open_program(c),
    columns=COLUMNS,
    rows=experiment.rows,
  )


def open_program(c: FactsConfig) -> experiment_lib.Program:
  """Reads the texts before the judge is opened; errors are those of `read`."""
  read(c)

  def final(state, key):
    del state, key
    with local.Local.open(
      c.judge, accept_licence=c.accept_licence, dtype=c.judge_dtype
    ) as judge:
      ask = functools.partial(judge.ask, max_new_tokens=c.max_new_tokens)
      return evaluate(c, ask)

  return experiment_lib.only_evaluates(final, steps=0, name='facts')
