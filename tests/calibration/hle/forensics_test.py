"""Published rows against bounds by hand, and the official error by a loop."""

import pathlib
import tempfile

import matplotlib.image
import numpy as np
from absl.testing import absltest, parameterized

from calibration.hle import forensics, metrics, standin
from configs.calibration import hle_forensics
from launch import setup


class ForensicsTest(parameterized.TestCase):
  @parameterized.parameters(0.03, 0.1)
  def test_official_error_by_a_loop(self, accuracy):
    c, a = forensics.replay(accuracy)
    for drop_last in (True, False):
      got = metrics.rms_calibration(c, a, drop_last=drop_last)
      want = forensics.loop(c, a, drop_last=drop_last)
      self.assertAlmostEqual(got, want, delta=1e-12)

  def test_bounds_by_hand(self):
    found = forensics.figures()
    self.assertEqual(found['bound/o1'], 85.0)
    self.assertAlmostEqual(found['bound/o3-mini-high (text)'], 82.6)
    self.assertEqual(found['reported/o4-mini-high'], 57.0)
    below = [k for k, v in found.items() if k.startswith('below/') and v]
    self.assertLen(below, 3)
    self.assertNotIn('below/o3-high', below)

  def test_all_bins_are_never_below_the_bound(self):
    for accuracy in (0.03, 0.1, 0.5):
      c, a = forensics.replay(accuracy)
      whole = metrics.rms_calibration(c, a, drop_last=False)
      self.assertGreaterEqual(whole, abs(c.mean() - a.mean()))
      self.assertLess(metrics.rms_calibration(c, a), whole)

  def test_figures(self):
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    asked = setup.ask(hle_forensics.get_config().to_dict())
    setup.train(asked, folder)
    from calibration.hle import plots

    for path in plots.draw(folder):
      self.assertGreater(matplotlib.image.imread(path).std(), 0)
    self.assertIn('below/o1: 1.0', plots.show(folder, colour=False))


class StandInTest(absltest.TestCase):
  def test_has_the_schema_and_every_source(self):
    exam = standin.exam(20, seed=1)
    self.assertLen(exam.items, 20)
    self.assertLen({item.id for item in exam.items}, 20)
    kinds = {item.category for item in exam.items}
    self.assertEqual(kinds, {'mmlu', 'nq_open', 'asdiv', 'reasoning'})
    for item in exam.items:
      if item.answer_type == 'multipleChoice':
        self.assertRegex(item.question, rf'(?m)^{item.answer}\. ')
    self.assertEqual(exam, standin.exam(20, seed=1))
    self.assertNotEqual(exam.digest, standin.exam(20, seed=2).digest)
    # None of it is taken for the exam.
    self.assertIn('not the exam', exam.release)
    self.assertEqual(exam.canary, '')

  def test_too_few(self):
    with self.assertRaisesRegex(ValueError, 'at least 4'):
      standin.exam(3)

  def test_answers_by_another_road(self):
    by_name = {i.subject: i for i in standin.exam(60).items if i.subject}
    numbers = [
      int(n)
      for n in by_name['gcd'].question.split(':')[1].split('.')[0].split(',')
    ]
    self.assertEqual(int(by_name['gcd'].answer), np.gcd.reduce(numbers))


if __name__ == '__main__':
  absltest.main()
