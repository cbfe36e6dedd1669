"""What the paper's larger model would cost on a slice of eight."""

import re

from absl.testing import absltest

from tests.launch import command


class DryRunTest(absltest.TestCase):
  def report(self, *flags):
    done = command.child('train', '--dry_run', *flags)
    self.assertEqual(done.returncode, 0, done.stderr)
    return done.stdout

  def test_the_large_pod_config_at_full_size(self):
    out = self.report(
      '--config=configs/lacy/olmo_wiki_pod.py:1b', '--devices=8'
    )
    self.assertIn("mesh: {'data': 2, 'fsdp': 4, 'model': 1}", out)
    found = re.search(r'parameters: ([\d,]+)', out)
    size = int(found[1].replace(',', ''))
    self.assertAlmostEqual(size / 1.27e9, 1.0, delta=0.03)
    # Weights and two moments in float32, spread over the four of fsdp.
    found = re.search(r'state: ([\d.]+) GB a device', out)
    self.assertAlmostEqual(float(found[1]), 3 * 4 * size / 4 / 1e9, places=1)
    self.assertRegex(out, 'a device: .* arguments, .* temporaries')

  def test_a_model_that_is_only_read(self):
    out = self.report('--config=configs/probes/eight_b_pod.py')
    size = int(re.search(r'parameters: ([\d,]+)', out)[1].replace(',', ''))
    # As the model's own card has it.
    self.assertEqual(size, 8_030_261_248)
    held = float(re.search(r'on disk: ([\d.]+) GB', out)[1])
    found = re.search(r'answers: ([\d,]+) of .* tasks, 64 sites', out)
    answers = int(found[1].replace(',', ''))
    self.assertAlmostEqual(held, answers * 64 * 4096 * 2 / 1e9, delta=0.01)

  def test_models_that_are_asked(self):
    for config, sets, styles, samples, limits in (
      # GSM8K, TriviaQA and SimpleQA in three styles; four sets in sentences.
      ('semantic_pod', 3, 3, 50, 12 + 40 + 400),
      ('length_bias_pod', 4, 1, 10, 50),
    ):
      with self.subTest(config):
        out = self.report(f'--config=configs/calibration/{config}.py')
        size = int(re.search(r'parameters: ([\d,]+)', out)[1].replace(',', ''))
        # Qwen2.5 7B, as the model's own card has it: 7.61 billion.
        self.assertAlmostEqual(size / 7.61e9, 1, delta=0.002)
        # Half precision, whole on each device.
        state = float(re.search(r'state: ([\d.]+) GB a device', out)[1])
        self.assertAlmostEqual(state, 2 * size / 1e9, delta=0.01)
        wanted = f'samples: {1000 * samples:,} in each of {sets * styles} cells'
        self.assertIn(wanted, out)
        tokens = sets * 1000 * samples * limits
        disk = float(re.search(r'on disk: about ([\d.]+) GB', out)[1])
        # An id and a log-probability of four bytes each.
        self.assertAlmostEqual(disk / (8 * tokens / 1e9), 1, delta=0.01)
        found = re.search(r'tokens: ([\d,]+) at most', out)
        self.assertEqual(int(found[1].replace(',', '')), tokens)
        found = re.search(r'FLOPs of the run: (\S+) ([PE])FLOP', out)
        flops = float(found[1]) * {'P': 1e15, 'E': 1e18}[found[2]]
        self.assertAlmostEqual(flops / (2 * size * tokens), 1, delta=0.1)
        # On a chip of 197 TFLOP/s that reaches .4 of it.
        found = re.search(r'chip-hours: (\S+) on v5e at 40%', out)
        hours = flops / (0.4 * 197e12) / 3600
        self.assertAlmostEqual(float(found[1]) / hours, 1, delta=0.01)


if __name__ == '__main__':
  absltest.main()
