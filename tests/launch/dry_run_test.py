"""What the paper's larger model would cost on a slice of eight."""

import os
import pathlib
import re
import subprocess
import sys

from absl.testing import absltest

ROOT = pathlib.Path(__file__).parents[2]


class DryRunTest(absltest.TestCase):
  def test_the_large_pod_config_at_full_size(self):
    done = subprocess.run(
      [
        sys.executable,
        '-m',
        'launch.train',
        '--config=configs/lacy/olmo_wiki_pod.py:1b',
        '--dry_run',
        '--devices=8',
      ],
      cwd=ROOT,
      env=os.environ | {'JAX_PLATFORMS': 'cpu'},
      capture_output=True,
      text=True,
      timeout=300,
    )
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertIn("mesh: {'data': 2, 'fsdp': 4, 'model': 1}", done.stdout)
    found = re.search(r'parameters: ([\d,]+)', done.stdout)
    size = int(found[1].replace(',', ''))
    self.assertAlmostEqual(size / 1.27e9, 1.0, delta=0.03)
    # Weights and two moments in float32, spread over the four of fsdp.
    found = re.search(r'state: ([\d.]+) GB a device', done.stdout)
    self.assertAlmostEqual(float(found[1]), 3 * 4 * size / 4 / 1e9, places=1)
    self.assertRegex(done.stdout, 'a device: .* arguments, .* temporaries')


if __name__ == '__main__':
  absltest.main()
