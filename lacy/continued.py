"""LaCy on a model that exists: train on from a checkpoint, all of it or LoRA.

The paper trains from scratch; beginning with a checkpoint of others, LoRA and
CommonsenseQA beside it are ours. The model gets five special tokens behind its
own (lm/checkpoints/extend.py), of which `<CALL>` is one; with `lora.rank` only
low-rank updates and the rows of the new tokens are trained (lm/lora.py).

The run ends with figures of the checkpoint as it came (`before_...`) and of
what became of it. CommonsenseQA is answered with the tables cut back to the
checkpoint's own tokens: nobody may call, and before means exactly the
checkpoint.
"""

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any

import jax

from corpora.questions import multiple_choice, sets
from engine import experiment as experiment_lib
from engine import mesh as mesh_lib
from engine import optim, options
from lacy import data, experiment
from lm import init as model_init
from lm import lora
from lm.checkpoints import extend

COLUMNS = (
  ('before_csqa_plain', 'CSQA before', '.3f'),
  ('csqa_plain', 'after', '.3f'),
  ('before_csqa_normalised', 'per byte before', '.3f'),
  ('csqa_normalised', 'after', '.3f'),
  ('before_fact_error_cascade', 'fact error before', '.3f'),
  ('fact_error_cascade', 'after', '.3f'),
  ('before_loss_fact', 'loss facts before', '.3f'),
  ('loss_fact', 'after', '.3f'),
  ('before_loss_nonfact', 'loss other before', '.3f'),
  ('loss_nonfact', 'after', '.3f'),
  ('tokens_per_second', 'tokens/s', ',.0f'),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuestionsConfig:
  """How many questions of CommonsenseQA to answer (0: all), `batch` at once."""

  count: int = 0
  batch: int = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Continued:
  """What this adds to the settings of lacy.experiment."""

  init: str
  lora: lora.LoraConfig
  questions: QuestionsConfig

  def part(self, first_row: int) -> optim.Part:
    """What is trained; `first_row` is the first of the new tokens."""
    if not self.lora.rank:
      return optim.WHOLE
    return optim.Part(
      take=functools.partial(lora.take, first_row=first_row),
      put=functools.partial(lora.put, first_row=first_row),
    )


def settings(cfg: Mapping[str, Any]) -> tuple[experiment.Settings, Continued]:
  """Raises ValueError where a field does not fit."""
  s = experiment.settings(cfg)
  more = Continued(
    init=cfg['init'],
    lora=options.section(cfg['lora'], 'lora', lora.LoraConfig),
    questions=options.section(
      cfg.get('questions', {}), 'questions', QuestionsConfig
    ),
  )
  if not more.init or s.data.tokenizer != more.init:
    raise ValueError(
      f'init={more.init!r} and data.tokenizer={s.data.tokenizer!r} must name '
      'the same checkpoint; change --config.init or --config.data.tokenizer'
    )
  return s, more


def make_init(s: experiment.Settings, more: Continued, optimiser, part):
  """key -> TrainState, drawn; `load` then puts the checkpoint in its place."""
  whole = model_init.train_state(s.model, optimiser)

  def init(key):
    state = whole(key)
    params = lora.init(jax.random.fold_in(key, 1), state.params, more.lora)
    return state.replace(
      params=params, opt_state=optimiser.init(part.take(params))
    )

  return init


def _load(s, more, known, params, shardings):
  """The checkpoint's parameters, with the updates that `params` has."""
  loaded = extend.load(more.init, s.model, known=known, shardings=shardings)
  return lora.graft(params, loaded)


def answers(s, more, params, corpus) -> dict[str, float]:
  """CommonsenseQA by likelihood, no token allowed that is not the checkpoint's.

  Every process answers all of it on its first device.
  """
  known = corpus.call_id
  model = dataclasses.replace(s.model, vocab_size=known)
  plain = mesh_lib.replicated_jit(
    lambda params: extend.shrink(lora.merge(params), known)
  )(params)
  plain = jax.tree.map(lambda x: x.addressable_data(0), plain)
  asked = sets.load('commonsense_qa')[: more.questions.count or None]
  alone = mesh_lib.make(mesh_lib.MeshConfig(data=1), jax.local_devices()[:1])
  with mesh_lib.use(alone):
    scores = multiple_choice.likelihoods(
      model,
      plain,
      corpus.prepared.tokenizer.encode,
      asked,
      batch=more.questions.batch,
    )
  found = multiple_choice.accuracy(asked, scores)
  return {
    'csqa_plain': found.plain,
    'csqa_normalised': found.normalised,
    'csqa_chance': found.chance,
    'csqa_questions': found.questions,
  }


@functools.lru_cache(maxsize=1)
def _before(cfg_json: str) -> dict[str, float]:
  """Figures of the checkpoint, once for the runs of a sweep."""
  s, more = settings(json.loads(cfg_json))
  corpus = data.load(s.data)
  params = extend.load(more.init, s.model, known=corpus.call_id)
  some = data.first(corpus.split('test'), s.data.test_records or None)
  # No row of CALL was ever trained: calls go where the model is unsure.
  evaluator = experiment.make_evaluator(s, corpus, trained_to_call=False)
  found = evaluator.periodic(params, some)
  found |= answers(s, more, params, corpus)
  return {f'before_{name}': value for name, value in found.items()}


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """lacy.experiment on the checkpoint that `init` names.

  Raises:
    ValueError: a field that does not fit, or a model of another shape than
      the checkpoint's.
    FileNotFoundError: no such checkpoint.
  """
  s, more = settings(cfg)
  # What the rules and the seed change, the checkpoint does not see.
  same = {k: cfg[k] for k in ('init', 'data', 'model', 'lora', 'questions')}
  same = options.Config(same).plain() | {
    'lacy': {'beta': s.lacy.beta, 'oracle_error': s.lacy.oracle_error},
    'optim': {},
    'run': {'steps': 1, 'seed': 0},
  }
  return experiment.build(cfg)._replace(
    open=functools.partial(open_program, s, more, same),
    abstract=functools.partial(abstract, s, more),
    columns=COLUMNS,
    note='',
  )


def open_program(
  s: experiment.Settings, more: Continued, same: Mapping[str, Any]
) -> experiment_lib.Program:
  """Opens data and checkpoint; `same`: what `before` depends on."""
  made = experiment.open_program(s)
  corpus = data.load(s.data)
  part = more.part(corpus.call_id)
  optimiser, _ = optim.make(s.optim, s.steps)

  def merged(evaluate):
    def call(state, key):
      plain = jax.jit(lora.merge)(state.params)
      return evaluate(state.replace(params=plain), key)

    return call

  def commonsense(state, key):
    del key
    return answers(s, more, state.params, corpus)

  def before(state, key):
    del key
    trained = part.take(state.params)
    return {
      **_before(json.dumps(same, sort_keys=True)),
      'parameters_trained': sum(x.size for x in jax.tree.leaves(trained)),
    }

  return made._replace(
    init=make_init(s, more, optimiser, part),
    step=experiment.make_step(s, corpus.call_id, optimiser, part),
    load=functools.partial(_load, s, more, corpus.call_id),
    evals={name: merged(f) for name, f in made.evals.items()},
    final={
      **{name: merged(f) for name, f in made.final.items()},
      'commonsense': commonsense,
      'before': before,
    },
  )


def abstract(s: experiment.Settings, more: Continued):
  """Program and a batch of shapes, without data or checkpoint."""
  made, batch = experiment.abstract(s)
  first_row = s.model.vocab_size - 5
  part = more.part(first_row)
  optimiser, _ = optim.make(s.optim, s.steps)
  made = made._replace(
    init=make_init(s, more, optimiser, part),
    step=experiment.make_step(s, first_row, optimiser, part),
  )
  return made, batch
