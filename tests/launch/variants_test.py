"""Variants of a config, tables and README blocks."""

import json
import pathlib
import tempfile

from absl.testing import absltest, parameterized
from ml_collections import ConfigDict

from engine.report import tables
from launch import variants
from tests import files

SUMMARIES = {
  'one': [{'error': 0.5, 'rule': 'x'}, {'error': 0.25, 'rule': 'x'}],
  'two:b': [{'error': 1.0, 'rule': 'y'}, {'error': 1.0, 'rule': 'y'}],
}


class VariantTest(parameterized.TestCase):
  def config(self):
    config = ConfigDict({'a': {'rule': 'x', 'n': 3, 'f': 0.5}, 'run': {'s': 0}})
    return config.lock()

  def test_changes_keys_in_their_type_and_fills_in_folders(self):
    config = self.config()
    got = variants.variant(
      config, 'a.rule=in/{one} a.n=7 a.f=2', {'one': 'runs/one-0'}
    )
    want = {'a': {'rule': 'in/runs/one-0', 'n': 7, 'f': 2.0}, 'run': {'s': 0}}
    self.assertEqual(got.to_dict(), want)
    self.assertEqual(config.a.n, 3)

  def test_an_unknown_key_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'a.rul, which is no key'):
      variants.variant(self.config(), 'a.rul=z', {})

  @parameterized.parameters(
    ([0.5, 0.25], [0.375, 0.25, 0.5]),
    ([2, 2], 2),
    (['x', 'x'], 'x'),
    (['x', 'y'], 'x, y'),
  )
  def test_spread(self, values, want):
    self.assertEqual(variants.spread(values), want)

  def test_flat_results(self):
    got = variants.flatten(SUMMARIES)
    self.assertEqual(got['one/error'], [0.375, 0.25, 0.5])
    self.assertEqual(got['two:b/rule'], 'y')

  def test_table_lines_up(self):
    got = variants.table((('error', 'fact error', '.2f'),), SUMMARIES)
    self.assertEqual(
      got.splitlines(),
      ['       fact error', 'one          0.38', 'two:b        1.00'],
    )

  @parameterized.parameters(
    ('configs/lacy/wiki.py', 'runs/lacy_wiki'),
    ('configs/lacy/wiki.py:demo', 'runs/lacy_wiki_demo'),
  )
  def test_default_workdir(self, config, want):
    self.assertEqual(str(variants.default_workdir(config)), want)


class ReadmeTest(absltest.TestCase):
  def test_blocks_are_made_from_results(self):
    with tempfile.TemporaryDirectory() as folder:
      root = pathlib.Path(folder)
      results = variants.flatten(SUMMARIES) | {'margin/x': [0.1, 0.0, 0.2]}
      (root / 'r.json').write_text(json.dumps({'results': results}))
      text = 'a\n<!-- table r.json error,rule -->\nold\n<!-- end table -->\nb'
      got = tables.fill(text, root)
    self.assertEqual(
      got.splitlines()[2:-2],
      [
        '| | error | rule |',
        '|---|---|---|',
        '| one | 0.375 (0.250 to 0.500) | x |',
        '| two:b | 1.000 | y |',
      ],
    )
    self.assertNotIn('old', got)

  def test_the_readme_agrees_with_the_results(self):
    root = files.ROOT
    text = (root / 'README.md').read_text()
    self.assertEqual(tables.fill(text, root), text)


if __name__ == '__main__':
  absltest.main()
