"""LaCy as an experiment: train with a selection rule, see who delegates well.

`build(cfg)` reads a config (configs/lacy/*.py) and returns what engine.loop
runs. The paper is arXiv 2602.12005; docs/papers/lacy.md says what is its and
what is ours.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from engine import experiment as experiment_lib
from engine import metrics, microbatches, optim, options
from lacy import claims as claims_lib
from lacy import data, evaluate, objective, reference, selection
from lm import init as model_init
from lm import losses, transformer

# What a sweep shows in the terminal: key, heading, format.
COLUMNS = (
  ('fact_error_cascade', 'fact error', '.3f'),
  ('fact_leakage', 'leakage', '.3f'),
  ('call_precision', 'calls on facts', '.3f'),
  ('call_recall', 'facts called', '.3f'),
  ('auroc_call_fact', 'AUROC call/fact', '.3f'),
  ('auroc_loss_wrong', 'AUROC loss/wrong', '.3f'),
  ('loss_fact', 'loss facts', '.3f'),
  ('loss_nonfact', 'loss other', '.3f'),
  ('train_call_share', 'train calls', '.3f'),
  ('tokens_per_second', 'tokens/s', ',.0f'),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LacyConfig:
  """Selection (see `selection.SelectionConfig`) and delegation.

  Attributes:
    noncall_norm: softmax of the positions that are not called.
    reference: workdir of a finished run, the frozen model of rule `rho`.
    beta: share of decode decisions that may be calls at inference.
    oracle_error: how often the partner of the evaluation is wrong.
  """

  selection: selection.SelectionConfig
  noncall_norm: str = 'vocab'
  reference: str = ''
  beta: float = 0.22
  oracle_error: float = 0.0


class Settings(NamedTuple):
  """The config, taken apart into checked dataclasses."""

  data: data.DataConfig
  model: transformer.TransformerConfig
  lacy: LacyConfig
  optim: optim.OptimConfig
  steps: int
  seed: int
  accumulate: int


def settings(cfg: Mapping[str, Any]) -> Settings:
  """Raises ValueError where a field does not fit."""
  chosen, others = options.sections(
    cfg['lacy'], 'lacy', (selection.SelectionConfig, LacyConfig)
  )
  rule = options.section(chosen, 'lacy', selection.SelectionConfig)
  if rule.needs_reference and not cfg['lacy'].get('reference'):
    raise ValueError(
      'lacy.rule=rho needs the loss of a reference model; set '
      '--config.lacy.reference to the workdir of a finished standard run'
    )
  return Settings(
    data=options.section(cfg['data'], 'data', data.DataConfig),
    model=options.section(cfg['model'], 'model', transformer.TransformerConfig),
    lacy=options.section(others, 'lacy', LacyConfig, given={'selection': rule}),
    optim=options.section(cfg['optim'], 'optim', optim.OptimConfig),
    steps=cfg['run']['steps'],
    seed=cfg['run']['seed'],
    accumulate=cfg.get('accumulate', 1),
  )


def token_stats(model, params, batch, call_id) -> losses.VocabStats:
  """One forward pass over packed records, CALL set apart."""
  text = batch.text
  hidden = model.apply(
    {'params': params}, text.tokens, text.positions, text.segments
  ).hidden
  table = transformer.unembedding(params)
  return losses.vocab_stats(hidden, table, text.targets, excluded=call_id)


def choose(config: LacyConfig, loss, batch, *, step, key) -> selection.Choice:
  """The selection of a global batch, from its token losses [B, T]."""
  return selection.select(
    config.selection,
    loss,
    batch.facts,
    batch.text.weights > 0,
    step=step,
    key=key,
    reference=batch.reference,
  )


def _metrics(stats, choice, batch, loss) -> dict[str, metrics.Mean]:
  weights = batch.text.weights
  facts, others = weights * batch.facts, weights * ~batch.facts
  token_loss = objective.token_loss(stats)
  p_call = jax.nn.sigmoid(objective.call_log_odds(stats))
  of = metrics.Mean.of
  return {
    'loss': loss,
    'loss_fact': of(token_loss, facts),
    'loss_nonfact': of(token_loss, others),
    'fact_share': of(batch.facts, weights),
    'call_share': of(choice.call, weights),
    'p_call_fact': of(p_call, facts),
    'p_call_nonfact': of(p_call, others),
  }


def make_step(
  s: Settings, call_id: int, optimiser, part: optim.Part = optim.WHOLE
):
  """(state, batch, key) -> (state, metrics), for one global batch.

  Only `part` of the parameters is trained.

  With `accumulate` microbatches the selection still ranks the whole batch: a
  first pass collects all losses, so the result equals one big batch (and a
  step costs about a third more).
  """
  model = transformer.Transformer(s.model)

  def objective_of(trained, params, batch, choice, step, key):
    params = part.put(params, trained)
    stats = token_stats(model, params, batch, call_id)
    if choice is None:
      token_loss = objective.token_loss(stats)
      choice = choose(s.lacy, token_loss, batch, step=step, key=key)
    loss = objective.call_loss(
      stats, choice, batch.text.weights, noncall_norm=s.lacy.noncall_norm
    )
    return loss.total, (loss, _metrics(stats, choice, batch, loss))

  def whole(params, batch, step, key):
    grad = jax.grad(objective_of, has_aux=True)
    trained = part.take(params)
    grads, (loss, out) = grad(trained, params, batch, None, step, key)
    return grads, loss.count, out

  def in_parts(params, batch, step, key):
    parts = microbatches.split(batch, s.accumulate)

    def losses_of(microbatch):
      stats = token_stats(model, params, microbatch, call_id)
      return objective.token_loss(stats)

    token_loss = jax.lax.map(losses_of, parts)
    token_loss = token_loss.reshape(batch.text.tokens.shape)
    choice = choose(s.lacy, token_loss, batch, step=step, key=key)
    choices = microbatches.split(choice, s.accumulate)

    def grad(trained, microbatch):
      batch, choice = microbatch
      grads, (loss, out) = jax.grad(objective_of, has_aux=True)(
        trained, params, batch, choice, step, key
      )
      return grads, loss.count, out

    return microbatches.add_up(grad, part.take(params), (parts, choices))

  def step(state, batch, key):
    sums = whole if s.accumulate == 1 else in_parts
    grads, count, out = sums(state.params, batch, state.step, key)
    grads = jax.tree.map(lambda g: g / jnp.maximum(count, 1.0), grads)
    state, norms = optim.apply(optimiser, state, grads, part)
    row = transformer.unembedding(state.params)[call_id]
    out |= norms | {
      'call_row_norm': jnp.linalg.norm(row),
      'tokens': batch.text.weights.sum(),
    }
    return state, out

  return step


def make_evaluator(
  s: Settings, corpus: data.Corpus, trained_to_call: bool
) -> evaluate.Evaluator:
  """What evaluates models of these settings."""
  return evaluate.Evaluator(
    model=s.model,
    vocab_size=corpus.vocab_size,
    call_id=corpus.call_id,
    trained_to_call=trained_to_call,
    beta=s.lacy.beta,
    oracle_error=s.lacy.oracle_error,
    batch_size=s.data.batch_size,
    group=corpus.group,
    pieces=corpus.pieces,
  )


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """LaCy as configs/lacy/*.py describe it.

  Raises:
    ValueError: a field that does not fit.
  """
  s = settings(cfg)
  return experiment_lib.Experiment(
    open=functools.partial(open_program, s),
    abstract=functools.partial(abstract, s),
    flops=functools.partial(flops_per_step, s),
    columns=COLUMNS,
    note=(
      f'fact error: facts wrong when the {s.lacy.beta:.0%} of tokens with the '
      'highest call score go to an oracle\nleakage: facts right with calls '
      'forbidden (lower: delegated, not stored)'
    ),
    claims=claims_lib.margins,
    figures='lacy.plots',
    prepare={
      'corpus and tokenizer': lambda: data.load(s.data),
      'facts, on all cores': functools.partial(_read_all, s),
    },
  )


def _read_all(s: Settings) -> None:
  corpus = data.load(s.data)
  for split in ('train', 'validation', 'test'):
    corpus.split(split)


def open_program(s: Settings) -> experiment_lib.Program:
  """Opens (and where needed prepares) the data, and ties everything together.

  Raises:
    ValueError: the corpus has more ids than the model.
  """
  corpus = data.load(s.data)
  if corpus.vocab_size > s.model.vocab_size:
    raise ValueError(
      f'model.vocab_size={s.model.vocab_size} must be at least the '
      f'{corpus.vocab_size} ids of the corpus; change '
      '--config.model.vocab_size'
    )
  optimiser, _ = optim.make(s.optim, s.steps)

  @functools.cache
  def train_arrays():
    arrays = corpus.split('train')
    if s.lacy.selection.rule == 'judge':
      arrays = arrays | {'facts': corpus.judged()}
    if s.lacy.selection.needs_reference:
      arrays = arrays | {
        'reference': reference.losses(s.lacy.reference, arrays, corpus)
      }
    return arrays

  def train_data():
    return data.train_data(train_arrays(), s.data.batch_size, s.seed)

  evaluator = make_evaluator(s, corpus, s.lacy.selection.calls)

  def validation(state, key):
    del key
    few = data.first(corpus.split('validation'), s.data.eval_records)
    return evaluator.periodic(state.params, few)

  def test(state, key):
    del key
    some = data.first(corpus.split('test'), s.data.test_records or None)
    return evaluator.final(state.params, some)

  def shares(params, batch, key):
    stats = token_stats(
      transformer.Transformer(s.model), params, batch, corpus.call_id
    )
    loss = objective.token_loss(stats)
    choice = choose(s.lacy, loss, batch, step=s.steps, key=key)
    mean = metrics.Mean.of(loss, batch.text.weights)
    drop = metrics.Mean.of(choice.drop, batch.text.weights)
    return _metrics(stats, choice, batch, mean) | {'drop_share': drop}

  def training_shares(state, key):
    """What the rule selects on the train split, by the trained model."""
    mean = evaluator.means(shares, state.params, train_data(), 16, key)
    return {
      'rule': s.lacy.selection.rule,
      'fact_token_share': mean['fact_share'],
      'train_call_share': mean['call_share'],
      'train_drop_share': mean['drop_share'],
      'beta': s.lacy.beta,
      'oracle_error': s.lacy.oracle_error,
    }

  return experiment_lib.Program(
    init=model_init.train_state(s.model, optimiser),
    step=make_step(s, corpus.call_id, optimiser),
    train_data=train_data,
    evals={'validation': validation},
    final={'test': test, 'train': training_shares},
  )


def abstract(s: Settings):
  """Program and a batch of shapes, without data: for --dry_run.

  The CALL id is then the fifth from the end of the vocabulary, as
  lm.tokenizer places it.
  """
  optimiser, _ = optim.make(s.optim, s.steps)
  shape = (s.data.batch_size, s.data.context)
  ints = jax.ShapeDtypeStruct(shape, jnp.int32)
  floats = jax.ShapeDtypeStruct(shape, jnp.float32)
  text = data.pipeline.TokenBatch(
    tokens=ints, targets=ints, weights=floats, segments=ints, positions=ints
  )
  batch = data.FactBatch(
    text=text,
    facts=jax.ShapeDtypeStruct(shape, jnp.bool_),
    reference=floats if s.lacy.selection.needs_reference else None,
  )
  made = experiment_lib.Program(
    init=model_init.train_state(s.model, optimiser),
    step=make_step(s, s.model.vocab_size - 5, optimiser),
    train_data=None,
  )
  return made, batch


def flops_per_step(s: Settings) -> int:
  """Matmul FLOPs of one training step, the usual 6 N plus attention."""
  return s.model.train_flops(s.data.batch_size * s.data.context, s.data.context)
