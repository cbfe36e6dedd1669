"""What a config would cost: parameters, FLOPs, memory, sharding of arrays.

Compiles the training step on shapes alone; nothing is allocated.
"""

import math

import jax
import numpy as np

from engine import mesh as mesh_lib
from launch import setup

# Dense bfloat16 peak of a chip in TFLOP/s, as its maker states it.
CHIPS = {
  'v4': 275.0,
  'v5e': 197.0,
  'v5p': 459.0,
  'v6e': 918.0,
  'a100': 312.0,
  'h100': 989.0,
  'h200': 989.0,
  'b200': 2250.0,
}


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


def chip_hours(flops: float, chip: str, utilisation: float) -> float:
  """Hours of one chip for so many FLOPs, at a share of its bfloat16 peak."""
  return flops / (CHIPS[chip] * 1e12 * utilisation) / 3600


def report(
  cfg, *, devices: int = 0, chip: str = 'v5e', utilisation: float = 0.4
) -> None:
  """Prints the cost of `cfg` on the mesh it asks for.

  Args:
    cfg: a whole config.
    devices: to assume; 0: those of the mesh.
    chip: one of CHIPS, whose hours are told.
    utilisation: share of its peak that it is assumed to reach.

  Raises:
    ValueError: the experiment describes no abstract form, or does not fit.
  """
  if not 0 < utilisation <= 1:
    raise ValueError(f'--utilisation must lie in (0, 1], got {utilisation}')
  asked = setup.ask(cfg)
  exp = asked.experiment
  count = _mesh_devices(asked.mesh, devices)
  if count:
    # Before the backend starts: as many pretended devices as the mesh wants.
    jax.config.update('jax_platforms', 'cpu')
    jax.config.update('jax_num_cpu_devices', count)
  if exp.abstract is None:
    raise ValueError(
      f'{asked.values["experiment"]} describes no model to --dry_run; a '
      'recording needs a section `model`'
    )
  program, batch = exp.abstract()
  mesh = mesh_lib.make(asked.mesh, jax.devices()[: count or None])
  with mesh_lib.use(mesh):
    boxed = jax.eval_shape(program.init, jax.random.key(0))
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
    for line in exp.cost() if exp.cost else ():
      print(line)
    if exp.flops is not None:
      flops = exp.flops()
      if program.step is not None:
        print(f'FLOPs a step (matmuls): {_human(flops, "FLOP")}')
        flops *= asked.run.steps
      print(f'FLOPs of the run: {_human(flops, "FLOP")}')
      print(
        f'chip-hours: {chip_hours(flops, chip, utilisation):.3g} on {chip} '
        f'at {utilisation:.0%} of its {CHIPS[chip]:g} TFLOP/s (assumed)'
      )
    if program.step is None:
      return
    compiled = _compiled(program, state, shardings, batch, mesh)
    memory = compiled.memory_analysis()
    print(
      'memory of the compiled step, a device: '
      f'{_human(memory.argument_size_in_bytes, "B")} arguments, '
      f'{_human(memory.temp_size_in_bytes, "B")} temporaries '
      '(compiled for this machine; an accelerator fuses more)'
    )


def _compiled(program, state, shardings, batch, mesh):
  def place(x, sharding):
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

  state = jax.tree.map(place, state, shardings)
  on = mesh_lib.batch_sharding(mesh)
  mesh_lib.check_batch(batch, mesh)
  batch = jax.tree.map(lambda x: place(x, on), batch)
  key = jax.eval_shape(lambda: jax.random.key(0))
  step = jax.jit(
    program.step, donate_argnums=0, out_shardings=(shardings, None)
  )
  return step.lower(state, batch, key).compile()
