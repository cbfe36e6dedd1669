"""Names of packages are loaded when they are used, and not before."""

import subprocess
import sys

from absl.testing import absltest

from engine import public
from tests import files


class NamesTest(absltest.TestCase):
  def test_names_come_from_their_modules(self):
    get, listed, every = public.names(
      'engine', {'progress': ('Progress',), 'metrics': ('Mean',)}
    )
    self.assertEqual(listed(), ['Mean', 'Progress'])
    self.assertEqual(every, ['Mean', 'Progress'])
    self.assertEqual(get('Mean').__module__, 'engine.metrics')
    with self.assertRaisesRegex(
      AttributeError, "'engine' has no attribute 'x'"
    ):
      get('x')

  def test_a_package_loads_nothing_until_then(self):
    code = (
      'import sys, calibration.semantic, lm.decoding\n'
      'assert "jax" not in sys.modules'
    )
    subprocess.run([sys.executable, '-c', code], check=True, cwd=files.ROOT)


if __name__ == '__main__':
  absltest.main()
