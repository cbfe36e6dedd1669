"""The state that a run begins with: fresh, loaded, or a checkpoint's."""

from collections.abc import Callable

import jax
from absl import logging

from engine import experiment
from engine import mesh as mesh_lib


def state_of(program: experiment.Program, key, mesh, restore: Callable):
  """The state, fresh or restored, the data state, and the shardings.

  Args:
    program: what runs.
    key: of fresh parameters.
    mesh: where the state goes.
    restore: abstract state -> (state, data state), None if nothing was saved.
  """
  boxed = jax.eval_shape(program.init, key)
  shardings = mesh_lib.state_shardings(mesh, boxed)
  abstract = jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
    mesh_lib.unbox(boxed),
    shardings,
  )
  found = restore(abstract)
  if found is not None:
    state, data_state = found
    logging.info('Resumed at step %d', int(state.step))
    return state, data_state, shardings
  state = jax.jit(_fresh, static_argnums=0, out_shardings=shardings)(
    program.init, key
  )
  if program.load is not None:
    params = program.load(state.params, shardings.params)
    state = state.replace(params=params)
  return state, None, shardings


def _fresh(init, key):
  return mesh_lib.unbox(init(key))
