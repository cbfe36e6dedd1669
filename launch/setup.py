"""From a config to what the engine takes."""

import importlib
from collections.abc import Mapping

import jax

from engine import assets, loop, mesh
from launch import cli


def run_and_mesh(
  cfg: Mapping,
) -> tuple[loop.RunConfig, mesh.MeshConfig]:
  """The sections `run` and `mesh`, checked."""
  return (
    cli.fields(loop.RunConfig, 'run', cfg['run']),
    cli.fields(mesh.MeshConfig, 'mesh', cfg['mesh']),
  )


def compile_cache() -> None:
  """Compiled programs are kept between runs, beside the data."""
  folder = assets.cache_dir() / 'xla'
  jax.config.update('jax_compilation_cache_dir', str(folder))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)


def train(cfg, workdir, *, progress: bool = True) -> dict:
  """Builds and runs a config; returns the summary."""
  run, mesh = run_and_mesh(cfg)
  module = importlib.import_module(cfg['experiment'])
  return loop.run(
    module.build(cfg),
    run,
    workdir,
    mesh_config=mesh,
    full_config={k: v for k, v in cfg.items() if k != 'sweep'},
    progress=progress,
  )
