"""Who writes truer text with a partner: train, then write biographies.

The paper's claim is about text that the models write themselves, in a cascade
with something that knows. A checkpoint is trained on with each selection rule
(lacy/continued.py), then continues the openings of held-out articles: alone,
and with a partner at several budgets, all articles in lockstep. What is counted
is which of the names and numbers written the true article states (section 7).

Models, budget by feedback and units are ours, see docs/papers/lacy.md, 11.5.
"""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from engine import experiment as experiment_lib
from engine import mesh as mesh_lib
from engine import options
from engine import progress as progress_lib
from lacy import continued, data, experiment
from lacy.cascade import (
  budget,
  lockstep,
  paired,
  reading,
  support,
  turns,
  writing,
)
from lm import layout
from lm.checkpoints import decoder
from lm.decoding import row_reader

ALONE = 'alone'
COLUMNS = (
  ('span 0.22/precision', 'supported', '.3f'),
  ('span 0.22/supported', 'n', '.0f'),
  ('span 0.22/delegated', 'delegated', '.3f'),
  ('token 0.22/precision', 'by tokens', '.3f'),
  ('token 0.22/supported', 'n', '.0f'),
  ('token 0.22/delegated', 'delegated', '.3f'),
  ('alone/precision', 'alone', '.3f'),
  ('alone/supported', 'n', '.0f'),
)
PARTNERS = ('database', 'large')


@dataclasses.dataclass(frozen=True, kw_only=True)
class FreeTextConfig:
  """What is written, and by whom.

  Attributes:
    partner: `database` looks words up in the true article; `large` is a model
      that knows without documents.
    model: of the partner, see lm/checkpoints/hub.py; of `database` its reader.
    model_dtype: what it computes in.
    budgets: by unit (what a call is worth, see lacy/cascade/turns.py) the
      shares of the text that the partner shall write, within (0, 1).
    gain: see lacy/cascade/budget.py. damping, window: likewise.
    articles: held-out openings to continue.
    splits: where they come from, in this order.
    shortest: characters of an article at least; longest: at most.
    opening: characters of an opening at most.
    characters: of a continuation.
    most: steps at most, a token of each text a step.
    entities: how names are found, see lacy/cascade/support.py.
    accept_licence: of the partner, see engine/assets.py.
  """

  partner: str = 'database'
  model: str = 'smollm2_135m_instruct'
  model_dtype: str = 'bfloat16'
  budgets: Mapping[str, Sequence[float]] = dataclasses.field(
    default_factory=lambda: {'token': (0.22,), 'span': (0.22,)}
  )
  gain: float = 40.0
  damping: float = 2000.0
  window: int = 100
  articles: int = 100
  splits: Sequence[str] = ('test', 'validation')
  shortest: int = 0
  longest: int = 1000
  opening: int = 150
  characters: int = 120
  most: int = 48
  entities: str = 'ner'
  accept_licence: str = ''

  def __post_init__(self):
    if self.partner not in PARTNERS:
      raise ValueError(
        f'cascade.partner must be one of {", ".join(PARTNERS)}, got '
        f'{self.partner!r}'
      )
    for name in ('articles', 'characters', 'most', 'longest'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'cascade.{name} must be at least 1, got {getattr(self, name)}'
        )
    for unit, shares in self.budgets.items():
      if unit not in turns.UNITS:
        raise ValueError(
          f'cascade.budgets must be of the units {", ".join(turns.UNITS)}, got '
          f'{unit!r}'
        )
      if not all(0.0 < beta < 1.0 for beta in shares):
        raise ValueError(
          f'cascade.budgets.{unit} must lie within (0, 1), got {list(shares)}; '
          'alone and the partner alone are written anyway'
        )


def slots(c: FreeTextConfig, ids: Sequence[Sequence[int]]) -> int:
  """Of a text at a reader: its opening, a slot a step, and some to spare.

  Args:
    c: the steps.
    ids: of the openings.
  """
  return max(map(len, ids)) + c.most + 3 * row_reader.WIDE


def articles(c: FreeTextConfig, corpus: data.Corpus) -> list[writing.Article]:
  """Held-out articles that fit, the first of each split.

  Raises:
    ValueError: fewer than are asked for.
  """
  docs = [
    doc
    for name in c.splits
    for doc in corpus.documents(name).docs
    if c.shortest <= len(doc['text']) <= c.longest
  ]
  found = [
    article
    for article in writing.articles(docs, len(docs))
    if len(article.opening) <= c.opening
  ][: c.articles]
  if len(found) < c.articles:
    raise ValueError(
      f'cascade.articles={c.articles} must be in the splits '
      f'{", ".join(c.splits)}, and {len(found)} fit; lower it, or change '
      'cascade.shortest, cascade.longest or cascade.opening'
    )
  return found


@functools.lru_cache(maxsize=1)
def _partner_model(name, dtype, accept_licence) -> decoder.Decoder:
  return decoder.open_decoder(
    name, accept_licence=accept_licence, what='cascade.model', dtype=dtype
  )


def score(
  written: writing.Written,
  read: Sequence[writing.Article],
  find: support.Finder,
) -> dict[str, Any]:
  """The figures of a way of writing.

  `counts` has supported/entities of each article, in order; `recall` is of the
  distinct names and numbers of the articles, their openings left out.
  """
  texts = written.texts()
  counts = _counts(texts, read, find)
  there = _counts([a.text for a in read], read, find)
  return {
    'precision': support.supported_entity_precision(counts),
    'supported': sum(count.supported for count in counts),
    'entities': sum(count.entities for count in counts),
    'recall': sum(count.supported for count in counts)
    / max(sum(count.entities for count in there), 1),
    **written.accounts(),
    'counts': paired.dumps(counts),
  }


