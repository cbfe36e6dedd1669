"""Every test runs on four devices, with the shapes in annotations executed."""

import os

# Before anything loads OpenBLAS; see launch/cli.py.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

import jax
import jaxtyping
import pytest

from tests import shapes

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


@pytest.fixture(scope='module', autouse=True)
def _forget_programs():
  """Drops what a file compiled: a process has 65,530 mappings, and XLA falls
  over where a long run of tests has used them up."""
  yield
  jax.clear_caches()
