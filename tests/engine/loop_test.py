"""Runs: resumed equals uninterrupted, whatever interrupted them."""

import errno
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from unittest import mock

import jax
import numpy as np
from absl.testing import absltest, parameterized

from engine import checkpoint, evaluation, experiment, loop, stop
from engine import mesh as mesh_lib
from engine.runs import writer
from tests import files
from tests.engine import toy


def lines(folder):
  """metrics.jsonl, as it is."""
  return (pathlib.Path(folder) / 'metrics.jsonl').read_text().splitlines()


def weights(folder):
  with np.load(pathlib.Path(folder) / 'evals' / 'probe-final.npz') as file:
    return file['weights']


def last_state(folder):
  """Everything that the newest checkpoint holds."""
  with checkpoint.Checkpoints(folder, keep=None) as checkpoints:
    return checkpoints.restore_anything(checkpoints.latest())


def steady(summary):
  """A summary without what a clock wrote."""
  return {
    k: v
    for k, v in summary.items()
    if not k.startswith('seconds') and k != 'tokens_per_second'
  }


def ask():
  """Asks this process to stop."""
  os.kill(os.getpid(), signal.SIGTERM)


class RunCase(parameterized.TestCase):
  def folder(self):
    made = self.enter_context(tempfile.TemporaryDirectory())
    return pathlib.Path(made) / 'run'

  def assert_same_run(self, one, other):
    np.testing.assert_array_equal(weights(one), weights(other))
    self.assertEqual(lines(one), lines(other))
    state = last_state(one)
    self.assertIn('opt_state', state)
    jax.tree.map(np.testing.assert_array_equal, state, last_state(other))
    first, second = (
      json.loads((f / 'summary.json').read_text()) for f in (one, other)
    )
    self.assertEqual(steady(first), steady(second))


