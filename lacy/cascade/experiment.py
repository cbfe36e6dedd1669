"""The cascade at work: articles written alone, with a partner, by the partner.

Trained runs continue the openings of held-out articles, a model from outside
is the partner, and what is counted is the share of the names and numbers
written that the true article supports (sections 6 and 7). Here contexts are
what was written, where lacy/evaluate.py reads the true text.

`build(cfg)` reads configs/lacy/cascade.py; nothing is trained.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from engine import checkpoint, options, stop
from engine import experiment as experiment_lib
from engine import mesh as mesh_lib
from engine import progress as progress_lib
from engine.runs import finished
from lacy import data, experiment
from lacy.cascade import decode, factscore, support, writing
from lacy.cascade import partner as partner_lib
from lm.decoding import reader as readers
from lm.judging import endpoint

COLUMNS = (
  ('precision', 'supported', '.3f'),
  ('precision_low', '2.5%', '.3f'),
  ('precision_high', '97.5%', '.3f'),
  ('supported', 'n supported', '.0f'),
  ('entities', 'of', '.0f'),
  ('call_rate', 'calls', '.3f'),
  ('delegated', 'delegated', '.3f'),
)
PARTNER = 'partner alone'


@dataclasses.dataclass(frozen=True, kw_only=True)
class CascadeConfig:
  """What is written, by whom.

  Attributes:
    runs: folder of a sweep, or of one run; all on the same corpus.
    methods: variants of the sweep to take; all if empty.
    partner: name of the partner, see lm/checkpoints/hub.py.
    partner_dtype: what it computes in.
    units: what it writes on a call, see lacy/cascade/partner.py.
    budgets: shares of decode decisions that may be calls, within (0, 1).
    articles: openings of the test split to continue.
    calibration: openings of the validation split that seed the threshold.
    topic: only articles of this topic, where the corpus has topics.
    max_decisions: decode decisions an article.
    characters: of a continuation that are counted, for all alike.
    entities: see lacy/cascade/support.py.
    judge_url: an OpenAI-compatible server that scores facts too; none if
      empty. See docs/judging.md.
    judge_model: its model. judge_key_env: the variable with its key.
    accept_licence: of the partner, see engine/assets.py.
  """

  runs: str
  methods: Sequence[str] = ()
  partner: str = 'smollm2_135m_instruct'
  partner_dtype: str = 'float32'
  units: Sequence[str] = ('token', 'word')
  budgets: Sequence[float] = (0.22,)
  articles: int = 40
  calibration: int = 8
  topic: str = ''
  max_decisions: int = 48
  characters: int = 200
  entities: str = 'ner'
  judge_url: str = ''
  judge_model: str = ''
  judge_key_env: str = ''
  accept_licence: str = ''

  def __post_init__(self):
    for name in ('articles', 'calibration', 'max_decisions', 'characters'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'cascade.{name} must be at least 1, got {getattr(self, name)}'
        )
    if not all(0.0 < beta < 1.0 for beta in self.budgets):
      raise ValueError(
        f'cascade.budgets must lie within (0, 1), got {list(self.budgets)}; '
        'alone and the partner alone are written anyway'
      )
    for unit in self.units:
      if unit not in partner_lib.UNITS:
        raise ValueError(
          f'cascade.units must be of {", ".join(partner_lib.UNITS)}, '
          f'got {unit!r}'
        )


def open_runs(
  runs: str, methods: Sequence[str]
) -> dict[str, finished.Finished]:
  """The runs by method, the first seed of a sweep; one run by its rule.

  Raises:
    FileNotFoundError: no finished sweep or run there.
    ValueError: a method that the sweep has not, or runs on different data.
  """
  found = finished.sweep_runs(runs, key='cascade.runs')
  alone = found == {'run': [pathlib.Path(runs)]}
  unknown = sorted(set(methods) - set(found))
  if unknown and not alone:
    raise ValueError(
      f'cascade.methods must be of {", ".join(found)}, got {unknown[0]!r}'
    )
  opened = {
    name: finished.open_run(found[name][0], key='cascade.runs')
    for name in (found if alone else methods or found)
  }
  if alone:
    opened = {run.config['lacy']['rule']: run for run in opened.values()}
  sections = {
    json.dumps(run.config['data'], sort_keys=True) for run in opened.values()
  }
  if len(sections) != 1:
    raise ValueError(
      f'cascade.methods must be trained on the same data, and '
      f'{", ".join(opened)} have {len(sections)} different sections data'
    )
  return opened


class Small(NamedTuple):
  """A trained run: its readings, and the scores that its threshold begins with.

  `read` owns a cache: one text at a time.
  """

  read: Callable[[Sequence[int]], decode.Reading]
  history: tuple[float, ...]


def open_reader(
  run: finished.Finished, corpus: data.Corpus, *, size: int
) -> Callable[[Sequence[int]], decode.Reading]:
  """Readings of a run: by p(CALL), or by doubt where CALL was never trained."""
  s = experiment.settings(run.config)
  params, _ = checkpoint.restore_params(run.workdir)
  reader = readers.Reader(s.model, params, size=size)
  make = (
    decode.call_reader if s.lacy.selection.calls else decode.uncertainty_reader
  )
  return make(reader.read, corpus.call_id, corpus.vocab_size)


def calibrated(read, tokenizer, texts, *, max_decisions: int) -> Small:
  """With the scores of texts that it continues alone."""
  history: list[float] = []

  def noted(ids):
    reading = read(ids)
    history.append(reading.score)
    return reading

  for text in texts:
    stop.check()
    decode.generate(
      noted,
      _nobody,
      tokenizer,
      text,
      decode.RunningQuantile(0.0),
      max_decisions=max_decisions,
    )
  return Small(read, tuple(history))


def _nobody(text):
  raise AssertionError(f'a budget of zero never calls, called after {text!r}')


def _always(ids):
  del ids
  return decode.Reading(score=0.0, token=0)


def ways(
  c: CascadeConfig,
  small: Mapping[str, Small],
  partners: Mapping[str, decode.Partner],
) -> dict[str, writing.Way]:
  """Every way of writing by its name, in order."""
  out = {}
  for method, (read, history) in small.items():
    never = decode.RunningQuantile(0.0)
    out[f'{method} alone'] = writing.Way(read, _nobody, never)
    for unit in c.units:
      for beta in c.budgets:
        threshold = decode.RunningQuantile(beta, history)
        out[f'{method} {unit} {beta:g}'] = writing.Way(
          read, partners[unit], threshold
        )
  always = decode.RunningQuantile(1.0)
  out[PARTNER] = writing.Way(_always, partners['token'], always)
  return out


def score(
  written: writing.Written,
  articles: Sequence[writing.Article],
  find: support.Finder,
  judged,
) -> dict[str, float]:
  """The figures of one way of writing."""
  texts = written.texts()
  counts = [
    support.support(text, spans, article.text, given=article.opening)
    for text, spans, article in zip(texts, find(texts), articles, strict=True)
  ]
  low, high = support.bootstrap(counts)
  out = {
    'precision': support.supported_entity_precision(counts),
    'precision_low': low,
    'precision_high': high,
    'supported': sum(count.supported for count in counts),
    'entities': sum(count.entities for count in counts),
    **written.accounts(),
  }
  if judged is not None:
    out |= judged(
      texts,
      [article.text for article in articles],
      given=[article.opening for article in articles],
    )
  return out


def _judge(c: CascadeConfig):
  if not c.judge_url:
    return None
  server = endpoint.Endpoint(
    c.judge_url, c.judge_model, api_key_env=c.judge_key_env
  )

  def ask(prompts):
    return server.ask(prompts, temperature=0.0, max_tokens=512)

  return factscore.Scorer(ask, failures='drop')


def settings(cfg: Mapping[str, Any]) -> CascadeConfig:
  """Raises ValueError where a field does not fit."""
  return options.section(cfg['cascade'], 'cascade', CascadeConfig)


def evaluate(c: CascadeConfig) -> dict[str, Any]:
  """Figures as '<way>/<name>', and the marked texts [ways, articles]."""
  find = support.finder(c.entities)  # first, since it may be missing
  runs = open_runs(c.runs, c.methods)
  data_config = data.DataConfig(**next(iter(runs.values())).config['data'])
  corpus = data.load(data_config)
  if corpus.prepared is None:
    raise ValueError(
      f'cascade.runs={c.runs} must be trained on text, and are on '
      f'data.corpus={data_config.corpus}'
    )
  tokenizer = corpus.prepared.tokenizer
  test, seeds = (
    writing.articles(corpus.prepared.split(name).docs, count, c.topic)
    for name, count in (('test', c.articles), ('validation', c.calibration))
  )
  # A decision is some tokens of either model at most.
  size = 1024 + c.max_decisions * partner_lib.MAX_WORD_IDS
  small = {
    name: calibrated(
      open_reader(run, corpus, size=size),
      tokenizer,
      [article.opening for article in seeds],
      max_decisions=c.max_decisions,
    )
    for name, run in runs.items()
  }
  reader, partner_tokenizer = partner_lib.load(
    c.partner,
    size=size,
    accept_licence=c.accept_licence,
    dtype=c.partner_dtype,
  )
  partners = {
    unit: partner_lib.LocalPartner(reader, partner_tokenizer, unit=unit)
    for unit in partner_lib.UNITS
  }
  every = ways(c, small, partners)
  judged = _judge(c)
  out: dict[str, Any] = {'articles': len(test), 'partner': c.partner}
  texts = []
  with progress_lib.Progress(
    'writing', len(every) * len(test), unit='articles'
  ) as bar:
    for name, way in every.items():
      written = writing.write(
        way,
        tokenizer,
        test,
        max_decisions=c.max_decisions,
        characters=c.characters,
        bar=bar,
      )
      made = score(written, test, find, judged)
      logging.info('%s: %.3f supported', name, made['precision'])
      out |= {f'{name}/{key}': value for key, value in made.items()}
      texts.append(written.marked())
  return out | {
    'ways': np.array(list(every)),
    'texts': np.array(texts),
    'titles': np.array([article.title for article in test]),
    'references': np.array([article.text for article in test]),
  }


def rows(summary: Mapping[str, Any]) -> dict[str, list[dict]]:
  """Figures by way of writing, from the summary of a run of this experiment."""
  out: dict[str, dict] = {}
  for key, value in summary.items():
    name, slash, figure = key.rpartition('/')
    if slash:
      out.setdefault(name, {})[figure] = value
  return {name: [row] for name, row in out.items()}


def figures(summary: Mapping[str, Any]) -> dict[str, Any]:
  """The summary as a results file has it: a precision with its interval."""
  out = {}
  for key, value in summary.items():
    name, _, figure = key.rpartition('/')
    if figure in ('precision_low', 'precision_high'):
      continue
    if figure == 'precision':
      ends = (summary[f'{name}/precision_{end}'] for end in ('low', 'high'))
      value = [round(x, 6) for x in (value, *ends)]
    out[key] = round(value, 6) if isinstance(value, float) else value
  return out


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """An experiment without training.

  Raises:
    ValueError: a field that does not fit.
  """
  c = settings(cfg)
  return experiment_lib.Experiment(
    open=lambda: open_program(c),
    columns=COLUMNS,
    rows=rows,
    results=figures,
    figures='lacy.plots',
  )


def open_program(c: CascadeConfig) -> experiment_lib.Program:
  """Finds the runs before anything is written.

  Raises:
    ValueError: runs on different data.
    FileNotFoundError: no finished runs.
  """
  open_runs(c.runs, c.methods)

  def final(state, key):
    del state, key
    # One text at a time is nothing to share out.
    alone = mesh_lib.make(mesh_lib.MeshConfig(data=1), jax.local_devices()[:1])
    with mesh_lib.use(alone):
      return evaluate(c)

  return experiment_lib.only_evaluates(final, steps=0, name='cascade')
