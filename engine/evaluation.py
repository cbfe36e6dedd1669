"""Evaluations: of a state between two steps, and of a finished run.

Each is a function (state, key) -> {name: number | string | array}.
"""

import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from engine import checkpoint, experiment, start, stop
from engine import mesh as mesh_lib
from engine.runs import writer


def between_steps(
  evals: Mapping[str, Callable],
  state: experiment.TrainState,
  key,
  when: str,
  out: writer.Writer,
  seconds: dict[str, float],
) -> dict[str, Any]:
  """Runs evaluations, writes them, and adds their time to `seconds['eval']`.

  Args:
    evals: (state, key) -> figures, by name.
    state: evaluated.
    key: folded in by the number of each evaluation.
    when: what their files of arrays are called.
    out: of the run.
    seconds: of the run; changed.

  Returns:
    Their scalars.

  Raises:
    stop.Interrupted: after SIGTERM, before the next evaluation.
  """
  began = time.monotonic()
  results, line = {}, {}
  for i, (name, evaluate) in enumerate(evals.items()):
    stop.check_together()
    made = evaluate(state, jax.random.fold_in(key, i))
    scalars, arrays = writer.scalars_and_arrays(made)
    out.arrays(name, when, arrays)
    results |= scalars
    line |= {f'eval/{name}/{k}': v for k, v in scalars.items()}
  if line:
    out.metrics(int(state.step), line)
  seconds['eval'] += time.monotonic() - began
  return results


def evaluate(
  program: experiment.Program,
  workdir,
  *,
  seed: int = 0,
  mesh_config: mesh_lib.MeshConfig | None = None,
) -> dict[str, Any]:
  """All evaluations on the newest checkpoint of `workdir`.

  Arrays go to evals/<name>-again.npz; the run's own files stay as they are.

  The mesh need not be the one of the training.

  Raises:
    stop.Interrupted: after SIGTERM.
    FileNotFoundError: no checkpoint there.
    checkpoint.DamagedError: the newest one is damaged.
    ValueError: it has another model.
  """
  workdir = pathlib.Path(workdir)
  if not checkpoint.exists(workdir):
    raise FileNotFoundError(
      f'{workdir} must hold a checkpoint, got none; train there first'
    )
  mesh = mesh_lib.make(mesh_config or mesh_lib.MeshConfig())
  with (
    stop.deferred(),
    mesh_lib.use(mesh),
    checkpoint.Checkpoints(workdir, keep=None) as checkpoints,
  ):
    init_key, _, eval_key = jax.random.split(jax.random.key(seed), 3)

    def newest(abstract):
      return checkpoints.restore(checkpoints.latest(), abstract)

    state, _, _ = start.state_of(program, init_key, mesh, newest)
    results = {}
    for i, (name, function) in enumerate(
      {**program.evals, **program.final}.items()
    ):
      stop.check_together()
      made = function(state, jax.random.fold_in(eval_key, i))
      scalars, arrays = writer.scalars_and_arrays(made)
      results |= scalars
      if jax.process_index() == 0:
        writer.Writer(workdir).arrays(name, 'again', arrays)
  return results | {'steps': int(state.step)}
