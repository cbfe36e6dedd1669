"""A save that fails behind the scenes is told once, and in words."""

import pathlib
import resource
import signal
import tempfile

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from engine import checkpoint


class FailedSaveTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    made = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(made)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    self.limit = (200_000, unlimited[1])
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    self.addCleanup(signal.signal, signal.SIGXFSZ, before)
    self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, unlimited)

  def fail_in_the_background(self, checkpoints):
    noise = np.random.default_rng(0).normal(size=200_000)
    state = {'w': jnp.asarray(noise, jnp.float32)}
    checkpoints.save(1, state, {}, wait=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, self.limit)
    checkpoints.save(2, state, {})

  def test_it_does_not_hide_the_error_that_ended_the_run(self):
    with (
      self.assertRaisesRegex(ArithmeticError, 'diverged'),
      checkpoint.Checkpoints(self.folder) as checkpoints,
    ):
      self.fail_in_the_background(checkpoints)
      raise ArithmeticError('diverged')

  def test_closing_tells_of_it(self):
    with (
      self.assertRaisesRegex(OSError, 'no room to save .*intact'),
      checkpoint.Checkpoints(self.folder) as checkpoints,
    ):
      self.fail_in_the_background(checkpoints)
    self.assertTrue(checkpoint.exists(self.folder))


if __name__ == '__main__':
  absltest.main()