class LoopTest(RunCase):
  def test_learns_writes_and_summarises(self):
    folder = self.folder()
    summary = toy.run(folder, steps=12)
    self.assertEqual(summary['steps'], 12)
    self.assertEqual(summary['parameters'], toy.WIDTH)
    self.assertEqual(summary['kind'], 'toy')
    self.assertIn('tokens_per_second', summary)
    entries = [json.loads(line) for line in lines(folder)]
    steps = [e['step'] for e in entries if 'train/loss' in e]
    # Every 2, and where an evaluation (4) or a save (3) ends an interval.
    self.assertEqual(steps, [2, 3, 4, 6, 8, 9, 10, 12])
    self.assertEqual(
      [e['step'] for e in entries if 'eval/probe/norm' in e], [4, 8, 12]
    )
    self.assertTrue((folder / 'evals' / 'probe-4.npz').exists())
    losses = [e['train/loss'] for e in entries if 'train/loss' in e]
    self.assertLess(losses[-1], losses[0])

  def test_interval_metrics_are_means_over_its_steps(self):
    fine, coarse = self.folder(), self.folder()
    for folder, every in ((fine, 1), (coarse, 6)):
      config = loop.RunConfig(steps=6, log_every=every)
      loop.run(toy.make(), config, folder, progress=False)
    single = [json.loads(x)['train/loss'] for x in lines(fine) if 'train/' in x]
    (whole,) = [
      json.loads(x)['train/loss'] for x in lines(coarse) if 'train/' in x
    ]
    self.assertAlmostEqual(np.mean(single), whole, places=5)

  def test_a_finished_run_is_not_run_again(self):
    folder = self.folder()
    first = toy.run(folder)
    seen = []
    self.assertEqual(toy.run(folder, seen=seen), first)
    self.assertEqual(seen, [])

  @parameterized.parameters(1, 5, 7)
  def test_resumed_equals_uninterrupted(self, crash):
    whole, cut = self.folder(), self.folder()
    toy.run(whole)
    with self.assertRaises(loop.DivergedError):
      toy.run(cut, poison=crash)
    seen = []
    toy.run(cut, seen=seen)
    self.assertEqual(seen[0], crash // 3 * 3)  # the last save, not the start
    self.assert_same_run(whole, cut)

  def interrupt(self, folder, step, **kw):
    """Runs until SIGTERM ends it after `step`."""
    with self.assertRaises(stop.Interrupted) as caught:
      toy.run(folder, **kw)
    self.assertEqual((caught.exception.step, caught.exception.code), (step, 75))
    self.assertEqual(signal.getsignal(signal.SIGTERM), signal.SIG_DFL)
    self.assertFalse((folder / 'summary.json').exists())

  @parameterized.parameters(4, 7)
  def test_sigterm_inside_an_interval(self, cut_at):
    whole, cut = self.folder(), self.folder()

    class Signals(list):
      def append(self, row):
        super().append(row)
        if row == cut_at:
          ask()

    toy.run(whole, save_every=0)
    self.interrupt(cut, cut_at + 1, save_every=0, seen=Signals())
    toy.run(cut, save_every=0)
    self.assert_same_run(whole, cut)

  @parameterized.parameters(0, 4)
  def test_sigterm_between_the_items_of_an_evaluation(self, save_every):
    whole, cut = self.folder(), self.folder()
    toy.run(whole, save_every=save_every)
    made = []

    def item(step):
      made.append(step)
      if len(made) in (1, 2):  # in the evaluation, and when it is made up for
        ask()

    self.interrupt(cut, 4, save_every=save_every, item=item)
    self.interrupt(cut, 4, save_every=save_every, item=item)
    self.assertEqual(made, [4, 4])
    seen = []
    toy.run(cut, save_every=save_every, item=item, seen=seen)
    self.assertEqual((made[2:], seen[0]), ([4, 4, 8, 8, 12, 12], 4))
    self.assert_same_run(whole, cut)

  def test_sigterm_in_the_final_evaluation(self):
    whole, cut = self.folder(), self.folder()
    toy.run(whole)
    self.interrupt(cut, 12, item=lambda step: step == 12 and ask())
    seen = []
    toy.run(cut, seen=seen)
    self.assertEmpty(seen)  # nothing was trained again
    self.assert_same_run(whole, cut)

  def test_sigterm_where_nothing_is_trained(self):
    def recording():
      for number in range(3):
        stop.check()
        if number not in recorded:
          recorded.append(number)
          if number == 1:
            ask()
      return {'count': len(recorded)}

    recorded, folder = [], self.folder()
    program = experiment.only_evaluates(lambda state, key: recording(), steps=1)
    config = loop.RunConfig(steps=1)
    with self.assertRaises(stop.Interrupted) as caught:
      loop.run(program, config, folder, progress=False)
    self.assertIsNone(caught.exception.step)
    self.assertEqual(recorded, [0, 1])
    summary = loop.run(program, config, folder, progress=False)
    self.assertEqual((recorded, summary['count']), ([0, 1, 2], 3))

  def test_sigterm_while_a_checkpoint_is_evaluated_again(self):
    folder = self.folder()
    toy.run(folder)
    with self.assertRaises(stop.Interrupted):
      evaluation.evaluate(toy.make(item=lambda step: ask()), folder)

  def test_a_second_process_is_refused(self):
    folder = self.folder()

    def item(step):
      if step == 4:
        with self.assertRaisesRegex(
          BlockingIOError, f'{folder} is in use by process {os.getpid()};'
        ):
          toy.run(folder)

    self.assertEqual(toy.run(folder, item=item)['steps'], 12)

  def test_a_damaged_checkpoint_costs_its_steps_and_nothing_else(self):
    whole, hurt = self.folder(), self.folder()
    toy.run(whole)
    toy.run(hurt)
    ckpt = hurt / checkpoint.FOLDER
    (ckpt / '12' / 'state' / '_METADATA').write_bytes(b'')
    with open(hurt / 'metrics.jsonl', 'a') as file:
      file.write('8\n{"a": 1}\n{"step"')
    seen = []
    with self.assertLogs(level='ERROR') as logs:
      toy.run(hurt, seen=seen)
    self.assertRegex(' '.join(logs.output), r'/12 is damaged: state/_METADATA')
    self.assertEqual(seen, [9, 10, 11])
    self.assert_same_run(whole, hurt)
    self.assertTrue((ckpt / 'damaged-12').exists())

  def test_a_run_goes_on_for_more_steps_on_other_devices(self):
    def run(folder, config, mesh):
      return loop.run(
        toy.make(),
        loop.RunConfig(**config, log_every=2),
        folder,
        mesh_config=mesh_lib.MeshConfig(**mesh),
        full_config={'run': config, 'mesh': mesh},
        progress=False,
      )

    whole, grown = self.folder(), self.folder()
    one = run(whole, {'steps': 12}, {'fsdp': 4})
    run(grown, {'steps': 6, 'keep': 1}, {'fsdp': 2})
    two = run(grown, {'steps': 12, 'keep': 3}, {'fsdp': 4})
    self.assertEqual(two['steps'], 12)
    # Sums over other devices have another order.
    np.testing.assert_allclose(weights(whole), weights(grown), atol=1e-5)
    with self.assertRaisesRegex(ValueError, 'run.steps was 12, is 6'):
      run(grown, {'steps': 6, 'keep': 3}, {'fsdp': 4})
    again = evaluation.evaluate(
      toy.make(), whole, mesh_config=mesh_lib.MeshConfig(fsdp=2)
    )
    self.assertAlmostEqual(again['norm'], one['norm'], places=5)

  def test_the_last_interval_may_be_short(self):
    folder = self.folder()
    config = loop.RunConfig(steps=5, log_every=3)
    loop.run(toy.make(), config, folder, progress=False)
    entries = [json.loads(line) for line in lines(folder)]
    self.assertEqual(
      [e['train/tokens'] for e in entries if 'train/tokens' in e], [24, 16]
    )

  def test_killed_before_the_summary_evaluates_once_more_and_not_twice(self):
    whole, cut = self.folder(), self.folder()
    toy.run(whole)

    def die(self, name, value):
      if name == 'summary.json':
        raise InterruptedError(name)
      writer.write_json(self.workdir / name, value)

    with (
      mock.patch.object(writer.Writer, 'json', die),
      self.assertRaises(InterruptedError),
    ):
      toy.run(cut)
    summary = toy.run(cut)
    self.assertGreater(summary['tokens_per_second'], 0)
    self.assert_same_run(whole, cut)

  def test_nan_stops_with_step_metric_and_last_good_checkpoint(self):
    folder = self.folder()
    with self.assertRaisesRegex(
      loop.DivergedError, 'metric grad_norm is nan at step 8; .*step 6'
    ):
      toy.run(folder, poison=7)
    with checkpoint.Checkpoints(folder) as checkpoints:
      self.assertEqual(checkpoints.latest(), 6)
    folder = self.folder()  # saved at every step, but not where it broke
    with self.assertRaisesRegex(loop.DivergedError, 'at step 8; .*step 7'):
      toy.run(folder, poison=7, save_every=1)
    with checkpoint.Checkpoints(folder) as checkpoints:
      self.assertEqual(checkpoints.latest(), 7)
    folder = self.folder()
    with self.assertRaisesRegex(loop.DivergedError, 'none yet'):
      toy.run(folder, poison=0)

  def test_another_config_is_refused_key_by_key(self):
    folder = self.folder()
    toy.run(folder, full_config={'a': {'b': 1, 'c': 2}, 'd': 3})
    with self.assertRaisesRegex(
      ValueError, r'a\.b was 1, is 5; e was .absent., is 7'
    ):
      toy.run(folder, full_config={'a': {'b': 5, 'c': 2}, 'd': 3, 'e': 7})

  def test_another_model_is_refused_with_both_shapes(self):
    folder = self.folder()
    toy.run(folder, steps=6)
    (folder / 'summary.json').unlink()
    with self.assertRaisesRegex(
      ValueError, r'another model.*params/w: \(8,\) there, \(6,\) here'
    ):
      toy.run(folder, steps=6, width=6)

  def test_full_disk_leaves_the_old_checkpoint(self):
    whole, folder = self.folder(), self.folder()
    toy.run(whole)
    real, calls = shutil.disk_usage, []

    def filling(path):
      calls.append(path)
      usage = real(path)
      return usage._replace(free=100) if len(calls) > 1 else usage

    with (
      mock.patch.object(shutil, 'disk_usage', filling),
      self.assertRaisesRegex(OSError, 'no room to save.*intact') as caught,
    ):
      toy.run(folder)
    self.assertEqual(caught.exception.errno, errno.ENOSPC)
    with checkpoint.Checkpoints(folder) as checkpoints:
      self.assertEqual(checkpoints.latest(), 3)
    toy.run(folder)
    self.assert_same_run(whole, folder)

  def test_a_write_that_fails_leaves_the_old_checkpoint(self):
    whole, folder = self.folder(), self.folder()
    wide = dict(width=100_000, save_every=1, steps=6)
    toy.run(whole, **wide)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    class Fills(list):
      def append(self, row):
        super().append(row)
        if row == 4:  # step 4 is saved; 5 will fail, and 6 tell of it
          saved, end = folder / checkpoint.FOLDER / '4', time.monotonic() + 60
          while not saved.exists() and time.monotonic() < end:
            time.sleep(0.01)
          limit = (200_000, unlimited[1])  # half of one array
          resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    try:
      with self.assertRaisesRegex(OSError, 'no room to save.*intact') as caught:
        toy.run(folder, **wide, seen=Fills())
    finally:
      resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
      signal.signal(signal.SIGXFSZ, before)
    self.assertEqual(caught.exception.errno, errno.ENOSPC)
    with checkpoint.Checkpoints(folder) as checkpoints:
      self.assertEqual(checkpoints.latest(), 4)
    toy.run(folder, **wide)
    self.assert_same_run(whole, folder)

  def test_an_evaluation_only_experiment(self):
    exp = toy.make()._replace(step=None, train_data=None)
    summary = loop.run(
      exp, loop.RunConfig(steps=1), self.folder(), progress=False
    )
    self.assertEqual(summary['kind'], 'toy')
    self.assertEqual(summary['steps'], 0)

  def test_evaluates_a_finished_run_again(self):
    folder = self.folder()
    summary = toy.run(folder)
    again = evaluation.evaluate(toy.make(), folder)
    self.assertEqual(again['norm'], summary['norm'])
    with self.assertRaisesRegex(FileNotFoundError, 'must hold a checkpoint'):
      evaluation.evaluate(toy.make(), self.folder())

  @parameterized.parameters('steps', 'log_every', 'keep')
  def test_refuses_counts_below_one(self, name):
    with self.assertRaisesRegex(ValueError, f'run.{name} must be at least 1'):
      loop.RunConfig(**({'steps': 3} | {name: 0}))


class KilledTest(RunCase):
  """Processes that are killed from outside."""

  # As wide as where a write fails: the same programs.
  WIDE = 100_000

  def start(self, folder, *, lives, steps, save_every, width, slow):
    """A process that has one child after another run in `folder`."""
    arguments = [
      str(a) for a in (folder, lives, steps, save_every, width, slow)
    ]
    # Bits are the same only where the devices and the compiler are.
    here = {
      'JAX_PLATFORMS': 'cpu',
      'JAX_NUM_CPU_DEVICES': str(jax.local_device_count()),
      'JAX_DISABLE_MOST_OPTIMIZATIONS': str(
        jax.config.values['jax_disable_most_optimizations']
      ),
    }
    process = subprocess.Popen(
      [sys.executable, '-m', 'tests.engine.toy', *arguments],
      cwd=files.ROOT,
      env=os.environ | here,
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      start_new_session=True,
      text=True,
    )
    self.addCleanup(process.communicate)
    # Whatever a test ends with, its child goes too; runs first.
    self.addCleanup(os.killpg, process.pid, signal.SIGKILL)
    return process

  def end(self, process, condition, number, seconds=60):
    """Sends a signal to the child once `condition` holds; how it ended."""
    child = int(process.stdout.readline())
    end = time.monotonic() + seconds
    while not condition():
      self.assertLess(time.monotonic(), end, 'nothing to kill')
      time.sleep(0.002)
    os.kill(child, number)
    return int(process.stdout.readline())

  def test_killed_at_three_moments_of_a_save_then_asked_to_stop(self):
    whole, folder = self.folder(), self.folder()
    size = dict(steps=16, save_every=1, width=self.WIDE)
    toy.run(whole, **size)
    ckpt = folder / checkpoint.FOLDER

    def logged():
      return len(lines(folder)) if (folder / 'metrics.jsonl').exists() else 0

    def saving(pattern):
      """A save has come as far as `pattern`, beside a whole checkpoint.

      Not the save that the run before left: this one has made steps.
      """
      before = logged()

      def reached():
        here = checkpoint.exists(folder) and any(ckpt.glob(pattern))
        return here and logged() > before

      return reached

    # The folder is made; its arrays are being written; they are merged.
    hit = 0
    process = self.start(folder, lives=4, **size, slow=0.05)
    for pattern in ('*tmp*', '*tmp*/*/ocdbt*/d/*', '*tmp*/*/d/*'):
      status = self.end(process, saving(pattern), signal.SIGKILL)
      self.assertEqual(status, -signal.SIGKILL)
      hit += any(ckpt.glob('*tmp*'))
      self.assertTrue(checkpoint.exists(folder))
      self.assertFalse((folder / 'summary.json').exists())
    self.assertGreater(hit, 0)  # else nothing was cut short
    # The locks of the dead kept nobody out.
    status = self.end(process, saving('*tmp*/*/d/*'), signal.SIGTERM)
    self.assertEqual(status, stop.STATUS)
    self.assertFalse((folder / 'summary.json').exists())
    toy.run(folder, **size)
    self.assert_same_run(whole, folder)
    self.assertFalse(any(ckpt.glob('*tmp*')))


if __name__ == '__main__':
  absltest.main()
