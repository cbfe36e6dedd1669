"""From a config to what the engine takes."""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from engine import assets, experiment, loop, mesh, options
from engine.runs import moved


class Asked(NamedTuple):
  """A config, checked: nothing is opened yet."""

  experiment: experiment.Experiment
  run: loop.RunConfig
  mesh: mesh.MeshConfig
  values: dict[str, Any]


def ask(values: Mapping[str, Any]) -> Asked:
  """Builds the experiment of a config, and sees that it reads every key.

  Args:
    values: a whole config; the section `sweep` is left to launch.sweep.

  Raises:
    ValueError: an unknown experiment, key or value, or a key that nobody
      reads.
  """
  plain = {k: v for k, v in moved.modern(values).items() if k != 'sweep'}
  config = options.Config(plain)
  name = config['experiment']
  try:
    module = importlib.import_module(name)
  except ModuleNotFoundError as error:
    if not name.startswith(str(error.name)):
      raise
    raise ValueError(
      f'experiment={name} must be a module with build(cfg), and there is none'
    ) from None
  made = Asked(
    experiment=module.build(config),
    run=options.section(config['run'], 'run', loop.RunConfig),
    mesh=options.section(config['mesh'], 'mesh', mesh.MeshConfig),
    values=plain,
  )
  config.check_all_read(name)
  return made


def compile_cache() -> None:
  """Compiled programs are kept between runs, beside the data.

  A folder that $JAX_COMPILATION_CACHE_DIR names is used as it is.
  """
  if jax.config.jax_compilation_cache_dir:
    return
  folder = assets.cache_dir() / 'xla'
  jax.config.update('jax_compilation_cache_dir', str(folder))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)


def train(
  asked: Asked,
  workdir,
  *,
  program: experiment.Program | None = None,
  progress: bool = True,
) -> dict[str, Any]:
  """Runs what was asked, opened here where it is not; returns the summary."""
  return loop.run(
    program or asked.experiment.open(),
    asked.run,
    workdir,
    mesh_config=asked.mesh,
    full_config=asked.values,
    progress=progress,
  )
