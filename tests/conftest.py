"""Every test runs on four devices, with the shapes in annotations executed."""

import os

from tests import program_cache

# Before anything loads OpenBLAS; see launch/cli.py.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
os.environ.update(program_cache.variables())
os.environ.setdefault('XLA_FLAGS', program_cache.FLAGS)

import jax
import jaxtyping
import pytest

from tests import compilations, shapes

jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_num_cpu_devices', 4)
# Tests compile much and run little.
jax.config.update('jax_disable_most_optimizations', True)
jaxtyping.install_import_hook(
  [
    'calibration',
    'corpora',
    'diffusion_sampler',
    'engine',
    'lacy',
    'lm',
    'probes',
  ],
  f'{shapes.__name__}.check',
)


def pytest_configure(config: pytest.Config) -> None:
  config.pluginmanager.register(compilations.Counter(), 'compilations')
  if not hasattr(config, 'workerinput'):
    program_cache.trim()
