"""Tables of Markdown files from results files."""

import json
import pathlib
import tempfile

from absl.testing import absltest

from engine.report import tables
from tests import files

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


if __name__ == '__main__':
  absltest.main()
