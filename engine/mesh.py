"""The mesh, and which array axis lies along which of its axes.

Modules name the axes of their parameters and activations by what they are
('embed', 'mlp', ...); the table below says where that goes. Everything is
checked, since jit takes a misspelt name to mean "replicated".
"""

import contextlib
import dataclasses
import difflib

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

AXES = ('data', 'fsdp', 'model')
BATCH = ('data', 'fsdp')

# Logical axis -> mesh axes. `embed_act` is the width of activations, which
# stays whole where `embed`, the width of weights, is spread for memory.
RULES = (
  ('batch', BATCH),
  ('seq', None),
  ('embed', 'fsdp'),
  ('embed_act', None),
  ('mlp', 'model'),
  ('heads', 'model'),
  ('kv_heads', 'model'),
  ('head_dim', None),
  ('vocab', 'model'),
  ('layers', None),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
  """Devices along each axis; one of them may be -1, "all that are left".

  data: copies of the model. fsdp: copies that share their weights out.
  model: devices that share every matmul.
  """

  data: int = -1
  fsdp: int = 1
  model: int = 1

  def shape(self, devices: int) -> tuple[int, int, int]:
    """Sizes along `AXES`.

    Raises:
      ValueError: they do not multiply to the number of devices.
    """
    sizes = [self.data, self.fsdp, self.model]
    named = ', '.join(f'mesh.{a}={s}' for a, s in zip(AXES, sizes, strict=True))
    if sizes.count(-1) > 1 or any(s == 0 or s < -1 for s in sizes):
      raise ValueError(
        f'mesh sizes must be positive, at most one of them -1; got {named}'
      )
    fixed = int(np.prod([s for s in sizes if s != -1]))
    if -1 in sizes and devices % fixed == 0:
      sizes[sizes.index(-1)] = devices // fixed
    if int(np.prod(sizes)) != devices:
      raise ValueError(
        f'{named} must multiply to the {devices} devices present; change '
        '--config.mesh'
      )
    return tuple(sizes)


def make(config: MeshConfig, devices=None) -> jax.sharding.Mesh:
  """The mesh over `devices` (all by default)."""
  devices = jax.devices() if devices is None else devices
  return jax.make_mesh(
    config.shape(len(devices)),
    AXES,
    axis_types=(AxisType.Auto,) * len(AXES),
    devices=devices,
  )


@contextlib.contextmanager
def use(mesh: jax.sharding.Mesh):
  """Within, jit knows the mesh and logical names mean what RULES says."""
  with jax.set_mesh(mesh), nn.logical_axis_rules(RULES):
    yield mesh


def _spec(path: str, names, shape, mesh) -> P:
  table = dict(RULES)
  entries = []
  for axis, name in enumerate(names):
    if name is not None and name not in table:
      close = difflib.get_close_matches(name, table, n=1)
      hint = f'; did you mean {close[0]!r}?' if close else ''
      raise ValueError(
        f'{path} names its axis {axis} {name!r}, which is not in '
        f'engine.mesh.RULES{hint}'
      )
    target = table.get(name)
    size = int(np.prod([mesh.shape[a] for a in _tuple(target)]))
    if shape[axis] % size:
      raise ValueError(
        f'{path} has shape {shape}; its axis {axis} ({name}) must divide over '
        f'the {size} devices of mesh axis {target!r}; change '
        f'--config.mesh.{target} or the size of the model'
      )
    entries.append(target)
  return P(*entries)


def _tuple(target):
  return target if isinstance(target, tuple) else (target,) if target else ()


def _boxed(leaf):
  return isinstance(leaf, nn.LogicallyPartitioned)


def state_shardings(mesh: jax.sharding.Mesh, abstract_state):
  """NamedShardings of a state whose leaves may be LogicallyPartitioned.

  Leaves without names are replicated. The result fits the unboxed state.

  Raises:
    ValueError: an unknown logical name, or an axis that does not divide.
  """

  def one(path, leaf):
    if not _boxed(leaf):
      return NamedSharding(mesh, P())
    name = jax.tree_util.keystr(path)
    return NamedSharding(mesh, _spec(name, leaf.names, leaf.value.shape, mesh))

  return jax.tree_util.tree_map_with_path(one, abstract_state, is_leaf=_boxed)


def unbox(state):
  """The state without its logical names (and without constraints)."""
  return jax.tree.map(
    lambda x: x.unbox(apply_constraint=False) if _boxed(x) else x,
    state,
    is_leaf=_boxed,
  )


def current() -> jax.sharding.Mesh:
  """The mesh of `use`, or one of the first device alone."""
  mesh = jax.sharding.get_mesh()
  if mesh.empty:
    return make(MeshConfig(data=1), jax.devices()[:1])
  return mesh


def batch_sharding(mesh: jax.sharding.Mesh) -> NamedSharding:
  """The first axis over the data axes, the rest whole."""
  return NamedSharding(mesh, P(BATCH))


def check_batch(batch, mesh: jax.sharding.Mesh, processes: int = 1) -> None:
  """Raises ValueError unless the global batch divides over the data axes."""
  parts = mesh.shape['data'] * mesh.shape['fsdp']
  for x in jax.tree.leaves(batch):
    size = x.shape[0] * processes
    if size % parts:
      raise ValueError(
        f'data.batch_size={size} must divide over the {parts} devices of the '
        'data and fsdp axes; change --config.data.batch_size or '
        '--config.mesh.data'
      )


def device_batch(batch, mesh: jax.sharding.Mesh | None = None):
  """Puts this process' share of a batch (numpy leaves) on the mesh.

  Raises:
    ValueError: the global batch does not divide over the data axes.
  """
  mesh = current() if mesh is None else mesh
  check_batch(batch, mesh, jax.process_count())
  sharding = batch_sharding(mesh)

  def put(x):
    return jax.make_array_from_process_local_data(sharding, np.asarray(x))

  return jax.tree.map(put, batch)


def replicated(tree):
  """A tree whole on every device of the mesh."""
  return jax.device_put(tree, NamedSharding(current(), P()))


def replicated_jit(function):
  """jit whose results every process holds whole (for evaluations)."""

  def call(*args):
    return jitted(current())(*args)

  compiled = {}

  def jitted(mesh):
    if mesh not in compiled:
      compiled[mesh] = jax.jit(function, out_shardings=NamedSharding(mesh, P()))
    return compiled[mesh]

  return call
