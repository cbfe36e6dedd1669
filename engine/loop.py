"""The one loop: init or resume, step, evaluate, save, summarise.

Runs are resumable by construction: the key of a step is folded in from its
number, the data position is one integer, and what a resumed run writes equals
what an uninterrupted one writes.
"""

import contextlib
import dataclasses
import json
import pathlib
import signal
import statistics
import threading
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from engine import checkpoint, experiment, metrics
from engine import mesh as mesh_lib
from engine import progress as progress_lib
from engine.runs import train_log, writer


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


def _flat(config: Mapping, prefix: str = '') -> dict[str, Any]:
  out = {}
  for name, value in config.items():
    if isinstance(value, Mapping):
      out |= _flat(value, f'{prefix}{name}.')
    else:
      out[prefix + name] = value
  return out


def _check_config(workdir: pathlib.Path, config: Mapping) -> None:
  """Refuses to go on under another config than the run began with."""
  path = workdir / 'config.json'
  if not path.exists():
    return
  before, now = _flat(json.loads(path.read_text())), _flat(config)
  changed = [
    f'{name} was {before.get(name, "absent")!r}, is {now.get(name, "absent")!r}'
    for name in sorted(before.keys() | now.keys())
    if before.get(name) != now.get(name)
  ]
  if changed:
    raise ValueError(
      f'{workdir} holds a run with another config ({"; ".join(changed)}); '
      'give its config or another --workdir'
    )


