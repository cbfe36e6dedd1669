"""Seeds of other machines join those of this one, or are refused by name."""

import json
import pathlib
import tempfile

from absl.testing import absltest, parameterized
from ml_collections import ConfigDict

from configs import common
from configs.probes import worlds
from engine.report import claims
from engine.runs import results
from launch import elsewhere
from tests import files


def config(*seeds, rule='x') -> ConfigDict:
  made = ConfigDict(
    {
      'a': {'rule': rule},
      'run': {'seed': 0},
      'sweep': common.sweep({'one': {}, 'two:b': {'a.rule': 'y'}}, seeds),
    }
  )
  return made.lock()


def summaries(*seeds):
  """As a sweep over these seeds gives them."""
  return {
    name: [
      {'error': seed / 7 + more, 'k@4/nfe': seed, 'rule': name, 'steps': 3}
      for seed in seeds
    ]
    for name, more in (('one', 0.0), ('two:b', 1e-9))
  }


class ElsewhereTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    made = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(made)

  def write(self, *seeds, **changes):
    path = self.folder / f'{seeds}.json'
    results.write(
      path,
      claims.flatten(summaries(*seeds)) | {'margin/x': [1.0, 1.0, 1.0]},
      command='c',
      seconds=1,
      seeds=seeds,
      config=elsewhere.digest(config(*seeds, **changes)),
    )
    return path

  def test_joined_is_what_one_machine_would_have_given(self):
    here = config(3)
    others = elsewhere.read([self.write(7), self.write(1)], here)
    got, seeds = elsewhere.join(summaries(3), here.sweep.seeds, others)
    self.assertEqual(seeds, [1, 3, 7])
    self.assertEqual(got, summaries(1, 3, 7))

  def test_all_may_have_run_elsewhere(self):
    others = elsewhere.read([self.write(2), self.write(0)], config())
    got, seeds = elsewhere.join({}, (), others)
    self.assertEqual((got, seeds), (summaries(0, 2), [0, 2]))

  def test_what_does_not_fit_is_named(self):
    several, other = self.write(1, 2), self.write(5, rule='z')
    old = self.folder / 'old.json'
    made = json.loads(self.write(4).read_text())
    del made['config']
    old.write_text(json.dumps(made))
    for paths, message in (
      ([several], r'must be of one seed, has \[1, 2\]'),
      ([other], 'must be of this config'),
      ([old], 'got none; give the same --config'),
      ([self.write(3)], 'seed 3 of .* is there twice'),
      ([self.write(8), self.write(8)], 'seed 8 of .* is there twice'),
    ):
      with self.assertRaisesRegex(ValueError, message):
        elsewhere.read(paths, config(3))
    with self.assertRaises(FileNotFoundError):
      elsewhere.read([self.folder / 'none.json'], config(3))

  def test_a_file_of_an_earlier_release_is_known_by_its_config(self):
    old = json.loads((files.FIXTURES / 'worlds.json').read_text())
    here = worlds.get_config('smoke').lock()
    with here.unlocked():
      here.sweep.seeds = (7,)
    path = files.FIXTURES / 'worlds.json'
    others = elsewhere.read([path], here)
    ridge = others[0]['own']['truth/ridge/own']
    self.assertEqual(ridge, old['results']['own/truth/ridge/own'])
    with here.unlocked():
      here.world.width = 33
    with self.assertRaisesRegex(ValueError, 'must be of this config'):
      elsewhere.read([path], here)


if __name__ == '__main__':
  absltest.main()
