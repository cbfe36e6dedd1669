"""Notebooks parse, hold no outputs, and name what exists."""

import ast
import importlib
import json

from absl.testing import absltest

from tests import files

FOLDER = files.ROOT / 'colabs'


def code_of(path):
  """All code of a notebook; shell and magic lines left out."""
  cells = json.loads(path.read_text())['cells']
  lines = [
    line
    for cell in cells
    if cell['cell_type'] == 'code'
    for line in [*''.join(cell['source']).splitlines(), '']
  ]
  return '\n'.join(line for line in lines if line[:1] not in ('!', '%'))


class ColabTest(absltest.TestCase):
  def test_notebooks(self):
    paths = sorted(FOLDER.glob('*.ipynb'))
    self.assertNotEmpty(paths)
    for path in paths:
      with self.subTest(path.name):
        for cell in json.loads(path.read_text())['cells']:
          self.assertEqual(cell.get('outputs', []), [])
        tree = ast.parse(code_of(path))
        modules = {}
        for node in ast.walk(tree):
          if isinstance(node, ast.ImportFrom) and node.module != 'IPython':
            for alias in node.names:
              name = f'{node.module}.{alias.name}'
              modules[alias.name] = importlib.import_module(name)
        self.assertNotEmpty(modules)
        for node in ast.walk(tree):
          if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in modules
          ):
            self.assertTrue(
              hasattr(modules[node.value.id], node.attr), node.attr
            )


if __name__ == '__main__':
  absltest.main()
