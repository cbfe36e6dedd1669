"""Samplers of a config's mappings: rules, policies, caches, and their names."""

import dataclasses
import json

import jax
import jax.numpy as jnp
from absl.testing import absltest, parameterized

from diffusion_sampler.evaluation import evaluate, samplers
from diffusion_sampler.policy import actions, network
from diffusion_sampler.policy import rule as policy_rule
from diffusion_sampler.report import keys
from diffusion_sampler.sampling import rules
from engine.runs import moved
from tests import files
from tests.diffusion_sampler import support

CONFIG = network.PolicyConfig(
  width=8, mlp_width=8, heads=1, time_features=2, bias=-100.0
)


def trained(params=None):
  return policy_rule.PolicyRule(
    params=params, config=CONFIG, action=actions.ActionConfig()
  )


class SamplerTest(parameterized.TestCase):
  @parameterized.parameters(
    (dict(rule='left_to_right'), rules.LeftToRight(), 'left_to_right'),
    (
      dict(rule='top_k', by='margin', count=3),
      rules.TopK(count=3, by='margin'),
      'top_k(count=3,by=margin)',
    ),
    (
      dict(rule='threshold', threshold=2),
      rules.Threshold(threshold=2.0),
      'threshold(threshold=2)',
    ),
    (
      dict(rule='threshold', of='drawn', cache='none'),
      rules.Threshold(of='drawn'),
      'threshold(of=drawn)',
    ),
    (
      dict(rule='klass', steps=8, divergence=0.5, passes=1),
      rules.Klass(steps=8, divergence=0.5, passes=1),
      'klass(divergence=0.5,passes=1,steps=8)',
    ),
    (
      dict(rule='dream', steps=4, noise=1),
      rules.DreamSchedule(steps=4, noise=1.0),
      'dream(steps=4,noise=1)',
    ),
  )
  def test_a_rule_and_its_name(self, values, want, name):
    made = samplers.sampler(values)
    self.assertEqual(made.bound(None), want)
    self.assertEqual((made.name, made.cache), (name, 'none'))

  def test_a_cache_is_told_last(self):
    made = samplers.sampler({'cache': 'dual', 'rule': 'random', 'count': 2})
    self.assertEqual(made.rule, rules.Random(count=2))
    self.assertEqual(
      (made.name, made.cache), ('random(count=2,cache=dual)', 'dual')
    )
    self.assertEqual(keys.family(made.name), 'random dual')

  def test_a_policy_with_options(self):
    values = dict(
      rule='policy', temperature=0.5, scale=2, fallback=False, blind='time'
    )
    made = samplers.sampler(values)
    self.assertEqual(
      made.name, 'policy(temperature=0.5,scale=2,fallback=0,blind=time)'
    )
    rule = made.bound(trained())
    self.assertEqual((rule.temperature, rule.scale), (0.5, 2.0))
    self.assertFalse(rule.fallback)
    self.assertTrue(rule.config.see_mask)
    self.assertFalse(rule.config.see_time)
    plain = samplers.sampler({'rule': 'policy'}).bound(trained())
    self.assertTrue(plain.fallback)
    self.assertEqual(plain.config, CONFIG)

  @parameterized.parameters(
    (dict(rule='best'), "rule must be one of random, .*, policy, got 'best'"),
    (dict(count=2), 'rule must be one of .* got None'),
    (
      dict(rule='top_k', size=3),
      'top_k.size is not a key; known are count, by',
    ),
    (dict(rule='top_k', count=0), 'rule.count must be at least 1, got 0'),
    (dict(rule='random', count=0), 'rule.count must be at least 1, got 0'),
    (dict(rule='left_to_right', count=0), 'rule.count must be at least 1'),
    (dict(rule='top_k', by='luck'), "rule.by must be one of .*, got 'luck'"),
    (dict(rule='threshold', of='x'), 'rule.of must be one of best, drawn'),
    (dict(rule='factor', of='x'), 'rule.of must be one of best, drawn'),
    (dict(rule='entropy_bounded', by='x'), 'rule.by must be one of'),
    (dict(rule='llada', steps=0), 'rule.steps must be at least 1, got 0'),
    (dict(rule='llada', steps=2, by='x'), 'rule.by must be one of'),
    (dict(rule='dream', steps=2, noise=-1), 'rule.noise must be at least 0'),
    (dict(rule='ancestral', steps=-1), 'rule.steps must be at least 1, got -1'),
    (dict(rule='klass', passes=0), 'rule.passes must be at least 1, got 0'),
    (dict(rule='llada'), 'llada needs steps'),
    (dict(rule='dream', by='margin'), 'dream needs steps'),
    (dict(rule='ancestral'), 'ancestral needs steps'),
    (dict(rule='random', cache='triple'), 'one of none, prefix, dual, got'),
    (dict(rule='policy', blind='all'), 'blind of policy must be mask or time'),
    (dict(rule='policy', speed=2), 'policy.speed is not a key'),
    (dict(rule='policy', scale='x'), "policy.scale must be float, got 'x'"),
    (dict(rule='policy', fallback=0), 'policy.fallback must be bool, got 0'),
  )
  def test_refuses(self, values, message):
    with self.assertRaisesRegex(ValueError, f'sampling.samplers|{message}'):
      samplers.sampler(values)
    with self.assertRaisesRegex(ValueError, message):
      evaluate.SamplingConfig(samplers=(values,))

  def test_a_policy_that_is_not_there_names_the_key(self):
    with self.assertRaisesRegex(ValueError, 'config.policy_run'):
      samplers.sampler({'rule': 'policy'}).bound(None)

  @parameterized.parameters('2', 2.0, -1, True)
  def test_a_block_is_a_length(self, block):
    with self.assertRaisesRegex(ValueError, 'sampling.blocks must be lengths'):
      evaluate.SamplingConfig(blocks=(block,))

  def test_the_fallback_writes_where_the_policy_is_silent(self):
    net = network.Policy(CONFIG)
    params = jax.jit(net.init)(
      jax.random.key(0),
      jnp.zeros((1, 3, 1)),
      jnp.zeros((1, 3), bool),
      jnp.zeros(1),
    )['params']
    stats = support.stats_of([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]])
    for on, count in ((True, 1), (False, 0)):
      rule = dataclasses.replace(trained(params), fallback=on)
      self.assertEqual(support.act(rule, stats, [True] * 3).sum(), count)


