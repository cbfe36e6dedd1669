"""Tables of Markdown files from results files."""

import json
import pathlib
import tempfile

from absl.testing import absltest

from engine.report import claims, tables
from tests import files

SUMMARIES = {
  'one': [{'error': 0.5, 'rule': 'x'}, {'error': 0.25, 'rule': 'x'}],
  'two:b': [{'error': 1.0, 'rule': 'y'}, {'error': 1.0, 'rule': 'y'}],
}
RESULTS = {
  'own/truth/ridge/own': [0.9, 0.8, 1.0],
  'own/truth/mixture/pooled': 0.5,
  'own/world/ridge/own': 0.1,
  'own/world/mixture/pooled': 0.2,
  'part/truth/ridge/own': 0.7,
  'part/truth/mixture/pooled': 0.6,
  'own/parameters': 3,
}


class TablesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.root = pathlib.Path(folder.name)
    (self.root / 'r.json').write_text(json.dumps({'results': RESULTS}))

  def test_rows_are_chosen_by_name(self):
    text = (
      'before\n<!-- table r.json ridge/own,mixture/pooled .*/truth -->\nold\n'
      '<!-- end table -->\nafter\n'
    )
    self.assertEqual(
      tables.fill(text, self.root),
      'before\n<!-- table r.json ridge/own,mixture/pooled .*/truth -->\n'
      '| | ridge/own | mixture/pooled |\n'
      '|---|---|---|\n'
      '| own/truth | 0.900 (0.800 to 1.000) | 0.500 |\n'
      '| part/truth | 0.700 | 0.600 |\n'
      '<!-- end table -->\nafter\n',
    )

  def test_every_row_where_none_are_chosen(self):
    text = '<!-- table r.json parameters -->\n<!-- end table -->'
    self.assertEqual(
      tables.fill(text, self.root),
      '<!-- table r.json parameters -->\n| | parameters |\n|---|---|\n'
      '| own | 3 |\n<!-- end table -->',
    )

  def test_the_pages_are_what_the_results_say(self):
    root = files.ROOT
    for path in (root / 'docs' / 'papers').glob('*.md'):
      text = path.read_text()
      self.assertEqual(tables.fill(text, root), text)


class TextTest(absltest.TestCase):
  def test_table_of_runs_lines_up(self):
    got = tables.of_runs((('error', 'fact error', '.2f'),), SUMMARIES)
    self.assertEqual(
      got.splitlines(),
      ['       fact error', 'one          0.38', 'two:b        1.00'],
    )

  def test_table_of_runs_to_the_left(self):
    columns = (('error', 'e', '.2f'), ('other', 'none', '.2f'))
    got = tables.of_runs(columns, SUMMARIES, right=False)
    self.assertEqual(
      got.splitlines(),
      ['       e     none', 'one    0.38  -', 'two:b  1.00  -'],
    )

  def test_words_stand_to_the_left(self):
    got = tables.text([('a', 'word', 'x'), ('long', 'b', 'y')])
    self.assertEqual(got.splitlines(), ['a     word  x', 'long  b     y'])


class ReadmeTest(absltest.TestCase):
  def test_blocks_are_made_from_results(self):
    with tempfile.TemporaryDirectory() as folder:
      root = pathlib.Path(folder)
      results = claims.flatten(SUMMARIES) | {'margin/x': [0.1, 0.0, 0.2]}
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
