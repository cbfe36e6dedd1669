"""Accuracy against passes: any set of samplers on the test split of a puzzle.

Every sampler of samplers.py is run by the same loop at every block length that
is asked for. Puzzles are measured here, gaps in a text by fill_in.py, questions
in words by training/text_policy.py, with `writer` and `compare` from here.

Shapes: B sequences, L answer positions, R records.
"""

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from corpora.text import pipeline
from diffusion_sampler.evaluation import rewards
from diffusion_sampler.evaluation import samplers as samplers_lib
from diffusion_sampler.policy import rule as policy_rule
from diffusion_sampler.report import keys
from diffusion_sampler.sampling import cached, rules
from diffusion_sampler.sampling import canvas as canvas_lib
from diffusion_sampler.training import setup
from engine import mesh as mesh_lib
from engine import progress as progress_lib
from engine import stop
from lm import transformer


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingConfig:
  """What to measure.

  Attributes:
    samplers: see samplers.py.
    blocks: block lengths; 0: the whole answer, full diffusion.
    hard: records of this level or more are reported apart; 0: none are.
    batch: records a call.
    temperature: of tokens.
    frames: records whose order of unmasking is kept for the figure.
  """

  samplers: tuple[Mapping[str, Any], ...] = (
    types.MappingProxyType({'rule': 'threshold', 'threshold': 0.9}),
  )
  blocks: tuple[int, ...] = (0,)
  hard: int = 0
  batch: int = 250
  temperature: float = 0.0
  frames: int = 4

  def __post_init__(self):
    self.made()
    for block in self.blocks:
      if type(block) is not int or block < 0:
        raise ValueError(
          f'sampling.blocks must be lengths, or 0 for the whole answer, got '
          f'{block!r}; change --config.sampling.blocks'
        )

  def made(self) -> list[samplers_lib.Sampler]:
    """Raises ValueError where a sampler does not fit."""
    return [samplers_lib.sampler(values) for values in self.samplers]


@functools.lru_cache(maxsize=64)
def _compiled(model, layout, temperature, cache, shifted):
  """Compiled once a block length and kind of rule; every process gets all."""

  def run(params, rule, batch, key):
    return cached.sample(
      model,
      params,
      rule,
      layout,
      batch['prompt'],
      jax.random.split(key, batch['prompt'].shape[0]),
      mode=cache,
      given=batch.get('given'),
      prompt_present=batch.get('present'),
      temperature=temperature,
      shifted=shifted,
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


class Decoder(NamedTuple):
  """A denoiser and how long its answers are.

  Attributes:
    model: its shape.
    params: its parameters, on the mesh of the run.
    layout: block length (0: the whole answer) -> Layout.
    shifted: whether position i predicts token i + 1.
  """

  model: transformer.TransformerConfig
  params: Any
  layout: Callable[[int], canvas_lib.Layout]
  shifted: bool = False


# (rule, block, cache) -> what `answers` gives.
Write = Callable[[rules.Rule, int, str], dict[str, np.ndarray]]


def writer(
  config: SamplingConfig,
  decoder: Decoder,
  arrays: Mapping[str, np.ndarray],
  key: jax.Array,
) -> Write:
  """What samplers write: 'answer', 'order' [R, L]; 'nfe', 'failed' [R].

  Args:
    config: rows a batch, see `in_batches`, and the temperature.
    decoder: the denoiser.
    arrays: 'prompt' [R, P]; 'given' [R, L], where something is to be filled
      in; 'present' [R, P], where prompts are padded.
    key: a batch's is folded in.
  """

  def write(rule, block, cache):
    run = _compiled(
      decoder.model,
      decoder.layout(block),
      config.temperature,
      cache,
      decoder.shifted,
    )
    rule = mesh_lib.replicated(rule)
    parts = in_batches(
      lambda batch, i: run(
        decoder.params, rule, batch, jax.random.fold_in(key, i)
      ),
      arrays,
      config.batch,
    )
    total = len(arrays['prompt'])
    return {
      name: np.concatenate([getattr(part, name) for part in parts])[:total]
      for name in ('answer', 'nfe', 'order', 'failed')
    }

  return write


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
  measure: Write,
  level: np.ndarray,
  *,
  trained: policy_rule.PolicyRule | None = None,
) -> dict[str, Any]:
  """All samplers at all block lengths.

  Args:
    config: which.
    length: L, the block of full diffusion.
    measure: what a `writer` gives, with 'correct' [R].
    level: of the records [R].
    trained: the policy, where there is one.

  Returns:
    '<sampler>@<block>/<figure>' scalars; 'accuracy' and 'nfe' of the first
    sampler at the first block length; and arrays for launch.plot: 'names',
    'level', and 'correct', 'passes' [n, R], 'order', 'answers' [n, frames, L].
  """
  out, names, kept = {}, [], []
  pairs = [(s, b) for b in config.blocks for s in config.made()]
  with progress_lib.Progress('sampling', len(pairs), unit='samplers') as bar:
    for sampler, block in pairs:
      found = measure(sampler.bound(trained), block, sampler.cache)
      figures = scalars(found, level, config.hard)
      whole = block or length
      out |= {
        str(keys.Key(sampler.name, whole, name)): value
        for name, value in figures.items()
      }
      names.append(keys.name(sampler.name, whole))
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
  write = writer(
    config, Decoder(model, params, task.layout), {'prompt': test['prompt']}, key
  )

  def measure(rule, block, cache):
    found = write(rule, block, cache)
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
