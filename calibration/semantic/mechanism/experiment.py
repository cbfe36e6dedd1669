"""The mechanism of semantic calibration, fully controlled, as an experiment.

Section 7.1 of docs/papers/semantic_calibration.md: a decoder from scratch
learns the facts of mechanism_data.py by cross-entropy, directly or through
chains; then it goes on so, or is rewarded for the most frequent value.
`build(cfg)` reads configs/calibration/mechanism.py. mechanism_measure.py reads
the checkpoints that this leaves.

Shapes: B answers, P tokens of a prompt, T of an answer, G answers a prompt.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import einops
import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from calibration.semantic.mechanism import claims as mechanism_claims
from calibration.semantic.mechanism import data, measure
from corpora.text import pipeline
from engine import checkpoint, metrics, optim, options
from engine import experiment as experiment_lib
from engine.runs import finished
from lm import init as model_init
from lm import transformer

KINDS = ('cross_entropy', 'reinforce', 'dpo')


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearnConfig:
  """What is learned from.

  `kind`: 'cross_entropy' on answers of the world; 'reinforce', sampled answers
  with a reward of 1 where the value is the entity's most frequent one, less
  the mean of the `group` of a prompt; 'dpo', of each group one such answer
  against one other, `beta` times the change of log-odds. `batch_size` answers
  a step, of all groups together.
  """

  kind: str = 'cross_entropy'
  batch_size: int = 256
  group: int = 8
  beta: float = 0.1

  def __post_init__(self):
    if self.kind not in KINDS:
      raise ValueError(
        f'learn.kind must be one of {", ".join(KINDS)}, got {self.kind!r}'
      )
    if self.group < 2 or self.batch_size % self.group:
      raise ValueError(
        'learn.group must be at least 2 and divide learn.batch_size, got '
        f'{self.group} and {self.batch_size}'
      )

  @property
  def prompts(self) -> int:
    """Questions a step."""
    alone = self.kind == 'cross_entropy'
    return self.batch_size // (1 if alone else self.group)


class Settings(NamedTuple):
  """The config, taken apart into checked dataclasses."""

  world: data.World
  model: transformer.TransformerConfig
  learn: LearnConfig
  optim: optim.OptimConfig
  start: str
  steps: int
  seed: int


def settings(cfg: Mapping[str, Any]) -> Settings:
  """Raises ValueError where a field does not fit."""
  world = options.section(cfg['world'], 'world', data.World)
  learn = options.section(cfg['learn'], 'learn', LearnConfig)
  if learn.kind != 'cross_entropy' and not cfg['start']:
    raise ValueError(
      f'learn.kind={learn.kind} needs a model that answers: set '
      '--config.start to the workdir of a run that has learned the facts'
    )
  return Settings(
    world=world,
    model=measure.model_of(world, cfg['model']),
    learn=learn,
    optim=options.section(cfg['optim'], 'optim', optim.OptimConfig),
    start=cfg['start'],
    steps=cfg['run']['steps'],
    seed=cfg['run']['seed'],
  )


def answer_logp(
  s: Settings, params: Any, prompt: Array, answer: Array
) -> Float[Array, ' B']:
  """log p(answer | prompt), to its first value."""
  tokens = jnp.concatenate([prompt, answer[:, :-1]], axis=1)
  z = measure.scores(s.model, params, tokens)[:, prompt.shape[1] - 1 :]
  said = jnp.take_along_axis(jax.nn.log_softmax(z), answer[..., None], -1)
  return jnp.sum(said[..., 0] * data.counted(s.world, answer), axis=1)


def sample(
  s: Settings, params: Any, prompt: Int[Array, 'B P'], key: Array
) -> Int[Array, 'B T']:
  """Answers at temperature 1; what follows the first value means nothing."""
  width, length = prompt.shape[1], s.world.answer
  room = jnp.pad(prompt, ((0, 0), (0, length)))

  def step(i, tokens):
    z = measure.scores(s.model, params, tokens)[:, width - 1 + i]
    drawn = jax.random.categorical(jax.random.fold_in(key, i), z)
    return tokens.at[:, width + i].set(drawn)

  return jax.lax.fori_loop(0, length, step, room)[:, width:]


def advantages(rewards: Float[Array, ' B'], group: int) -> Float[Array, ' B']:
  """Each reward less the mean of its group."""
  grouped = einops.rearrange(rewards, '(p g) -> p g', g=group)
  return (grouped - grouped.mean(1, keepdims=True)).ravel()


def preference_loss(
  beta: float,
  logp: Float[Array, 'P G'],
  reference: Float[Array, 'P G'],
  good: Float[Array, 'P G'],
) -> metrics.Mean:
  """DPO on the first good against the first bad answer of every group.

  -log sigmoid(beta (change of log p(good) - change of log p(bad))); a group of
  one kind alone teaches nothing and counts nothing.
  """
  change = beta * (logp - reference)

  def first(kind):
    at = jnp.argmax(kind, axis=1)[:, None]
    return jnp.take_along_axis(change, at, axis=1)[:, 0]

  both = jnp.any(good > 0, axis=1) & jnp.any(good <= 0, axis=1)
  loss = jax.nn.softplus(first(good <= 0) - first(good > 0))
  return metrics.Mean.of(loss, both)


def _tuning_loss(s, f, reference, params, batch, key):
  """REINFORCE or DPO on answers that the model samples now."""
  group = s.learn.group
  entity, way = (jnp.repeat(batch[k], group) for k in ('entity', 'way'))
  prompt = data.prompts(s.world, f, entity, way)
  answer = jax.lax.stop_gradient(sample(s, params, prompt, key))
  best = jnp.argmax(f.probs[entity], axis=1)
  reward = (data.classes(s.world, answer) == best).astype(jnp.float32)
  logp = answer_logp(s, params, prompt, answer)
  extra = {'reward': metrics.Mean.of(reward, jnp.ones_like(reward))}
  if s.learn.kind == 'reinforce':
    return metrics.Mean.of(
      -advantages(reward, group) * logp, jnp.ones_like(logp)
    ), extra
  reference = jax.tree.map(jnp.asarray, reference)
  before = answer_logp(s, reference, prompt, answer)
  logp, before, reward = (x.reshape(-1, group) for x in (logp, before, reward))
  return preference_loss(s.learn.beta, logp, before, reward), extra


def make_step(s: Settings, optimiser, f: data.Facts, reference: Any):
  """(state, batch, key) -> (state, metrics)."""

  def losses(params, batch, key):
    if s.learn.kind != 'cross_entropy':
      return _tuning_loss(s, f, reference, params, batch, key)
    prompt = data.prompts(s.world, f, batch['entity'], batch['way'])
    answer = data.draw(s.world, f, batch['entity'], key)
    logp = answer_logp(s, params, prompt, answer)
    return metrics.Mean.of(-logp, jnp.ones_like(logp)), {}

  def step(state, batch, key):
    def mean_loss(params):
      loss, extra = losses(params, batch, key)
      return loss.total / jnp.maximum(loss.count, 1.0), (loss, extra)

    grads, (loss, extra) = jax.grad(mean_loss, has_aux=True)(state.params)
    state, norms = optim.apply(optimiser, state, grads)
    answers = jnp.float32(s.learn.batch_size)
    more = {'loss': loss, 'tokens': answers * s.world.answer}
    return state, norms | extra | more

  return step


def questions(world: data.World) -> dict[str, np.ndarray]:
  """Every entity in every way, [E * Q]."""
  entity = np.repeat(np.arange(world.entities), data.WAYS)
  return {'entity': entity, 'way': np.arange(len(entity)) % data.WAYS}


def _train_data(s: Settings) -> grain.IterDataset:
  dataset = pipeline.dataset(
    questions(s.world),
    batch_size=s.learn.prompts,
    seed=s.seed,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
  read = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
  return dataset.to_iter_dataset(read)


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """A decoder that learns facts of known frequency, or is tuned on them.

  Raises:
    ValueError: a field that does not fit.
  """
  s = settings(cfg)
  measured = options.section(cfg['measure'], 'measure', measure.MeasureConfig)
  return experiment_lib.Experiment(
    open=functools.partial(open_program, s, measured),
    abstract=functools.partial(abstract, s),
    flops=functools.partial(flops_per_step, s),
    columns=mechanism_claims.COLUMNS,
    claims=mechanism_claims.claims,
    figures='calibration.semantic.mechanism.plots',
  )


def open_program(
  s: Settings, measured: measure.MeasureConfig
) -> experiment_lib.Program:
  """Draws the world of the seed and ties all together.

  Raises:
    FileNotFoundError: `start` names no run.
  """
  f = data.facts(s.world, s.seed)
  optimiser, _ = optim.make(s.optim, s.steps)
  started = None
  if s.start:
    # On the host: where it goes is known when the mesh is.
    run = finished.open_run(s.start, key='start')
    started = jax.device_get(checkpoint.restore_params(run.workdir)[0])

  def test(state, key):
    view = measure.view(s.model, s.world, f, s.seed, measured)
    return measure.calibration(view, state.params, key)

  return experiment_lib.Program(
    init=model_init.train_state(s.model, optimiser),
    step=make_step(s, optimiser, f, started),
    train_data=lambda: _train_data(s),
    evals={'test': test},
    load=(lambda _, where: jax.device_put(started, where)) if started else None,
  )


def abstract(s: Settings):
  """Program and a batch of shapes, without a run to start from."""
  optimiser, _ = optim.make(s.optim, s.steps)
  made = experiment_lib.Program(
    init=model_init.train_state(s.model, optimiser),
    step=make_step(s, optimiser, data.facts(s.world, s.seed), None),
    train_data=None,
  )
  ints = jax.ShapeDtypeStruct((s.learn.prompts,), jnp.int32)
  return made, {'entity': ints, 'way': ints}


def flops_per_step(s: Settings) -> int:
  """Matmul FLOPs of one step of cross-entropy."""
  length = s.world.prompt + s.world.answer
  return s.model.train_flops(s.learn.batch_size * length, length)
