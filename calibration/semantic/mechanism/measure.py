"""Measures models of the mechanism: calibration, tilts, probes, all exactly.

A model's distribution over values is enumerated, and the probability that its
prediction is right is known (data.py). Beside the exact figures stand those of
a sample of labels, with the floor of a calibrated model at that many questions.
`build(cfg)` reads every checkpoint of the run that `start` names.

Shapes: B questions, K values (and K + 1 classes: the last one, "no value", is
never right), L levels of confidence.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Array, Float, Int

from calibration.metrics import resampling, smooth
from calibration.semantic import probe, recalibrate, tilt
from calibration.semantic.mechanism import claims as mechanism_claims
from calibration.semantic.mechanism import data
from engine import checkpoint, options, stop
from engine import experiment as experiment_lib
from engine import mesh as mesh_lib
from engine.runs import finished
from lm import transformer

# Keeps logarithms finite where a model gives a value no mass.
_LEAST = 1e-7
# The figures of every checkpoint in a summary; the file of arrays has all.
_PATH = (
  'loss',
  'accuracy_exact',
  'confidence',
  'smece',
  'smece_exact',
  'null',
  'slope',
  'slope_formula',
  'tilt_error',
  'gap_measured',
  'gap_formula',
  'kl_constant',
  'kl_linear',
  'kl_lora',
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureConfig:
  """How models are measured.

  Attributes:
    ways: wordings of the question about each entity.
    levels: levels of confidence, of equal mass, for tilts.
    held_out: share of the entities that test probes and the learned tilt.
    draws: replicates of the null floor.
    chunk: questions enumerated at a time.
    every: every how many of a run's checkpoints one is read; the last is, too.
  """

  ways: int = 2
  levels: int = 10
  held_out: float = 0.25
  draws: int = 100
  chunk: int = 128
  every: int = 1

  def __post_init__(self):
    if not 1 <= self.ways <= data.WAYS:
      raise ValueError(
        f'measure.ways must be 1 to {data.WAYS}, got {self.ways}'
      )
    if not 0.0 < self.held_out < 1.0:
      raise ValueError(
        f'measure.held_out must be in (0, 1), got {self.held_out}'
      )


class View(NamedTuple):
  """The questions, and the truth about them.

  Attributes:
    config: settings of the measurement.
    entity: entity of each question.
    prompt: tokens [B, P].
    truth: P(value | entity), and 0 for no value [B, K + 1].
    held_out: True for questions about entities that nothing is fitted on.
    probs: (params, prompts) -> pi_x [B, K + 1], jitted.
    read: (params, prompts) -> last hidden state of the prompt [B, D].
  """

  config: MeasureConfig
  entity: Array
  prompt: Array
  truth: Array
  held_out: Array
  probs: Any
  read: Any


def scores(
  config: transformer.TransformerConfig, params: Any, tokens: Int[Array, 'B S']
) -> Float[Array, 'B S V']:
  """Next-token logits over the whole vocabulary, which is small."""
  hidden = transformer.Transformer(config).apply({'params': params}, tokens)
  return hidden.hidden @ transformer.unembedding(params).T


def view(
  model: transformer.TransformerConfig,
  world: data.World,
  f: data.Facts,
  seed: int,
  config: MeasureConfig,
) -> View:
  """Questions about all entities. The seed chooses the held-out ones."""
  entity = jnp.repeat(jnp.arange(world.entities), config.ways)
  way = jnp.arange(entity.size) % config.ways
  count = round(config.held_out * world.entities)
  out = np.random.default_rng(seed).permutation(world.entities)[:count]

  def read(params, prompts):
    made = transformer.Transformer(model).apply({'params': params}, prompts)
    return made.hidden[:, -1]

  def probs(params, prompts):
    score = functools.partial(scores, model, params)
    return jax.lax.map(
      lambda row: data.value_probs(score, world, row[None])[0],
      prompts,
      batch_size=config.chunk,
    )

  return View(
    config=config,
    entity=entity,
    prompt=data.prompts(world, f, entity, way),
    truth=jnp.pad(f.probs[entity], ((0, 0), (0, 1))),
    held_out=jnp.isin(entity, jnp.asarray(out)),
    probs=jax.jit(probs),
    read=read,
  )


def _smece(conf, correct, weights):
  return smooth.smece(conf, correct, weights).value


def _levels(conf, count):
  """Levels of equal mass, by rank."""
  rank = jnp.argsort(jnp.argsort(conf))
  return (rank * count) // conf.size


@functools.partial(jax.jit, static_argnames='levels')
def tilts(
  pi: Float[Array, 'B C'], truth: Float[Array, 'B C'], levels: int
) -> dict[str, Array]:
  """The identity of Theorem 6, measured against its formulas.

  `fitted` are the tilts of least loss at each level, by Newton, `formula` is
  logit(acc) - logit(c), both within 20 of zero. `gap_measured` is the
  cross-entropy of whole distributions that the fitted tilts save, tilted and
  normalised explicitly, `gap_formula` is E KL(Bern(acc) || Bern(c)) over
  levels, and `slope` the derivative of that cross-entropy at no tilt, which
  should be `slope_formula`, mean confidence less accuracy.
  """
  top, conf = tilt.top(pi)
  acc = jnp.take_along_axis(truth, top[:, None], axis=1)[:, 0]
  hit = jax.nn.one_hot(top, pi.shape[1])
  level = _levels(conf, levels)
  log_pi = jnp.log(jnp.maximum(pi, _LEAST))

  def loss(t_B):
    return -jnp.mean(
      jnp.sum(truth * tilt.tilted(log_pi, t_B[:, None] * hit), axis=1)
    )

  fitted = recalibrate.tilt_by_level(conf, acc, level, levels=levels)
  count = jnp.bincount(level, length=levels)

  def mean(values):
    return jnp.zeros(levels).at[level].add(values) / count

  c_L, a_L = mean(conf), mean(acc)
  formula = jnp.clip(  # infinite where a level is never right
    tilt.best_tilt(c_L, a_L), -recalibrate.MOST, recalibrate.MOST
  )
  share = count / count.sum()
  none = jnp.zeros_like(conf)
  return {
    'tilt_fitted': fitted,
    'tilt_formula': formula,
    'tilt_error': jnp.sqrt(jnp.sum(share * (fitted - formula) ** 2)),
    'gap_measured': loss(none) - loss(fitted[level]),
    'gap_formula': jnp.sum(share * tilt.bernoulli_kl(a_L, c_L)),
    'slope': jax.grad(lambda t: loss(none + t))(0.0),
    'slope_formula': jnp.mean(conf - acc),
  }


def learned(view: View, conf, correct, acc) -> dict[str, Array]:
  """The learned tau, fitted on labels, and the loss it saves elsewhere."""
  # Questions are chosen on the host: there it compiles nothing.
  conf, correct, acc, out = map(np.asarray, (conf, correct, acc, view.held_out))
  fitted = recalibrate.fit(jnp.asarray(conf[~out]), jnp.asarray(correct[~out]))
  conf, acc = jnp.asarray(conf[out]), jnp.asarray(acc[out])
  moved = recalibrate.apply(fitted, conf)
  return {
    'tau_saves': recalibrate.recovered(fitted, conf, acc),
    'tau_smece': smooth.smece(moved, acc).value,
  }


@jax.jit
def _labelled(pi, truth, key) -> dict[str, Array]:
  """Confidences, labels drawn for them, and means over questions."""
  top, conf = tilt.top(pi)
  conf = jnp.clip(conf, 0.0, 1.0)
  acc = jnp.take_along_axis(truth, top[:, None], axis=1)[:, 0]
  gold = jax.random.categorical(key, jnp.log(truth))
  correct = (gold == top).astype(jnp.float32)
  log_pi = jnp.log(jnp.maximum(pi, _LEAST))
  return {
    'confidence': conf.mean(),
    'accuracy': correct.mean(),
    'accuracy_exact': acc.mean(),
    'accuracy_best': truth.max(1).mean(),
    'gap_signed': (conf - acc).mean(),
    'loss': -jnp.mean(jnp.sum(truth * log_pi, axis=1)),
    'no_value': pi[:, -1].mean(),
    'conf': conf,
    'acc': acc,
    'correct': correct,
  }


def calibration(view: View, params: Any, key: Array) -> dict[str, Any]:
  """All figures but those of probes; arrays hold a number a question or level.

  `smece` and `accuracy` come from sampled labels, one a question; `_exact` from
  the probabilities that labels are drawn with. `null` is the smECE of labels
  drawn at the model's own confidences, its mean and 95 % quantile.
  """
  label_key, null_key = jax.random.split(key)
  pi = view.probs(params, view.prompt)
  out: dict[str, Any] = _labelled(pi, view.truth, label_key)
  conf, correct, acc = out['conf'], out['correct'], out['acc']
  null = np.asarray(
    resampling.null_floor(_smece, null_key, conf, draws=view.config.draws)
  )
  out |= {
    'questions': float(conf.size),
    'smece': smooth.smece(conf, correct).value,
    'smece_exact': smooth.smece(conf, acc).value,
    'null': null[0],
    'null_high': null[2],
  }
  out |= tilts(pi, view.truth, view.config.levels)
  out |= learned(view, conf, correct, acc)
  return {k: np.asarray(v) if np.ndim(v) else float(v) for k, v in out.items()}


def probes(
  view: View, params: Any, key: Array, config: probe.ProbeConfig
) -> dict[str, float]:
  """Gaps of the probes on held-out entities, in nats."""
  pi = np.asarray(view.probs(params, view.prompt))
  pi = jnp.asarray(pi / pi.sum(1, keepdims=True))
  found = probe.probe(
    key,
    view.read,
    params,
    view.prompt,
    pi,
    view.held_out,
    groups=view.entity,
    config=config,
  )
  out = {'entropy': found.linear.entropy}
  out |= {f'kl_{name}': r.kl for name, r in found._asdict().items()}
  out |= {f'ce_{name}': r.ce for name, r in found._asdict().items()}
  return {name: float(value) for name, value in out.items()}


def model_of(
  world: data.World, values: Mapping[str, Any]
) -> transformer.TransformerConfig:
  """The model of a section `model`, with the vocabulary of its world."""
  return options.section(
    values,
    'model',
    transformer.TransformerConfig,
    given={'vocab_size': data.tokens(world).size},
  )


def build(cfg: Mapping[str, Any]) -> experiment_lib.Experiment:
  """Measures every checkpoint of a finished run of the mechanism.

  Raises:
    ValueError: a field does not fit.
  """
  config = options.section(cfg['measure'], 'measure', MeasureConfig)
  probe_config = options.section(cfg['probe'], 'probe', probe.ProbeConfig)
  start, steps = cfg['start'], cfg['run']['steps']
  return experiment_lib.Experiment(
    open=lambda: open_program(start, config, probe_config, steps),
    columns=mechanism_claims.COLUMNS,
    claims=mechanism_claims.claims,
    figures='calibration.semantic.mechanism.plots',
  )


def open_program(
  start: str,
  config: MeasureConfig,
  probe_config: probe.ProbeConfig,
  done: int,
) -> experiment_lib.Program:
  """Reads the run `start`; its config names the world and the model.

  Raises:
    FileNotFoundError: there is no such run.
  """
  run = finished.open_run(start, key='start').config
  world, seed = data.World(**run['world']), run['run']['seed']
  model = model_of(world, run['model'])

  def untrained():
    """Parameters that the run began with: the loop's key for them."""
    init_key, _, _ = jax.random.split(jax.random.key(seed), 3)
    tokens = jnp.zeros((1, 8), jnp.int32)
    made = jax.jit(transformer.Transformer(model).init)(init_key, tokens)
    return mesh_lib.unbox(made['params'])

  def test(state, key):
    del state
    seen = view(model, world, data.facts(world, seed), seed, config)
    before = calibration(seen, mesh_lib.replicated(untrained()), key)
    with checkpoint.Checkpoints(start, keep=None) as checkpoints:
      last = checkpoints.latest()
      step_every = config.every * (run['run']['save_every'] or last)
      steps = sorted({*range(step_every, last, step_every), last})
      rows = []
      for number, step in enumerate(steps):
        stop.check()
        params = checkpoints.restore_anything(step)['params']
        params = mesh_lib.replicated(params)
        own, probe_key = jax.random.split(jax.random.fold_in(key, number))
        row = calibration(seen, params, own)
        row |= probes(seen, params, probe_key, probe_config)
        logging.info(
          'step %d: smECE %.3f (floor %.3f), gap of the probe %.3f',
          step,
          row['smece'],
          row['null'],
          row['kl_lora'],
        )
        rows.append(row)
    out: dict[str, Any] = {'step': np.array(steps)}
    for step, row in zip(steps, rows, strict=True):
      out |= {f'at_{step:05d}/{k}': row[k] for k in _PATH}
    out |= {f'at/{k}': np.array([row[k] for row in rows]) for k in rows[0]}
    out |= {f'untrained/{k}': before[k] for k in _PATH if k in before}
    return out | {k: v for k, v in rows[-1].items() if not np.ndim(v)}

  return experiment_lib.only_evaluates(test, steps=done)
