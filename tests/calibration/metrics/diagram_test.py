"""The diagram's file is whole, and its figure shows what stands in it."""

import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from calibration.metrics import binned, diagram, reliability, smooth
from engine.report import figures
from tests.calibration.metrics import binned_test

arrays, world = binned_test.arrays, binned_test.world


def measured(**options):
  conf, correct = jax.device_put(arrays(*world(0, 120, 20)))
  return reliability.measure(
    'capitals', jax.random.key(0), conf, correct, **options
  )


class DiagramTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.found = measured(samples=20, split_gap=0.0125, draws=50)

  def folder(self):
    return pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory(prefix='diagram'))
    )

  def test_numbers_are_those_of_the_metrics(self):
    found = self.found
    conf, right = world(0, 120, 20)
    given = arrays(conf, right)
    error = smooth.smece(*given)
    self.assertAlmostEqual(float(found.smece[0]), float(error.value), places=6)
    self.assertAlmostEqual(found.width, float(error.width), places=6)
    whole = smooth.smece(*given, ends='whole').value
    self.assertAlmostEqual(found.smece_whole, float(whole), places=6)
    ece = binned.ece(binned.by_width(*given))
    self.assertAlmostEqual(found.ece, float(ece), places=6)
    self.assertAlmostEqual(found.gap, conf.mean() - right.mean(), places=6)
    self.assertAlmostEqual(found.confidence, conf.mean(), places=6)
    self.assertAlmostEqual(found.right, right.mean(), places=6)
    self.assertEqual((found.answers, found.samples), (120, 20))
    self.assertTrue((found.low <= found.high).all())
    self.assertTrue((found.null_low <= found.null_high).all())
    self.assertBetween(found.floor[0], found.floor[1], found.floor[2])
    self.assertAlmostEqual(found.density.mean(), 1.0, delta=0.02)

  def test_file_comes_back_as_it_was(self):
    path = self.folder() / 'deep' / 'd.npz'
    diagram.save(path, self.found)
    back = diagram.load(path)
    for name, want in self.found._asdict().items():
      np.testing.assert_array_equal(getattr(back, name), want)
    self.assertEqual([p.name for p in path.parent.iterdir()], ['d.npz'])
    self.assertIsInstance(back.answers, int)

  def test_another_file_is_refused(self):
    path = self.folder() / 'x.npz'
    np.savez(path, mesh=np.zeros(3), other=1)
    with self.assertRaisesRegex(ValueError, 'must hold the arrays.*accuracy'):
      diagram.load(path)

  def test_caption_says_what_a_reader_needs(self):
    given = self.found._replace(
      smece=np.array([0.1234, 0.1, 0.2]),
      smece_whole=0.1229,
      floor=np.array([0.04, 0.03, 0.0567]),
      gap=-0.05,
    )
    self.assertEqual(
      diagram.caption(given),
      'n = 120, M = 20, smECE 0.123 [0.100, 0.200], null floor 0.040 (to '
      '0.057), gap -0.050, split-half gap +0.013',
    )
    given = given._replace(samples=0, split_gap=float('nan'), smece_whole=0.15)
    self.assertEqual(
      diagram.caption(given),
      'n = 120, smECE 0.123 [0.100, 0.200], ends whole 0.150, null floor 0.040 '
      '(to 0.057), gap -0.050',
    )

  def test_figure_draws_the_curve_where_there_are_answers(self):
    density = np.where(self.found.mesh < 0.5, 0.0, 2.0)
    figure = diagram.figure(self.found._replace(density=density), 'a title')
    axes = figure.axes[0]
    curve = next(
      line for line in axes.lines if 'accuracy' in str(line.get_label())
    )
    x, y = curve.get_data()
    self.assertTrue(np.isnan(y[x < 0.49]).all())
    np.testing.assert_array_equal(y[x > 0.51], self.found.accuracy[x > 0.51])
    self.assertIn('n = 120', figure.get_supxlabel())
    path = self.folder() / 'd.png'
    self.assertGreater(figures.finish(figure, path).stat().st_size, 10_000)

  def test_bad_input_is_refused_by_name(self):
    with self.assertRaisesRegex(ValueError, "'capitals'.*got 1.5"):
      reliability.measure(
        'capitals', jax.random.key(0), jnp.array([1.5]), jnp.array([1])
      )


if __name__ == '__main__':
  absltest.main()
