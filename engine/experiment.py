"""What an experiment is, and the state it trains.

An area gives `build(cfg) -> Experiment`. Building checks the config and reads
nothing else; what engine.loop runs is the `Program` that `open` returns.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import grain
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Int


class TrainState(struct.PyTreeNode):
  """All that changes in training; `step` counts the updates made."""

  step: Int[Array, '']
  params: Any
  opt_state: Any


class Program(NamedTuple):
  """What engine.loop runs: functions over data that is open.

  Attributes:
    init: key -> TrainState; parameters may carry logical axis names.
    step: (state, batch, key) -> (state, metrics), or None to only evaluate.
      Metrics are `metrics.Mean` or scalars; one named `tokens` counts targets.
    train_data: () -> batches for ever (this process' share of them).
    evals: (state, key) -> {name: number | string | array}, run every
      `run.eval_every` steps and at the end.
    final: the same, run once at the end.
    load: (parameters of init, their shardings) -> parameters to begin with,
      where they come from elsewhere. Not called when a run is resumed.
  """

  init: Callable[[Array], TrainState]
  step: Callable | None
  train_data: Callable[[], grain.IterDataset] | None
  evals: Mapping[str, Callable] = {}
  final: Mapping[str, Callable] = {}
  load: Callable | None = None


class Experiment(NamedTuple):
  """All that launch may ask of a config; nothing is read until `open`.

  Attributes:
    open: () -> Program; reads (and prepares) data, checkpoints, other runs.
    abstract: () -> (Program, a batch of jax.ShapeDtypeStruct or None), without
      data; what `--dry_run` compiles. None: there is nothing to say.
    flops: () -> matmul FLOPs of a training step, or of the whole evaluation
      where nothing is trained.
    cost: () -> lines that `--dry_run` prints besides.
    columns: (key, heading, format) of the table that a sweep prints.
    note: what a reader of that table must know.
    claims: {variant: summaries, one a seed} -> {name: [mean, low, high]}.
    rows: summary of one run -> {row: summaries} of its table; None: a run is a
      row.
    results: summary of one run -> figures of its results file; None: all.
    figures: module with draw(workdir) and show(workdir, colour=...), which
      needs no JAX.
    prepare: what runs once before the first run of a sweep, by its name.
  """

  open: Callable[[], Program]
  abstract: Callable[[], tuple[Program, Any]] | None = None
  flops: Callable[[], int] | None = None
  cost: Callable[[], Sequence[str]] | None = None
  columns: Sequence[tuple[str, str, str]] = ()
  note: str = ''
  claims: Callable[[Mapping], Mapping[str, Sequence[float]]] | None = None
  rows: Callable[[Mapping], Mapping[str, Sequence[Mapping]]] | None = None
  results: Callable[[Mapping], Mapping[str, Any]] | None = None
  figures: str = ''
  prepare: Mapping[str, Callable[[], Any]] = {}


def only_evaluates(
  test: Callable, *, steps: int, name: str = 'test'
) -> Program:
  """Nothing is trained or restored: `test` is run once, as if after `steps`."""

  def init(key):
    del key
    return TrainState(step=jnp.int32(steps), params={}, opt_state={})

  return Program(init=init, step=None, train_data=None, final={name: test})


def step_key(root: Array, step) -> Array:
  """The key of a step. Folded in, never carried, so that runs resume."""
  return jax.random.fold_in(root, step)
