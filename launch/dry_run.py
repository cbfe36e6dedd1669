"""What a config would cost: parameters, FLOPs, memory, sharding of arrays.

Compiles the training step on shapes alone; nothing is allocated.
"""

import importlib
import math

import jax
import numpy as np

from engine import mesh as mesh_lib
from launch import setup


def _mesh_devices(mesh_config, devices: int) -> int:
  """How many devices the mesh asks for (-1: `devices`, else those here)."""
  sizes = [mesh_config.data, mesh_config.fsdp, mesh_config.model]
  if -1 not in sizes:
    return math.prod(sizes)
  return devices


def _rows(abstract, shardings):
  leaves = jax.tree_util.tree_leaves_with_path(abstract)
  for (path, leaf), sharding in zip(
    leaves, jax.tree.leaves(shardings), strict=True
  ):
    part = sharding.shard_shape(leaf.shape)
    size = int(np.prod(part)) * leaf.dtype.itemsize
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    yield name, leaf, sharding.spec, size


def _human(value: float, unit: str) -> str:
  for prefix in ('', 'k', 'M', 'G', 'T', 'P'):
    if value < 1000:
      return f'{value:.4g} {prefix}{unit}'
    value /= 1000
  return f'{value:.4g} E{unit}'


def report(cfg, *, devices: int = 0) -> None:
  """Prints the cost of `cfg` on the mesh it asks for.

  Raises:
    ValueError: the experiment describes no abstract form, or does not fit.
  """
  run, mesh_config = setup.run_and_mesh(cfg)
  count = _mesh_devices(mesh_config, devices)
  if count:
    # Before the backend starts: as many pretended devices as the mesh wants.
    jax.config.update('jax_platforms', 'cpu')
    jax.config.update('jax_num_cpu_devices', count)
  module = importlib.import_module(cfg['experiment'])
  if not hasattr(module, 'abstract'):
    raise ValueError(
      f'{cfg["experiment"]} has no abstract(cfg), which --dry_run needs'
    )
  exp, batch = module.abstract(cfg)
  mesh = mesh_lib.make(mesh_config, jax.devices()[: count or None])
  with mesh_lib.use(mesh):
    boxed = jax.eval_shape(exp.init, jax.random.key(0))
    shardings = mesh_lib.state_shardings(mesh, boxed)
    state = mesh_lib.unbox(boxed)
    rows = list(_rows(state, shardings))
    width = max(len(name) for name, *_ in rows)
    print(f'mesh: {dict(mesh.shape)}')
    for name, leaf, spec, size in rows:
      shape = f'{leaf.dtype}{list(leaf.shape)}'
      print(
        f'{name:<{width}}  {shape:<28} {spec!s:<48} '
        f'{_human(size, "B")} a device'
      )
    parameters = sum(x.size for x in jax.tree.leaves(state.params))
    print(f'parameters: {parameters:,}')
    print(f'state: {_human(sum(r[3] for r in rows), "B")} a device')
    if exp.step is None:
      for line in module.cost(cfg) if hasattr(module, 'cost') else ():
        print(line)
      return
    flops = None
    if hasattr(module, 'flops_per_step'):
      flops = module.flops_per_step(cfg)
      print(f'FLOPs a step (matmuls): {_human(flops, "FLOP")}')
      print(f'FLOPs of the run: {_human(flops * run.steps, "FLOP")}')
    memory = _compiled(exp, state, shardings, batch, mesh).memory_analysis()
    print(
      'memory of the compiled step, a device: '
      f'{_human(memory.argument_size_in_bytes, "B")} arguments, '
      f'{_human(memory.temp_size_in_bytes, "B")} temporaries '
      '(compiled for this machine; an accelerator fuses more)'
    )


def _compiled(exp, state, shardings, batch, mesh):
  def place(x, sharding):
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

  state = jax.tree.map(place, state, shardings)
  on = mesh_lib.batch_sharding(mesh)
  mesh_lib.check_batch(batch, mesh)
  batch = jax.tree.map(lambda x: place(x, on), batch)
  key = jax.eval_shape(lambda: jax.random.key(0))
  step = jax.jit(exp.step, donate_argnums=0, out_shardings=(shardings, None))
  return step.lower(state, batch, key).compile()