class OldTextTest(parameterized.TestCase):
  """Configs of version 0.1 had texts; their figures keep their keys."""

  def test_a_config_with_texts(self):
    old = {
      'experiment': 'diffusion_sampler.train_policy',
      'policy_run': '',
      'grpo': {'experts': '0.9;2', 'group': 8},
      'sampling': {
        'samplers': 'policy; policy(fallback=0);top_k(count=2,by=margin)',
        'blocks': '2;0',
        'hard': 9,
      },
    }
    new = {
      'experiment': 'diffusion_sampler.training.puzzle_policy',
      'grpo': {'experts': (0.9, 2.0), 'group': 8},
      'sampling': {
        'samplers': (
          {'rule': 'policy'},
          {'rule': 'policy', 'fallback': False},
          {'rule': 'top_k', 'count': 2, 'by': 'margin'},
        ),
        'blocks': (2, 0),
        'hard': 9,
      },
    }
    self.assertEqual(moved.modern(old), new)
    self.assertEqual(moved.modern(new), new)
    old['grpo']['experts'] = ''
    self.assertEqual(moved.modern(old)['grpo']['experts'], ())

  def test_every_key_of_the_results_is_still_written(self):
    seen = set()
    for path in (files.ROOT / 'docs' / 'results').glob('diffusion_*.json'):
      for key in json.loads(path.read_text())['results']:
        told = keys.parse(key.partition('/')[2])
        if told:
          seen.add(told.sampler)
          self.assertEqual(f'{key.partition("/")[0]}/{told}', key)
    self.assertGreater(len(seen), 40)
    for text in seen:
      made = moved.modern({'sampling': {'samplers': text}})['sampling']
      [values] = made['samplers']
      self.assertEqual(samplers.sampler(values).name, text)


class FamilyTest(parameterized.TestCase):
  @parameterized.parameters(
    ('top_k(count=2,by=margin)', 'top_k margin'),
    ('threshold(threshold=0.9)', 'threshold'),
    ('threshold(threshold=0.9,of=drawn,cache=dual)', 'threshold drawn dual'),
    ('policy', 'policy'),
  )
  def test_a_family_is_a_rule_what_it_reads_and_its_cache(self, sampler, want):
    self.assertEqual(keys.family(sampler), want)

  @parameterized.parameters(
    'accuracy', 'policy/accuracy', 'a@b/accuracy', 'a@2'
  )
  def test_other_keys_are_none_of_a_sampler(self, key):
    self.assertIsNone(keys.parse(key))


if __name__ == '__main__':
  absltest.main()
