"""Launchers as a user calls them: what goes wrong is said in one line."""

import os
import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest, parameterized

from tests import files


def call(module, *arguments):
  return subprocess.run(
    [sys.executable, '-m', f'launch.{module}', *arguments],
    cwd=files.ROOT,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
    timeout=300,
  )


class CommandLineTest(parameterized.TestCase):
  @parameterized.parameters(
    (
      (
        'train',
        '--config=configs/lacy/bios.py:smoke',
        '--workdir=x',
        '--config.data.batchsize=3',
      ),
      'Did you mean "batch_size"',
    ),
    (
      ('train', '--config=configs/lacy/bios.py:smoke'),
      '--workdir must name a folder',
    ),
    (
      ('train', '--config=configs/lacy/bios.py:tiny', '--workdir=x'),
      "config argument must be one of smoke; got 'tiny'",
    ),
    (
      ('train', '--config=lacy/wikki', '--workdir=x'),
      'did you mean lacy/wiki?',
    ),
    (('plot', '--workdir=no/such'), 'must hold a run or a sweep'),
    (('evaluate', '--workdir=no/such'), 'holds no config.json'),
    (('train', 'configs/lacy/bios.py'), 'flags begin with --'),
    (
      (
        'evaluate',
        '--config=configs/lacy/cascade.py',
        '--config.cascade.runs=no/such',
        '--workdir=x',
      ),
      'has neither sweep.json nor config.json; make demo',
    ),
  )
  def test_bad_input_is_one_line_and_exit_2(self, arguments, message):
    done = call(*arguments)
    self.assertEqual(done.returncode, 2, done.stderr)
    self.assertIn(message, done.stderr)
    self.assertLen(done.stderr.strip().splitlines(), 1)
    self.assertNotIn('Traceback', done.stderr)

  def test_trains_evaluates_and_plots(self):
    with tempfile.TemporaryDirectory() as folder:
      done = call(
        'train', '--config=configs/lacy/bios.py:smoke', f'--workdir={folder}'
      )
      self.assertEqual(done.returncode, 0, done.stderr)
      for name in (
        'fact_token_share',
        'train_call_share',
        'call_rate',
        'fact_error_cascade',
        'fact_leakage',
        'loss_fact',
        'loss_nonfact',
        'call_precision',
        'call_recall',
        'auroc_loss_wrong',
        'tokens_per_second',
        'seconds_total',
      ):
        self.assertIn(f'"{name}"', done.stdout)
      again = call('evaluate', f'--workdir={folder}')
      self.assertEqual(again.returncode, 0, again.stderr)
      line = next(x for x in done.stdout.splitlines() if 'loss_fact' in x)
      self.assertIn(line, again.stdout)
      plotted = call('plot', f'--workdir={folder}')
      self.assertEqual(plotted.returncode, 0, plotted.stderr)
      for name in ('losses.png', 'delegation.png'):
        size = (pathlib.Path(folder) / 'figures' / name).stat().st_size
        self.assertGreater(size, 10_000)

  def test_dry_run_of_the_pod_config(self):
    done = call(
      'train',
      '--config=configs/lacy/olmo_wiki_pod.py:smoke',
      '--dry_run',
      '--devices=8',
      '--config.mesh.fsdp=2',
      '--config.mesh.model=2',
    )
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertIn("mesh: {'data': 2, 'fsdp': 2, 'model': 2}", done.stdout)
    self.assertIn("P('model', 'fsdp')", done.stdout)
    self.assertRegex(done.stdout, r'parameters: [\d,]+')
    self.assertRegex(done.stdout, 'FLOPs a step')
    self.assertRegex(done.stdout, 'a device: .* arguments, .* temporaries')


if __name__ == '__main__':
  absltest.main()