def _counts(texts, read, find):
  return [
    support.support(text, spans, article.text, given=article.opening)
    for text, spans, article in zip(texts, find(texts), read, strict=True)
  ]


class Partners:
  """A partner a unit over the same articles, and what it writes alone."""

  def __init__(self, c: FreeTextConfig, read: Sequence[writing.Article]):
    """Opens the model; documents are read with the first call."""
    model = _partner_model(c.model, c.model_dtype, c.accept_licence)
    openings = [model.tokenizer.encode(article.opening) for article in read]
    # Twice the steps: alone it may end each with half a word.
    size = c.most + slots(c, openings)
    self._c, self._read = c, read
    self._alone: writing.Written | None = None
    units = dict.fromkeys((*c.budgets, 'token'))
    if c.partner == 'large':
      self.units = {
        unit: reading.LargePartner(model, unit=unit, size=size)
        for unit in units
      }
      return
    before = reading.Before(model, support.finder(c.entities), size=size)
    self.units = {
      unit: reading.DatabasePartner(before, unit=unit) for unit in units
    }

  def alone(self, tokenizer) -> writing.Written:
    """Written once; `tokenizer` counts its tokens."""
    if self._alone is None:
      self._alone = lockstep.write(
        lockstep.ends_everything(tokenizer),
        self.units['token'],
        tokenizer,
        self._read,
        lockstep.Always(),
        characters=self._c.characters,
        most=2 * self._c.most,
      )
    return self._alone


@functools.lru_cache(maxsize=1)
def _kept(cascade: str, read: tuple[writing.Article, ...]) -> Partners:
  return Partners(FreeTextConfig(**json.loads(cascade)), read)


def open_partners(
  c: FreeTextConfig, read: Sequence[writing.Article]
) -> Partners:
  """Kept for the runs of a sweep."""
  return _kept(json.dumps(dataclasses.asdict(c), sort_keys=True), tuple(read))


def evaluate(
  s: experiment.Settings, c: FreeTextConfig, corpus: data.Corpus, params
) -> dict[str, Any]:
  """Figures as '<way>/<name>', and the marked texts [ways, articles]."""
  find = support.finder(c.entities)
  read = articles(c, corpus)
  tokenizer = corpus.prepared.tokenizer
  model, params = layout.fuse(s.model, params)
  if model.scan_layers:
    params = layout.unrolled(params, model.layers)
    model = dataclasses.replace(model, scan_layers=False)
  params = jax.tree.map(lambda a: jnp.asarray(a, model.dtype), params)
  size = slots(c, [tokenizer.encode(article.opening) for article in read])
  rows = row_reader.RowReader(model, params, rows=len(read), size=size)
  small = reading.small_rows(
    rows, corpus.call_id, corpus.vocab_size, s.lacy.selection.calls
  )
  partners = open_partners(c, read)
  ways = [
    (f'{unit} {beta:g}', partners.units[unit], beta)
    for unit, shares in c.budgets.items()
    for beta in shares
  ]
  out: dict[str, Any] = {}
  made = {}
  with progress_lib.Progress('writing', len(ways) + 2, unit='ways') as bar:
    for name, partner, beta in [(ALONE, turns.nobody, 0.0), *ways]:
      made[name] = lockstep.write(
        small,
        partner,
        tokenizer,
        read,
        budget.Feedback(beta, gain=c.gain, damping=c.damping, window=c.window),
        characters=c.characters,
        most=c.most,
      )
      bar.update(1)
      out |= _named(name, score(made[name], read, find))
      logging.info(
        '%s: %.3f supported of %d, %.3f delegated',
        name,
        out[f'{name}/precision'],
        out[f'{name}/entities'],
        out[f'{name}/delegated'],
      )
    made[paired.ALONE] = partners.alone(tokenizer)
    out |= _named(paired.ALONE, score(made[paired.ALONE], read, find))
    bar.update(1)
  return out | {
    'articles': len(read),
    'ways': np.array(list(made)),
    'texts': np.array([written.marked() for written in made.values()]),
    'titles': np.array([article.title for article in read]),
    'references': np.array([article.text for article in read]),
  }


def _named(way, figures):
  return {f'{way}/{name}': value for name, value in figures.items()}


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """lacy.continued, and what the trained model writes.

  Raises:
    ValueError: a field that does not fit.
    FileNotFoundError: no such checkpoint.
  """
  s, more = continued.settings(cfg)
  c = options.section(cfg['cascade'], 'cascade', FreeTextConfig)
  return experiment.build(cfg)._replace(
    open=functools.partial(open_program, s, more, c),
    abstract=functools.partial(continued.abstract, s, more),
    columns=COLUMNS,
    note='supported: of the names and numbers written, those that the true '
    'article states',
    claims=paired.claims,
    figures='lacy.cascade.plots',
  )


def open_program(
  s: experiment.Settings, more: continued.Continued, c: FreeTextConfig
) -> experiment_lib.Program:
  """The training of lacy.continued; at its end the texts.

  Raises:
    ValueError: too few articles.
  """
  corpus = data.load(s.data)
  articles(c, corpus)

  def written(state, key):
    del key
    alone = mesh_lib.make(mesh_lib.MeshConfig(data=1), jax.local_devices()[:1])
    params = jax.tree.map(np.asarray, state.params)
    with mesh_lib.use(alone):
      return evaluate(s, c, corpus, params)

  return continued.open_program(s, more, {})._replace(
    evals={}, final={'writing': written}
  )
