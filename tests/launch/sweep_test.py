"""Which runs a sweep makes, where, and in what order; none is trained."""

import json
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest
from ml_collections import ConfigDict

from configs import common
from engine import stop
from launch import setup, variants


def config():
  made = ConfigDict(
    {
      'experiment': 'lacy.experiment',
      'a': {'rule': 'x', 'reference': ''},
      'run': {'seed': 0},
      'sweep': {
        'variants': {},
        'seeds': (),
      },
    }
  )
  made.sweep = common.sweep(
    {
      'plain': {'a.rule': 'y'},
      'rho:low': {'a.rule': 'rho', 'a.reference': '{plain}'},
    },
    seeds=(3, 5),
  )
  return made.lock()


class SweepTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    made = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(made)
    self.runs = []

  def train(self, cfg, workdir):
    self.runs.append((pathlib.Path(workdir).name, cfg['run']['seed'], cfg['a']))
    return {'error': cfg['run']['seed'] / 10}

  def test_every_variant_at_every_seed(self):
    with (
      mock.patch.object(setup, 'ask', lambda cfg: cfg),
      mock.patch.object(setup, 'train', self.train),
    ):
      got = variants.sweep(config(), self.folder)
    plain = [str(self.folder / f'plain-{seed}') for seed in (3, 5)]
    self.assertEqual(
      self.runs,
      [
        ('plain-3', 3, {'rule': 'y', 'reference': ''}),
        ('rho-low-3', 3, {'rule': 'rho', 'reference': plain[0]}),
        ('plain-5', 5, {'rule': 'y', 'reference': ''}),
        ('rho-low-5', 5, {'rule': 'rho', 'reference': plain[1]}),
      ],
    )
    self.assertEqual(
      got,
      {
        'plain': [{'error': 0.3}, {'error': 0.5}],
        'rho:low': [{'error': 0.3}, {'error': 0.5}],
      },
    )
    self.assertEqual(
      json.loads((self.folder / 'sweep.json').read_text()),
      {
        'experiment': 'lacy.experiment',
        'variants': ['plain', 'rho:low'],
        'seeds': [3, 5],
      },
    )

  def test_a_variant_that_does_not_fit_is_refused_before_any_runs(self):
    made = config()
    with made.unlocked():
      made.sweep = common.sweep({'one': {}, 'two': {'a.rul': 'y'}}, seeds=(3,))
    with (
      mock.patch.object(setup, 'ask', lambda cfg: cfg),
      mock.patch.object(setup, 'train', self.train),
      self.assertRaisesRegex(ValueError, 'a.rul, which is no key'),
    ):
      variants.sweep(made, self.folder)
    self.assertEmpty(self.runs)

  def test_an_interrupted_run_ends_the_sweep_unfinished(self):
    def train(cfg, workdir):
      self.train(cfg, workdir)
      raise stop.Interrupted(7)

    with (
      mock.patch.object(setup, 'ask', lambda cfg: cfg),
      mock.patch.object(setup, 'train', train),
      self.assertRaises(SystemExit) as caught,
    ):
      variants.sweep(config(), self.folder)
    self.assertEqual(caught.exception.code, stop.STATUS)
    self.assertLen(self.runs, 1)
    self.assertFalse((self.folder / 'sweep.json').exists())


if __name__ == '__main__':
  absltest.main()
