"""Saves that fail are told once, in words; damaged checkpoints by file."""

import pathlib
import resource
import shutil
import signal
import tempfile
import time
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from engine import checkpoint
from engine.runs import checksums, writer


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


def empty(path):
  path.write_bytes(b'')


def halve(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)


def clear(folder):
  for path in folder.iterdir():
    shutil.rmtree(path) if path.is_dir() else path.unlink()


STEPS = 1, 2


class DamageTest(parameterized.TestCase):
  """Two checkpoints, of which the newer one suffers."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    made = cls.enterClassContext(tempfile.TemporaryDirectory())
    cls.original = pathlib.Path(made)
    with checkpoint.Checkpoints(cls.original) as checkpoints:
      for step in STEPS:
        state = {'params': {'w': step * jnp.arange(5.0), 'b': jnp.ones((2, 3))}}
        checkpoints.save(step, state, {'position': step}, wait=True)

  def setUp(self):
    super().setUp()
    made = self.enter_context(tempfile.TemporaryDirectory())
    self.workdir = pathlib.Path(made) / 'run'
    shutil.copytree(self.original, self.workdir)
    self.ckpt = self.workdir / checkpoint.FOLDER

  def forget_checksums(self):
    """As checkpoints were before."""
    for path in self.ckpt.rglob(checksums.NAME):
      path.unlink()

  def hurt(self, damage, pattern, step=2):
    """Damages the first file that matches; returns its name."""
    found = sorted((self.ckpt / str(step)).glob(pattern))
    damage(found[0])
    return found[0].relative_to(self.ckpt / str(step)).as_posix()

  def resume(self, width=5):
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])

    def of(*shape):
      return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=here)

    with checkpoint.Checkpoints(self.workdir) as checkpoints:
      state, data = checkpoints.resume(
        {'params': {'w': of(width), 'b': of(2, 3)}}
      )
      self.assertEqual(checkpoints.latest(), data['position'])
    np.testing.assert_array_equal(
      state['params']['w'], data['position'] * np.arange(5.0)
    )
    return data['position']

  def names(self):
    return sorted(path.name for path in self.ckpt.iterdir())

  def files(self, step):
    folder = self.ckpt / str(step)
    return {p.relative_to(folder): p.stat().st_size for p in folder.rglob('*')}

  def check_goes_on_from_the_older(self, *fault):
    before = self.files(2)
    with self.assertLogs(level='ERROR') as logs:
      self.assertEqual(self.resume(), 1)
    said = ' '.join(logs.output)
    for text in (*fault, str(self.ckpt / '2'), 'damaged-2', 'step 1'):
      self.assertIn(text, said)
    self.assertEqual(self.names(), ['1', 'damaged-2'])
    self.assertEqual(self.files('damaged-2'), before)  # nothing was removed
    self.assertEqual(self.resume(), 1)

  @parameterized.parameters(
    (empty, 'state/_METADATA'),
    (halve, 'state/_METADATA'),
    (flip, 'state/_METADATA'),
    (empty, '_CHECKPOINT_METADATA'),
    (halve, 'data/metadata'),
    (pathlib.Path.unlink, 'data/metadata'),
    (pathlib.Path.unlink, 'state/manifest.ocdbt'),
    (flip, 'state/ocdbt.process_0/d/*'),
    (flip, 'state/d/*'),
    (halve, 'state/d/*'),
    (empty, 'checksums.json'),
  )
  def test_a_damaged_file_is_named_and_the_older_checkpoint_taken(
    self, damage, pattern
  ):
    self.check_goes_on_from_the_older(self.hurt(damage, pattern))

  def test_an_empty_folder(self):
    clear(self.ckpt / '2')
    self.check_goes_on_from_the_older('the folder is empty')

  @parameterized.parameters(
    (empty, 'state/_METADATA'),
    (halve, 'data/metadata'),
    (pathlib.Path.unlink, 'state/_METADATA'),
    (pathlib.Path.unlink, 'state/manifest.ocdbt'),
    (halve, 'state/d/*'),
    (shutil.rmtree, 'state'),
  )
  def test_damage_without_checksums(self, damage, pattern):
    self.forget_checksums()
    self.hurt(damage, pattern)
    self.check_goes_on_from_the_older()

  def test_checkpoints_from_before_checksums_open(self):
    self.forget_checksums()
    self.assertEqual(self.resume(), 2)

  def test_none_intact_is_an_error_and_nothing_is_moved(self):
    self.hurt(flip, 'state/d/*')
    self.hurt(empty, 'state/_METADATA', step=1)
    with self.assertRaisesRegex(
      checkpoint.DamagedError, r'no checkpoint.*/2 is.*/1 is.*_METADATA'
    ):
      self.resume()
    self.assertEqual(self.names(), ['1', '2'])

  def test_the_model_of_another_run_is_no_damage(self):
    for forget in (False, True):
      if forget:
        self.forget_checksums()
      with self.assertRaisesRegex(ValueError, 'another model') as caught:
        self.resume(width=6)
      self.assertNotIsInstance(caught.exception, checkpoint.DamagedError)
    self.assertEqual(self.names(), ['1', '2'])

  def test_who_only_reads_is_told_and_moves_nothing(self):
    name = self.hurt(flip, 'state/d/*')
    with self.assertRaisesRegex(checkpoint.DamagedError, f'/2 is.*{name}'):
      checkpoint.restore_params(self.workdir)
    self.assertEqual(self.names(), ['1', '2'])

  def test_a_save_that_waits_for_the_one_before_lists_its_own_files(self):
    write = checksums.write

    def slowly(folder, **more):
      time.sleep(0.2)
      write(folder, **more)

    with (
      mock.patch.object(checksums, 'write', slowly),
      checkpoint.Checkpoints(self.workdir) as checkpoints,
    ):
      for step in (3, 4):
        checkpoints.save(step, {'w': step * jnp.ones(step)}, {})
    self.assertEqual(self.names(), ['3', '4'])
    for step in (3, 4):
      folder = self.ckpt / str(step)
      listed = writer.read_json(folder / checksums.NAME)
      there = {str(name) for name in self.files(step)}
      self.assertContainsSubset(listed, there)
      self.assertIn('state/_METADATA', listed)
      self.assertEqual(checksums.fault(folder), '')

  def test_damaged_twice(self):
    shutil.copytree(self.ckpt / '2', self.ckpt / 'damaged-2')
    self.hurt(empty, 'state/_METADATA')
    self.assertEqual(self.resume(), 1)
    self.assertEqual(self.names(), ['1', 'damaged-2', 'damaged-2-2'])


if __name__ == '__main__':
  absltest.main()
