"""Training as a scheduler runs it: stopped, resumed, refused."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from absl.testing import absltest

from configs.lacy import bios
from engine import checkpoint, stop
from launch import setup
from tests import files


class TrainTest(absltest.TestCase):
  def test_sigterm_saves_exits_75_and_another_config_is_refused(self):
    with tempfile.TemporaryDirectory() as folder:
      process = subprocess.Popen(
        [
          sys.executable,
          '-m',
          'launch.train',
          '--config=configs/lacy/bios.py:smoke',
          f'--workdir={folder}',
          '--config.run.steps=100000',
          '--config.run.eval_every=0',
          '--config.run.log_every=1',
        ],
        cwd=files.ROOT,
        env=os.environ | {'JAX_PLATFORMS': 'cpu'},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
      )
      try:
        metrics = pathlib.Path(folder) / 'metrics.jsonl'
        end = time.monotonic() + 200
        while not metrics.exists():
          self.assertIsNone(process.poll(), 'ended before it was stopped')
          self.assertLess(time.monotonic(), end, 'never trained')
          time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=60)
      finally:
        process.kill()
      self.assertEqual(process.returncode, stop.STATUS)
      last = json.loads(metrics.read_text().splitlines()[-1])
      self.assertEqual(json.loads(printed), {'interrupted': last['step']})
      self.assertTrue(checkpoint.exists(folder))
      cfg = bios.get_config('smoke').to_dict()
      cfg['run'] |= dict(steps=100000, eval_every=0, log_every=1)
      cfg['optim']['peak_lr'] = 0.5
      with self.assertRaisesRegex(
        ValueError, r'another config \(optim\.peak_lr was 0\.003, is 0\.5\)'
      ):
        setup.train(setup.ask(cfg), folder, progress=False)


if __name__ == '__main__':
  absltest.main()
