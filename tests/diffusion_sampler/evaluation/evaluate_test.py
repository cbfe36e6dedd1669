"""Figures of samplers, and runs from end to end."""

import json
import pathlib
import tempfile

import jax
import numpy as np
from absl.testing import absltest

from configs.diffusion_sampler import policy_chain, puzzles
from diffusion_sampler.evaluation import evaluate
from diffusion_sampler.training import setup
from engine import checkpoint
from launch import setup as launch_setup
from launch import variants


class FiguresTest(absltest.TestCase):
  def test_means_and_the_hard_ones_apart(self):
    found = {
      'correct': np.array([True, False, True, False]),
      'nfe': np.array([1, 2, 3, 6]),
      # Left to right, right to left, at once, and one position alone.
      'order': np.array([[0, 1, 2], [2, 1, 0], [0, 0, 0], [0, -2, -3]]),
    }
    got = evaluate.scalars(found, np.array([1, 5, 5, 2]), 5)
    want = {'accuracy': 0.5, 'nfe': 3.0, 'hard': 0.5, 'rightwards': 0.0}
    for name, value in want.items():
      self.assertAlmostEqual(got[name], value)
    self.assertNotIn('hard', evaluate.scalars(found, np.arange(4), 0))

  def test_the_order_of_one_direction(self):
    found = {
      'correct': np.ones(2, bool),
      'nfe': np.ones(2),
      'order': np.array([[0, 1, 5], [0, 0, 0]]),
    }
    got = evaluate.scalars(found, np.ones(2), 0)['rightwards']
    self.assertAlmostEqual(got, np.corrcoef([0, 1, 2], [0, 1, 5])[0, 1])


def changed(config, **sections):
  """A smoke config as a dict, tiny, with sections updated."""
  c = config.unlock()
  c.data.puzzle = 'chain(symbols=6, answer=6, short=3)'
  c.data.batch_size = 4  # as many as devices
  c.data.test_records = 7
  c.sampling.batch = 4
  if 'model' in c:
    c.model.update(vocab_size=44, layers=1, width=8, heads=1, mlp_width=8)
  c.sampling.blocks = (2, 0)
  for name, fields in sections.items():
    if isinstance(fields, dict):
      c[name].update(fields)
    else:
      c[name] = fields
  return {k: v for k, v in c.to_dict().items() if k != 'sweep'}


class RunsTest(absltest.TestCase):
  def test_a_denoiser_its_rules_a_policy_and_that_policy_elsewhere(self):
    root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

    def run(cfg, name):
      return launch_setup.train(
        launch_setup.ask(cfg), root / name, progress=False
      )

    sure = {'rule': 'threshold', 'threshold': 2.0}
    made = run(
      changed(
        puzzles.get_config('denoiser_chain_smoke'),
        sampling={'samplers': (sure, {**sure, 'cache': 'dual'})},
      ),
      'denoiser',
    )
    self.assertGreater(made['nll_bound'], 0.0)
    # One at a time: as many passes as masks, until an end is certain.
    for name in ('threshold=2.0', 'threshold=2.0,cache=dual'):
      self.assertBetween(made[f'threshold({name})@6/nfe'], 1.0, 6.0)
    here = str(root / 'denoiser')
    made = run(
      changed(
        policy_chain.get_config('smoke'),
        denoiser=here,
        policy={'width': 4, 'mlp_width': 4, 'heads': 1, 'time_features': 2},
        grpo={'group': 2, 'experts': (0.9,), 'expert_block': 2},
        sampling={
          'samplers': (
            {'rule': 'policy'},
            {'rule': 'policy', 'fallback': False},
          ),
          'hard': 3,
        },
      ),
      'policy',
    )
    for block in (2, 6):
      for figure in ('accuracy', 'nfe', 'rightwards', 'hard'):
        self.assertIn(f'policy(fallback=0)@{block}/{figure}', made)
    # What the policy learned on is what was trained, to the bit.
    frozen, _ = checkpoint.restore_params(root / 'policy')
    before, _ = checkpoint.restore_params(root / 'denoiser')
    jax.tree.map(np.testing.assert_array_equal, frozen['denoiser'], before)
    config = json.loads((root / 'policy/config.json').read_text())
    self.assertEqual(config['grpo']['experts'], [0.9])
    # A config as version 0.1 stored it, with all that its sweeps had.
    cfg = changed(
      puzzles.get_config('heuristics_chain_smoke'),
      denoiser=here,
      policy_run=str(root / 'policy'),
    )
    old = cfg | {
      'experiment': 'diffusion_sampler.heuristics',
      'sampling': cfg['sampling']
      | {
        'samplers': 'threshold(threshold=2);policy;policy(blind=mask)',
        'blocks': '0',
        'hard': 0,
      },
      'model': {'layers': 1},
      'noise': {'form': 'rate'},
      'optim': {'peak_lr': 1.0},
      'grpo': {'experts': ''},
      'block': 0,
    }
    made = run(old, 'elsewhere')
    self.assertBetween(made['threshold(threshold=2)@6/nfe'], 1.0, 6.0)
    cfg['sampling'] |= {
      'samplers': (
        {'rule': 'threshold', 'threshold': 2},
        {'rule': 'policy'},
        {'rule': 'policy', 'blind': 'mask'},
      ),
      'blocks': (0,),
      'hard': 0,
    }
    # The same in today's form, seconds too: it is not run again.
    self.assertEqual(run(cfg, 'elsewhere'), made)
    with np.load(root / 'elsewhere/evals/test-final.npz') as file:
      self.assertEqual(file['correct'].shape, (3, 7))
      self.assertEqual(file['order'].shape, (3, 4, 6))
      mean = file['correct'][1].mean()
    self.assertAlmostEqual(made['policy@6/accuracy'], mean)

  def test_a_denoiser_that_is_not_there_names_the_key(self):
    cfg = changed(puzzles.get_config('heuristics_chain'), denoiser='/nowhere')
    with self.assertRaisesRegex(FileNotFoundError, 'config.denoiser'):
      launch_setup.train(
        launch_setup.ask(cfg), tempfile.mkdtemp(), progress=False
      )

  def test_a_model_of_another_vocabulary_is_refused(self):
    config = puzzles.get_config('denoiser_chain_smoke')
    cfg = changed(config, model={'vocab_size': 45})
    with self.assertRaisesRegex(ValueError, 'model.vocab_size=45 must be 44'):
      setup.model(cfg, setup.task(cfg))

  def test_every_variant_of_a_sweep_reads_all_that_its_config_has(self):
    names = ('policy_addition', 'policy_chains', 'policy_sudoku')
    configs = [puzzles.get_config(name) for name in names]
    for config in (policy_chain.get_config(), *configs):
      config = config.lock()
      made = config.sweep.variants.to_dict()
      folders = {name: f'runs/{name}-0' for name in made}
      for name, changes in made.items():
        with self.subTest(name):
          cfg = variants.variant(config, changes, folders)
          launch_setup.ask(cfg.to_dict())


if __name__ == '__main__':
  absltest.main()
