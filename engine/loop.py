"""The one loop: init or resume, step, evaluate, save, summarise.

Runs are resumable by construction: the key of a step is folded in from its
number, the data position is one integer, and what a resumed run writes equals
what an uninterrupted one writes.

SIGTERM ends training after the step it came in, which is saved, and evaluations
between two batches (engine/stop.py).
"""

import dataclasses
import json
import pathlib
import statistics
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from engine import checkpoint, evaluation, experiment, metrics, start, stop
from engine import mesh as mesh_lib
from engine import progress as progress_lib
from engine.runs import finished, lock, stored_config, train_log, writer


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
  """How long to run and how often to look; intervals are in steps.

  `eval_every` and `save_every` 0: only at the end. `keep`: checkpoints kept.
  """

  steps: int
  seed: int = 0
  log_every: int = 20
  eval_every: int = 0
  save_every: int = 0
  keep: int = 2
  tensorboard: bool = False

  def __post_init__(self):
    for name in ('steps', 'log_every', 'keep'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'run.{name} must be at least 1, got {getattr(self, name)}'
        )


class DivergedError(ArithmeticError):
  """A metric stopped being finite."""


def _check_finite(step, values, checkpoints) -> None:
  for name, value in values.items():
    number = value.total if isinstance(value, metrics.Mean) else value
    if not np.isfinite(number):
      last = checkpoints.latest()
      good = f'step {last}' if last is not None else 'none yet'
      raise DivergedError(
        f'metric {name} is {float(number)} at step {step}; last good '
        f'checkpoint: {good}. Lower --config.optim.peak_lr, or look at the '
        'data of that step'
      )


