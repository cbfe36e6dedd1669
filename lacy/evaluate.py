"""Runs a model over held-out records and hands the numbers to measures.py.

Teacher-forced: contexts are the true text, so that methods are compared on
the same positions (section 7; the free-running cascade is
lacy/cascade/decode.py).

Shapes: R records, B batch, T positions.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from corpora.text import pipeline
from engine import mesh as mesh_lib
from engine import stop
from lacy import data, measures
from lm import losses, transformer

# Records kept for showing; the first of them hold the longest documents.
ARTICLES = 96
BUDGETS = np.linspace(0.0, 0.5, 51)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Evaluator:
  """Evaluates parameters on arrays [R, T + 1] (see lacy/data.py).

  Attributes:
    model: shape of the model.
    vocab_size: ids that have a token. A model may have more rows: these are
      in the softmax that it was trained with, and are never its prediction.
    call_id: the id of CALL.
    trained_to_call: whether p(CALL) means anything. If not, calls go where
      the top probability over V is lowest: the CALL row of a model never
      taught to call is not neutral (section 11.1, cautions).
    beta: call budget. oracle_error: how often the partner is wrong.
    batch_size: global.
    group: [V] synonym group of a word, where acceptability is known.
    pieces: ids -> printable texts, to show an article.
  """

  model: transformer.TransformerConfig
  vocab_size: int
  call_id: int
  trained_to_call: bool
  beta: float
  oracle_error: float
  batch_size: int
  group: np.ndarray | None = None
  pieces: Callable[[list[int]], list[str]]

  @functools.cached_property
  def _score(self):
    model = transformer.Transformer(self.model)

    def score(params, batch):
      text = batch.text
      hidden = model.apply(
        {'params': params}, text.tokens, text.positions, text.segments
      ).hidden
      table = transformer.unembedding(params)
      stats = losses.vocab_stats(
        hidden, table, text.targets, excluded=self.call_id
      )
      # The rows past the last token have no token to predict.
      known = table[: self.vocab_size]
      high, best = losses.vocab_top(hidden, known, excluded=self.call_id)
      return {
        'valid': text.weights > 0,
        'fact': batch.facts,
        'best': best,
        'loss': stats.lse - stats.target,
        'uncertainty': stats.lse - high,
        'odds': stats.excluded - stats.lse,
        'log_call': jax.nn.log_sigmoid(stats.excluded - stats.lse),
        'argmax_call': stats.excluded > high,
      }

    return mesh_lib.replicated_jit(score)

  def device_batches(
    self, batches: Iterable[data.FactBatch], count: int | None = None
  ) -> Iterator[data.FactBatch]:
    """The first `count` batches (None: all), on the current mesh."""
    for i, batch in enumerate(batches):
      if i == count:
        return
      stop.check_together()
      yield mesh_lib.device_batch(batch)

  def means(
    self,
    sums: Callable,
    params,
    batches: Iterable[data.FactBatch],
    count: int,
    key: jax.Array,
  ) -> dict[str, float]:
    """Means of `sums(params, batch, key)` over the first `count` batches."""
    total, of_batch = None, jax.jit(sums)
    for i, batch in enumerate(self.device_batches(batches, count)):
      new = of_batch(params, batch, jax.random.fold_in(key, i))
      total = new if total is None else jax.tree.map(jnp.add, total, new)
    return {name: float(value.compute()) for name, value in total.items()}

  def per_token(self, params, arrays: Mapping[str, np.ndarray]):
    """What the model makes of every target: arrays [R, T] by name."""
    known = ('tokens', 'segments', 'positions', 'facts')
    batches = pipeline.dataset(
      {name: arrays[name] for name in known},
      batch_size=self.batch_size,
      seed=0,
      shuffle=False,
      repeat=False,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    ).map(data.to_batch)
    rows = [
      jax.device_get(self._score(params, batch))
      for batch in self.device_batches(batches)
    ]
    size = len(arrays['tokens'])
    return {
      name: np.concatenate([row[name] for row in rows])[:size]
      for name in rows[0]
    }

  def tokens(self, made: Mapping, arrays: Mapping) -> measures.Tokens:
    """The counted positions of `per_token`, flat."""
    truth = np.asarray(arrays['tokens'][:, 1:], np.int64)
    wrong = made['best'] != truth
    bad = wrong
    if self.group is not None:
      same = self.group[made['best']] == arrays['accept'][:, 1:]
      bad = wrong & ~(same & (arrays['accept'][:, 1:] >= 0))
    score = made['odds' if self.trained_to_call else 'uncertainty']
    valid = made['valid']
    return measures.Tokens(
      fact=made['fact'][valid],
      loss=made['loss'][valid],
      wrong=wrong[valid],
      bad=bad[valid],
      score=score[valid],
      log_call=made['log_call'][valid],
      argmax_call=made['argmax_call'][valid],
    )

  def periodic(self, params, arrays) -> dict[str, float]:
    """The few figures to watch during training."""
    tokens = self.tokens(self.per_token(params, arrays), arrays)
    every = measures.teacher_forced(
      tokens, beta=self.beta, oracle_error=self.oracle_error
    )
    names = ('loss_fact', 'loss_nonfact', 'fact_error_cascade', 'fact_leakage')
    return {name: every[name] for name in names}

  def final(self, params, arrays) -> dict:
    """All figures, the delegation curve, and what to mark in an article."""
    made = self.per_token(params, arrays)
    tokens = self.tokens(made, arrays)
    out = measures.teacher_forced(
      tokens, beta=self.beta, oracle_error=self.oracle_error
    )
    curve = measures.delegation_curve(
      tokens, oracle_error=self.oracle_error, budgets=BUDGETS
    )
    called = np.zeros(made['valid'].shape, bool)
    called[made['valid']] = measures.top_share(tokens.score, self.beta)
    some = slice(0, ARTICLES)
    return {
      **out,
      **{f'curve_{name}': value for name, value in curve.items()},
      'article_pieces': np.array(
        [self.pieces(row[1:].tolist()) for row in arrays['tokens'][some]]
      ),
      'article_segments': np.asarray(arrays['segments'][some]),
      'article_called': called[some],
      'article_fact': made['fact'][some],
      'article_wrong': (made['best'] != arrays['tokens'][:, 1:])[some],
    }
