"""Accuracy against passes: any set of samplers on the test split of a puzzle.

A sampler is a text: a rule of rules.py with its options, or
'policy(temperature=0.5, scale=2)' for a trained policy. Every one of them is
run by the same loop at every block length that is asked for.

Shapes: B sequences, L answer positions, R records.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from corpora.text import pipeline
from diffusion_sampler.evaluation import rewards
from diffusion_sampler.policy import rule as policy_rule
from diffusion_sampler.sampling import decode, rules
from diffusion_sampler.sampling import denoiser as denoiser_lib
from diffusion_sampler.training import setup
from engine import mesh as mesh_lib
from engine import options, stop
from engine import progress as progress_lib
from lm import transformer

POLICY = 'policy'


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyOptions:
  """How a trained policy is sampled (section 6.3).

  Attributes:
    temperature, scale: see `actions.draw`.
    fallback: 1 writes something at every pass, as at test time; 0 lets the
      policy alone decide, as in training: a policy that has learned to keep
      still shows there only.
    blind: 'mask' or 'time' withholds that input.
  """

  temperature: float = 1.0
  scale: float = 1.0
  fallback: int = 1
  blind: str = ''

  def __post_init__(self):
    if self.blind not in ('', 'mask', 'time'):
      raise ValueError(
        f'sampling.samplers: blind of {POLICY} must be mask or time, got '
        f'{self.blind!r}'
      )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingConfig:
  """What to measure.

  Attributes:
    samplers: texts, see the head of this file; or one text with ';' between.
    blocks: block lengths, or a text of them with ';' between; 0: the whole
      answer, full diffusion.
    hard: records of this level or more are reported apart; 0: none are.
    batch: records a call.
    temperature: of tokens.
    frames: records whose order of unmasking is kept for the figure.
  """

  samplers: tuple[str, ...] | str = ('threshold(threshold=0.9)',)
  blocks: tuple[int, ...] | str = (0,)
  hard: int = 0
  batch: int = 250
  temperature: float = 0.0
  frames: int = 4

  def __post_init__(self):
    for name, kind in (('samplers', str), ('blocks', int)):
      value = getattr(self, name)
      if isinstance(value, str):
        value = map(str.strip, value.split(';'))
      object.__setattr__(self, name, tuple(map(kind, value)))
    for text in self.samplers:
      if not text.startswith(POLICY):
        rules.parse(text)


def parse(text: str, trained: policy_rule.PolicyRule | None) -> rules.Rule:
  """A sampler of its text.

  Raises:
    ValueError: no such rule, or a policy where none was trained.
  """
  if not text.startswith(POLICY):
    return rules.parse(text)
  if trained is None:
    raise ValueError(
      f'sampling.samplers has {text!r}, which needs a trained policy; set '
      '--config.policy_run to the workdir of a finished policy run'
    )
  how = options.parse(text, {POLICY: PolicyOptions}, 'sampling.samplers')
  config = trained.config
  if how.blind:
    config = dataclasses.replace(config, **{f'see_{how.blind}': False})
  return trained.replace(
    config=config,
    temperature=how.temperature,
    scale=how.scale,
    fallback=bool(how.fallback),
  )


@functools.lru_cache(maxsize=64)
def _sampler(model, layout, temperature):
  """Compiled once a block length and kind of rule; every process gets all."""

  def run(params, rule, batch, key):
    return decode.sample(
      denoiser_lib.of_transformer(model, params),
      rule,
      layout,
      batch['prompt'],
      jax.random.split(key, batch['prompt'].shape[0]),
      temperature=temperature,
    )

  return mesh_lib.replicated_jit(run)


def in_batches(
  run: Callable[[Mapping[str, jax.Array], int], Any],
  arrays: Mapping[str, np.ndarray],
  size: int,
) -> list[Any]:
  """What `run` gives of every batch and its number, on the mesh of the run.

  Args:
    run: (batch, number) -> arrays; the rows that fill up the last batch are
      in them.
    arrays: [R, ...] by name.
    size: rows a batch.

  Raises:
    ValueError: `size` does not divide over the devices.
  """
  shape = mesh_lib.current().shape
  devices = shape['data'] * shape['fsdp']
  if size % devices:
    raise ValueError(
      f'sampling.batch={size} must divide over the {devices} devices of the '
      'data and fsdp axes; change --config.sampling.batch'
    )
  batches = pipeline.dataset(
    arrays,
    batch_size=size,
    seed=0,
    shuffle=False,
    repeat=False,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
  out = []
  for i, batch in enumerate(batches):
    stop.check_together()
    out.append(jax.device_get(run(mesh_lib.device_batch(batch), i)))
  return out


def answers(
  run: Callable[..., decode.Decoded],
  params: Any,
  rule: rules.Rule,
  arrays: Mapping[str, np.ndarray],
  key: jax.Array,
  size: int,
) -> dict[str, np.ndarray]:
  """'answer', 'order' [R, L]; 'nfe', 'failed' [R].

  Args:
    run: (params, rule, batch, key) -> Decoded, compiled.
    params: of the denoiser, on the mesh.
    rule: a sampler.
    arrays: [R, ...] by name, what `run` takes of a batch.
    key: a batch's is folded in.
    size: rows a batch, see `in_batches`.
  """
  rule = mesh_lib.replicated(rule)
  parts = in_batches(
    lambda batch, i: run(params, rule, batch, jax.random.fold_in(key, i)),
    arrays,
    size,
  )
  total = len(next(iter(arrays.values())))
  return {
    name: np.concatenate([getattr(part, name) for part in parts])[:total]
    for name in ('answer', 'nfe', 'order', 'failed')
  }


def _towards_right(order: np.ndarray) -> np.ndarray:
  """Correlation of position and pass of writing, a row; nan where constant."""
  out = np.full(len(order), np.nan)
  for i, row in enumerate(order):
    at = np.flatnonzero(row >= 0)
    if len(at) > 1 and np.ptp(row[at]):
      out[i] = np.corrcoef(at, row[at])[0, 1]
  return out


def scalars(
  found: Mapping[str, np.ndarray], level: np.ndarray, hard: int
) -> dict[str, float]:
  """The figures of one sampler.

  'rightwards' is the mean correlation of position and time of writing: 1 where
  answers are written from left to right, negative from right to left. 'nll',
  where it was measured, is that of what was written.
  """
  right, nfe = found['correct'], found['nfe']
  out = {'accuracy': right.mean(), 'nfe': nfe.mean()}
  if 'nll' in found:
    out['nll'] = found['nll'].mean()
  if hard:
    out['hard'] = right[level >= hard].mean()
  towards = _towards_right(found['order'])
  out['rightwards'] = 0.0 if np.isnan(towards).all() else np.nanmean(towards)
  return {name: float(value) for name, value in out.items()}


def compare(
  config: SamplingConfig,
  length: int,
  measure: Callable[[rules.Rule, int], Mapping[str, np.ndarray]],
  level: np.ndarray,
  *,
  trained: policy_rule.PolicyRule | None = None,
) -> dict[str, Any]:
  """All samplers at all block lengths.

  Args:
    config: which.
    length: L, the block of full diffusion.
    measure: (rule, block) -> what `answers` gives, with 'correct' [R].
    level: of the records [R].
    trained: the policy, where there is one.

  Returns:
    '<sampler>@<block>/<figure>' scalars; 'accuracy' and 'nfe' of the first
    sampler at the first block length; and arrays for launch.plot: 'names',
    'level', and 'correct', 'passes' [n, R], 'order', 'answers' [n, frames, L].
  """
  out, names, kept = {}, [], []
  pairs = [(s, b) for b in config.blocks for s in config.samplers]
  with progress_lib.Progress('sampling', len(pairs), unit='samplers') as bar:
    for sampler, block in pairs:
      found = measure(parse(sampler, trained), block)
      name = f'{sampler}@{block or length}'
      figures = scalars(found, level, config.hard)
      out |= {f'{name}/{k}': v for k, v in figures.items()}
      names.append(name)
      kept.append(found)
      bar.update(1)
  frames = slice(config.frames)
  first = {k: out[f'{names[0]}/{k}'] for k in ('accuracy', 'nfe')}
  arrays = {
    'names': np.array(names),
    'level': level,
    'correct': np.stack([k['correct'] for k in kept]),
    'passes': np.stack([k['nfe'] for k in kept]),
    'order': np.stack([k['order'][frames] for k in kept]),
    'answers': np.stack([k['answer'][frames] for k in kept]),
  }
  return out | first | arrays


def evaluate(
  task: setup.Task,
  model: transformer.TransformerConfig,
  params: Any,
  config: SamplingConfig,
  key: jax.Array,
  *,
  trained: policy_rule.PolicyRule | None = None,
) -> dict[str, Any]:
  """`compare` on the test split of a puzzle; also 'prompts' and 'targets'."""
  test = task.split('test')
  count = task.config.test_records or len(test['level'])
  test = {name: array[:count] for name, array in test.items()}

  def measure(rule, block):
    run = _sampler(model, task.layout(block), config.temperature)
    prompts = {'prompt': test['prompt']}
    found = answers(run, params, rule, prompts, key, config.batch)
    right = rewards.correct(
      task.puzzle,
      *map(jnp.asarray, (test['prompt'], found['answer'], test['answer'])),
    )
    return found | {'correct': np.asarray(right)}

  length = task.puzzle.answer
  made = compare(config, length, measure, test['level'], trained=trained)
  frames = slice(config.frames)
  return made | {
    'prompts': test['prompt'][frames],
    'targets': test['answer'][frames],
  }