def run(
  exp: experiment.Program,
  config: RunConfig,
  workdir,
  *,
  mesh_config: mesh_lib.MeshConfig | None = None,
  full_config: Mapping[str, Any] | None = None,
  progress: bool = True,
) -> dict[str, Any]:
  """Trains (or only evaluates, where there is no step) and summarises.

  Args:
    exp: what to run.
    config: how long.
    workdir: where everything is written; a run found there is resumed.
    mesh_config: devices; all along `data` by default.
    full_config: stored, and compared when resuming.
    progress: show a bar on a terminal, a line a minute in a log.

  Returns:
    The summary, as in summary.json.

  Raises:
    stop.Interrupted: after SIGTERM; what was done is saved.
    BlockingIOError: another process is at work in `workdir`.
    checkpoint.DamagedError: of the checkpoints there none is intact.
    ValueError: another config or another model in `workdir`.
    DivergedError: a metric is not finite.
    OSError: no room for a checkpoint.
  """
  began = time.monotonic()
  workdir = pathlib.Path(workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  full_config = json.loads(json.dumps(full_config or {}))
  mesh = mesh_lib.make(mesh_config or mesh_lib.MeshConfig())
  with (
    stop.deferred(),
    mesh_lib.use(mesh),
    lock.hold_for_job(workdir),
    checkpoint.Checkpoints(
      workdir, keep=config.keep, clean=True
    ) as checkpoints,
  ):
    stop.check_together()
    stored_config.check(workdir, full_config)
    out = writer.Writer(
      workdir, active=jax.process_index() == 0, tensorboard=config.tensorboard
    )
    out.json(stored_config.NAME, full_config)
    root = jax.random.key(config.seed)
    init_key, train_key, eval_key = jax.random.split(root, 3)
    state, data_state, shardings = start.state_of(
      exp, init_key, mesh, checkpoints.resume
    )
    first = int(state.step)
    done = finished.summary_at(workdir, first, config.steps)
    if done is not None:
      return done
    out.remove('summary.json')  # of a shorter run, or one that lost steps
    # A run stopped in an evaluation, or killed between its last one and its
    # summary, writes the line of that evaluation again.
    owed = data_state is not None and data_state.get('owes_evaluation', False)
    redo = 'eval/' if owed or first == config.steps else None
    out.rewind(first, redo=redo)
    seconds = {'train': 0.0, 'eval': 0.0, 'compile': 0.0}
    log = train_log.Interval()
    if exp.step is not None:
      trainer = _Trainer(
        exp, config, mesh, shardings, checkpoints, out, log, seconds
      )
      state = trainer.train(state, data_state, train_key, eval_key, progress)
    try:
      results = evaluation.between_steps(
        {**exp.evals, **exp.final}, state, eval_key, 'final', out, seconds
      )
    except stop.Interrupted:
      raise stop.Interrupted(int(state.step) if exp.step else None) from None
  summary = results | {
    'steps': int(state.step),
    'parameters': sum(x.size for x in jax.tree.leaves(state.params)),
    'seconds_total': round(time.monotonic() - began, 2),
    **{f'seconds_{name}': round(s, 2) for name, s in seconds.items()},
  }
  if log.rates:
    # The first interval holds the compilation.
    rates = log.rates[1:] or log.rates
    summary['tokens_per_second'] = round(statistics.median(rates), 1)
  out.json('summary.json', summary)
  return summary


class _Trainer:
  """The inner loop, with what it needs at hand."""

  def __init__(
    self, exp, config, mesh, shardings, checkpoints, out, log, seconds
  ):
    self.exp, self.config, self.mesh = exp, config, mesh
    self.checkpoints, self.out, self.log = checkpoints, out, log
    self.seconds = seconds
    self.step = jax.jit(
      exp.step, donate_argnums=0, out_shardings=(shardings, None)
    )

  def train(self, state, data_state, key, eval_key, progress):
    """The state after the last step.

    Raises:
      stop.Interrupted: after a step that is saved.
    """
    c = self.config
    first = int(state.step)
    batches = iter(self.exp.train_data())
    if data_state is not None:
      batches.set_state(data_state['position'])
      self.log.set_state(data_state['log'])
      if data_state.get('owes_evaluation') and first < c.steps:
        self._evaluate(state, batches, eval_key)
    pending = None
    began = time.monotonic()
    with progress_lib.Progress(
      'training', c.steps, unit='steps', enabled=progress
    ) as bar:
      bar.update(first)
      for step in range(first, c.steps):
        batch = mesh_lib.device_batch(next(batches), self.mesh)
        state, new = self.step(state, batch, experiment.step_key(key, step))
        # One step late: the device works while the host reads.
        if pending is not None:
          self._read(step, pending, bar)
        pending = new
        after = step + 1
        if step == first:
          self.seconds['compile'] = time.monotonic() - began
        evals = c.eval_every and after % c.eval_every == 0 and self.exp.evals
        save = c.save_every and after % c.save_every == 0
        # An interval also ends where a run may be cut, so that the lines of
        # a resumed run are those of an uninterrupted one.
        log = after % c.log_every == 0 or evals or save or after == c.steps
        asked = stop.asked_at(after)
        last = asked or after == c.steps
        if log or last:
          self._read(after, pending, bar)
          pending = None
        if log:
          self.out.metrics(after, self.log.take())
        if evals and after < c.steps:
          self._evaluate(state, batches, eval_key)
        if save or last:
          self._save(state, batches, wait=last)
        if asked and after < c.steps:
          raise stop.Interrupted(after)
    self.seconds['train'] = time.monotonic() - began - self.seconds['eval']
    return state

  def _evaluate(self, state, batches, key):
    """Evaluates between two steps; if interrupted, saves that it is owed."""
    step, cut = int(state.step), False
    try:
      evaluation.between_steps(
        self.exp.evals, state, key, str(step), self.out, self.seconds
      )
    except stop.Interrupted:
      cut = True
    if jax.process_count() > 1:  # all save, or none
      cut = bool(multihost_utils.process_allgather(np.bool_(cut)).any())
    self.log.pause()
    if cut:
      if self.checkpoints.latest() != step:
        self._save(state, batches, wait=True, owes_evaluation=True)
      raise stop.Interrupted(step)

  def _save(self, state, batches, *, wait: bool, **more):
    data = {'position': batches.get_state(), 'log': self.log.state(), **more}
    step, data = int(state.step), checkpoint.jsonable(data)
    self.checkpoints.save(step, state, data, wait=wait)
    self.log.pause()

  def _read(self, step, values, bar):
    values = jax.device_get(values)
    _check_finite(step, values, self.checkpoints)
    self.log.add(values)
    bar.update(1)
