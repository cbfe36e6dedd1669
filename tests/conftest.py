"""Every test runs on four devices, with the shapes in annotations executed."""

import os

from tests import program_cache

# Before anything loads OpenBLAS; see launch/cli.py.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
os.environ.update(program_cache.variables())
# On a busy machine one of the four devices may be late for a sum over all; XLA
# would end the process after 40 s.
os.environ.setdefault(
  'XLA_FLAGS',
  '--xla_cpu_collective_call_terminate_timeout_seconds=600 '
  # A program in one part: in many parts it costs more, and both cores are busy.
  '--xla_cpu_parallel_codegen_split_count=1',
)

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
