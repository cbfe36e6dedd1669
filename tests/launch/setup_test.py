"""A config is checked whole before anything is opened."""

import os
from unittest import mock

from absl.testing import absltest, parameterized

from configs.lacy import bios, wiki
from configs.probes import worlds
from engine.runs import moved
from launch import setup


class CompileCacheTest(absltest.TestCase):
  def test_lies_beside_the_data_unless_the_environment_names_another(self):
    for named, want in (('/named', []), (None, ['/data/xla'])):
      asked = []

      def update(name, value, asked=asked):
        if name == 'jax_compilation_cache_dir':
          asked.append(value)

      config = mock.Mock(jax_compilation_cache_dir=named, update=update)
      with (
        mock.patch.object(setup.jax, 'config', config),
        mock.patch.dict(os.environ, {'SOCRATIC_DATA': '/data'}),
      ):
        setup.compile_cache()
      self.assertEqual(asked, want)


class AskTest(parameterized.TestCase):
  @parameterized.parameters(
    (('run', 'seeed'), 'run.seeed is not a key; did you mean seed'),
    (('mesh', 'dta'), 'mesh.dta is not a key; did you mean data'),
    (('world', 'wdith'), 'world.wdith is not a key; did you mean width'),
    (('judge',), 'probes.simulated never reads judge; remove it'),
    (('probe',), 'never reads probe; did you mean probes'),
    (('run', 'steps'), "run.steps must be int, got 'x'"),
    (('experiment',), 'experiment=x must be a module with build'),
  )
  def test_what_does_not_fit_is_one_sentence(self, key, message):
    cfg = worlds.get_config('smoke').to_dict()
    place = cfg
    for name in key[:-1]:
      place = place[name]
    place[key[-1]] = 'x'
    with self.assertRaisesRegex(ValueError, message):
      setup.ask(cfg)

  def test_a_missing_section_is_named(self):
    cfg = worlds.get_config('smoke').to_dict()
    del cfg['probes']
    with self.assertRaisesRegex(ValueError, 'the config needs probes'):
      setup.ask(cfg)

  def test_keys_of_two_dataclasses_in_one_section(self):
    cfg = bios.get_config('smoke').to_dict()
    cfg['lacy']['rul'] = cfg['lacy'].pop('rule')
    with self.assertRaisesRegex(
      ValueError, 'lacy.rul is not a key; did you me'
    ):
      setup.ask(cfg)

  def test_nothing_is_opened(self):
    cfg = wiki.get_config().to_dict()
    cfg['data']['corpus'] = 'jsonl:/no/such'
    asked = setup.ask(cfg)
    with self.assertRaises(FileNotFoundError):
      asked.experiment.open()

  def test_experiments_by_their_old_names(self):
    for old, new in moved.EXPERIMENTS.items():
      self.assertEqual(moved.modern({'experiment': old}), {'experiment': new})
    old = {'experiment': 'calibration.mechanism', 'probe': {}, 'start': ''}
    self.assertCountEqual(moved.modern(old), ['start', 'experiment'])
    # Under today's name the key stays, and is an error.
    new = moved.modern(old)['experiment']
    self.assertIn('probe', moved.modern(old | {'experiment': new}))
    same = {'experiment': 'lacy.experiment', 'a': 1}
    self.assertEqual(moved.modern(same), same)


if __name__ == '__main__':
  absltest.main()
