"""Samplers of their texts, their figures, and runs from end to end."""

import dataclasses
import json
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from configs.diffusion_sampler import (
  denoiser_chain,
  heuristics_chain,
  policy_chain,
)
from diffusion_sampler.evaluation import evaluate
from diffusion_sampler.policy import actions, network
from diffusion_sampler.policy import rule as policy_rule
from diffusion_sampler.sampling import rules
from diffusion_sampler.training import setup
from engine import checkpoint
from launch import setup as launch_setup
from tests.diffusion_sampler import support

CONFIG = network.PolicyConfig(
  width=8, mlp_width=8, heads=1, time_features=2, bias=-100.0
)


def trained(config=CONFIG):
  """A policy that draws next to nothing."""
  params = network.Policy(config).init(
    jax.random.key(0),
    jnp.zeros((1, 2, 1)),
    jnp.zeros((1, 2), bool),
    jnp.zeros(1),
  )['params']
  return policy_rule.PolicyRule(
    params=params, config=config, action=actions.ActionConfig()
  )


class SamplerTest(parameterized.TestCase):
  def test_a_rule(self):
    got = evaluate.parse('top_k(count=2)', None)
    self.assertEqual(got, rules.TopK(count=2))

  def test_a_policy_with_options(self):
    made = evaluate.parse(
      'policy(temperature=0.5, scale=2, fallback=0, blind=time)', trained()
    )
    self.assertEqual((made.temperature, made.scale), (0.5, 2.0))
    self.assertFalse(made.fallback)
    self.assertTrue(made.config.see_mask)
    self.assertFalse(made.config.see_time)
    plain = evaluate.parse('policy', trained())
    self.assertTrue(plain.fallback)
    self.assertEqual(plain.config, CONFIG)

  @parameterized.parameters(
    ('policy(blind=all)', 'blind of policy must be mask or time'),
    ('policy(speed=2)', 'policy has temperature, scale, fallback, blind'),
    ('policy(scale=x)', 'scale of policy must be float'),
  )
  def test_refuses(self, text, message):
    with self.assertRaisesRegex(ValueError, message):
      evaluate.parse(text, trained())

  def test_a_policy_that_is_not_there_names_the_key(self):
    with self.assertRaisesRegex(ValueError, 'config.policy_run'):
      evaluate.parse('policy', None)

  def test_texts_with_semicolons_are_lists(self):
    made = evaluate.SamplingConfig(samplers='random; policy', blocks='4;0')
    self.assertEqual(made.samplers, ('random', 'policy'))
    self.assertEqual(made.blocks, (4, 0))

  @parameterized.parameters((True, 1), (False, 0))
  def test_the_fallback_writes_where_the_policy_is_silent(self, on, count):
    rule = dataclasses.replace(trained(), fallback=on)
    stats = support.stats_of([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]])
    everything = jnp.ones((1, 3), bool)
    block = rules.Block(
      inside=everything,
      passes=jnp.zeros(1, jnp.int32),
      begun=jnp.full(1, 3),
      nfe=jnp.zeros(1, jnp.int32),
    )
    action = rule(
      stats, everything, block, jax.random.split(jax.random.key(1), 1)
    )
    self.assertEqual(int(action.sum()), count)


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


def changed(module, **sections):
  """A smoke config as a dict, tiny, with sections updated."""
  c = module.get_config('smoke')
  c.data.puzzle = 'chain(symbols=6, answer=6, short=3)'
  c.data.batch_size = 4  # as many as devices
  c.data.test_records = 7
  c.sampling.batch = 4
  c.model.update(vocab_size=44, layers=1, width=8, heads=1, mlp_width=8)
  c.sampling.blocks = '2;0'
  for name, fields in sections.items():
    if isinstance(fields, dict):
      c[name].update(fields)
    else:
      c[name] = fields
  return {k: v for k, v in c.to_dict().items() if k != 'sweep'}


class RunsTest(absltest.TestCase):
  def test_a_denoiser_its_rules_a_policy_and_that_policy_elsewhere(self):
    root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

    def run(module, name, **sections):
      return launch_setup.train(
        changed(module, **sections), root / name, progress=False
      )

    made = run(denoiser_chain, 'denoiser')
    self.assertGreater(made['nll_bound'], 0.0)
    here = str(root / 'denoiser')
    grpo = {'group': 2, 'experts': '0.9', 'expert_block': 2}
    small = {'width': 4, 'mlp_width': 4, 'heads': 1, 'time_features': 2}
    made = run(
      policy_chain,
      'policy',
      denoiser=here,
      policy=small,
      grpo=grpo,
      sampling={'samplers': 'policy;policy(fallback=0)', 'hard': 3},
    )
    for block in (2, 6):
      for figure in ('accuracy', 'nfe', 'rightwards', 'hard'):
        self.assertIn(f'policy(fallback=0)@{block}/{figure}', made)
    # What the policy learned on is what was trained, to the bit.
    frozen, _ = checkpoint.restore_params(root / 'policy')
    before, _ = checkpoint.restore_params(root / 'denoiser')
    jax.tree.map(np.testing.assert_array_equal, frozen['denoiser'], before)
    made = run(
      heuristics_chain,
      'elsewhere',
      denoiser=here,
      policy_run=str(root / 'policy'),
      sampling={
        'samplers': 'threshold(threshold=2);policy;policy(blind=mask)',
        'blocks': '0',
        'hard': 0,
      },
    )
    # One at a time: as many passes as masks, until an end is certain.
    self.assertBetween(made['threshold(threshold=2)@6/nfe'], 1.0, 6.0)
    again = run(
      heuristics_chain,
      'elsewhere',
      denoiser=here,
      policy_run=str(root / 'policy'),
      sampling={
        'samplers': 'threshold(threshold=2);policy;policy(blind=mask)',
        'blocks': '0',
        'hard': 0,
      },
    )
    self.assertEqual(again, made)  # seconds too: it was not run again
    with np.load(root / 'elsewhere/evals/test-final.npz') as file:
      self.assertEqual(file['correct'].shape, (3, 7))
      self.assertEqual(file['order'].shape, (3, 4, 6))
      mean = file['correct'][1].mean()
    self.assertAlmostEqual(made['policy@6/accuracy'], mean)
    config = json.loads((root / 'policy/config.json').read_text())
    self.assertEqual(config['grpo']['experts'], '0.9')

  def test_a_denoiser_that_is_not_there_names_the_key(self):
    cfg = changed(heuristics_chain, denoiser='/nowhere')
    with self.assertRaisesRegex(FileNotFoundError, 'config.denoiser'):
      launch_setup.train(
        launch_setup.ask(cfg), tempfile.mkdtemp(), progress=False
      )

  def test_a_model_of_another_vocabulary_is_refused(self):
    cfg = changed(denoiser_chain, model={'vocab_size': 45})
    with self.assertRaisesRegex(ValueError, 'model.vocab_size=45 must be 44'):
      setup.model(cfg, setup.task(cfg))


if __name__ == '__main__':
  absltest.main()