class _Terminated:
  """Whether SIGTERM came; the handler of before is put back at the end.

  Of many processes all must stop after the same step: there JAX's own
  preemption service watches for the signal and agrees on the step.
  """

  def __init__(self):
    self._seen = False

  def at(self, step: int) -> bool:
    """Whether to stop after `step`."""
    if jax.process_count() > 1:
      return multihost_utils.reached_preemption_sync_point(step)
    return self._seen

  @contextlib.contextmanager
  def watch(self):
    def note(signum, frame):
      del signum, frame
      self._seen = True

    main = threading.current_thread() is threading.main_thread()
    if jax.process_count() > 1 or not main:  # somebody else watches
      yield self
      return
    before = signal.signal(signal.SIGTERM, note)
    try:
      yield self
    finally:
      signal.signal(signal.SIGTERM, before)


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
    The summary, as in summary.json; {'interrupted': step} after SIGTERM.

  Raises:
    ValueError: another config or another model in `workdir`.
    DivergedError: a metric is not finite.
    OSError: no room for a checkpoint.
  """
  began = time.monotonic()
  workdir = pathlib.Path(workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  full_config = json.loads(json.dumps(full_config or {}))
  _check_config(workdir, full_config)
  out = writer.Writer(
    workdir, active=jax.process_index() == 0, tensorboard=config.tensorboard
  )
  out.json('config.json', full_config)
  mesh = mesh_lib.make(mesh_config or mesh_lib.MeshConfig())
  with (
    mesh_lib.use(mesh),
    checkpoint.Checkpoints(
      workdir, keep=config.keep, clean=True
    ) as checkpoints,
    _Terminated().watch() as terminated,
  ):
    root = jax.random.key(config.seed)
    init_key, train_key, eval_key = jax.random.split(root, 3)
    state, data_state, shardings = _start(exp, init_key, mesh, checkpoints)
    done = _finished(workdir, int(state.step), config.steps)
    if done is not None:
      return done
    # A run killed between its last evaluation and its summary has one line
    # that is written again.
    redo = 'eval/' if int(state.step) == config.steps else None
    out.rewind(int(state.step), redo=redo)
    seconds = {'train': 0.0, 'eval': 0.0, 'compile': 0.0}
    log = train_log.Interval()
    if exp.step is not None:
      trainer = _Trainer(
        exp, config, mesh, shardings, checkpoints, out, log, seconds
      )
      state = trainer.train(
        state, data_state, train_key, eval_key, terminated, progress
      )
      if int(state.step) < config.steps:
        return {'interrupted': int(state.step)}
    results = _evaluate(
      {**exp.evals, **exp.final}, state, eval_key, 'final', out, seconds
    )
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


def evaluate(
  exp: experiment.Program,
  workdir,
  *,
  seed: int = 0,
  mesh_config: mesh_lib.MeshConfig | None = None,
) -> dict[str, Any]:
  """All evaluations on the newest checkpoint of `workdir`.

  Arrays go to evals/<name>-again.npz; the run's own files stay as they are.

  Raises:
    FileNotFoundError: no checkpoint there.
    ValueError: it is of another model.
  """
  workdir = pathlib.Path(workdir)
  if not checkpoint.exists(workdir):
    raise FileNotFoundError(
      f'{workdir} must hold a checkpoint, got none; train there first'
    )
  mesh = mesh_lib.make(mesh_config or mesh_lib.MeshConfig())
  with (
    mesh_lib.use(mesh),
    checkpoint.Checkpoints(workdir, keep=None) as checkpoints,
  ):
    init_key, _, eval_key = jax.random.split(jax.random.key(seed), 3)
    state, _, _ = _start(exp, init_key, mesh, checkpoints)
    results = {}
    for i, (name, function) in enumerate({**exp.evals, **exp.final}.items()):
      made = function(state, jax.random.fold_in(eval_key, i))
      scalars, arrays = writer.scalars_and_arrays(made)
      results |= scalars
      if jax.process_index() == 0:
        writer.Writer(workdir).arrays(name, 'again', arrays)
  return results | {'steps': int(state.step)}


def _start(exp, key, mesh, checkpoints):
  """State (fresh or restored), the data position, and the shardings."""
  boxed = jax.eval_shape(exp.init, key)
  shardings = mesh_lib.state_shardings(mesh, boxed)
  step = checkpoints.latest()
  if step is not None:
    abstract = jax.tree.map(
      lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
      mesh_lib.unbox(boxed),
      shardings,
    )
    state, data_state = checkpoints.restore(step, abstract)
    logging.info('Resumed at step %d', step)
    return state, data_state, shardings
  init = jax.jit(lambda k: mesh_lib.unbox(exp.init(k)), out_shardings=shardings)
  state = init(key)
  if exp.load is not None:
    params = exp.load(state.params, shardings.params)
    state = state.replace(params=params)
  return state, None, shardings


def _finished(workdir, step, steps):
  path = workdir / 'summary.json'
  if not path.exists():
    return None
  summary = json.loads(path.read_text())
  return summary if step == summary.get('steps') == steps else None


def _evaluate(evals, state, key, when, out, seconds) -> dict[str, Any]:
  began = time.monotonic()
  results, line = {}, {}
  for i, (name, evaluate) in enumerate(evals.items()):
    made = evaluate(state, jax.random.fold_in(key, i))
    scalars, arrays = writer.scalars_and_arrays(made)
    out.arrays(name, when, arrays)
    results |= scalars
    line |= {f'eval/{name}/{k}': v for k, v in scalars.items()}
  if line:
    out.metrics(int(state.step), line)
  seconds['eval'] += time.monotonic() - began
  return results


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

  def train(self, state, data_state, key, eval_key, terminated, progress):
    c = self.config
    first = int(state.step)
    batches = iter(self.exp.train_data())
    if data_state is not None:
      batches.set_state(data_state['position'])
      self.log.set_state(data_state['log'])
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
        stop = terminated.at(after) or after == c.steps
        if log or stop:
          self._read(after, pending, bar)
          pending = None
        if log:
          self.out.metrics(after, self.log.take())
        if evals and after < c.steps:
          _evaluate(
            self.exp.evals, state, eval_key, str(after), self.out, self.seconds
          )
          self.log.pause()
        if save or stop:
          data_state = checkpoint.jsonable(
            {'position': batches.get_state(), 'log': self.log.state()}
          )
          self.checkpoints.save(after, state, data_state, wait=stop)
          self.log.pause()
        if stop:
          break
    self.seconds['train'] = time.monotonic() - began - self.seconds['eval']
    return state

  def _read(self, step, values, bar):
    values = jax.device_get(values)
    _check_finite(step, values, self.checkpoints)
    self.log.add(values)
    bar.update(1)
