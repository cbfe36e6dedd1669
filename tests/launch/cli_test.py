"""Launchers as a user calls them: what goes wrong is said in one line."""

import pathlib
import tempfile

from absl.testing import absltest, parameterized

from tests.launch import command


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
    (('plot', '--workdir=no/such'), 'must hold a finished run or sweep'),
    (('evaluate', '--workdir=no/such'), 'holds no config.json'),
    (('train', 'configs/lacy/bios.py'), 'flags begin with --'),
    (
      (
        'evaluate',
        '--config=configs/lacy/cascade.py',
        '--config.cascade.runs=no/such',
        '--workdir=x',
      ),
      'or change --config.cascade.runs',
    ),
  )
  def test_bad_input_is_one_line_and_exit_2(self, arguments, message):
    self.check_refusal(command.here(*arguments), message)

  def test_bad_input_of_a_process(self):
    # What `here` leaves out adds no line: absl's start, another malloc.
    done = command.child('plot', '--workdir=no/such')
    self.check_refusal(done, 'must hold a finished run or sweep')

  def check_refusal(self, done, message):
    self.assertEqual(done.returncode, 2, done.stderr)
    self.assertIn(message, done.stderr)
    self.assertLen(done.stderr.strip().splitlines(), 1)
    self.assertNotIn('Traceback', done.stderr)

  def test_trains_evaluates_and_plots(self):
    with tempfile.TemporaryDirectory() as folder:
      done = command.child(
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
      again = command.child('evaluate', f'--workdir={folder}')
      self.assertEqual(again.returncode, 0, again.stderr)
      line = next(x for x in done.stdout.splitlines() if 'loss_fact' in x)
      self.assertIn(line, again.stdout)
      plotted = command.here('plot', f'--workdir={folder}')
      self.assertEqual(plotted.returncode, 0, plotted.stderr)
      for name in ('losses.png', 'delegation.png'):
        size = (pathlib.Path(folder) / 'figures' / name).stat().st_size
        self.assertGreater(size, 10_000)

  def test_dry_run_of_the_pod_config(self):
    done = command.child(
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
