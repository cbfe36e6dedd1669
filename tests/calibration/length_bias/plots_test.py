"""Figures: what is drawn is what the results say, gaps included."""

import matplotlib.pyplot as plt
import numpy as np
from absl.testing import absltest

from calibration.estimators import names
from calibration.length_bias import colours, plots, world

RESULTS = {
  'alias/tokens/auroc': [0.5, 0.4, 0.6],
  'alias/se_raw/auroc': [0.7, 0.6, 0.8],
  'alias/ours/auroc': [0.9, 0.8, 1.0],
  'rougel_f1@0.3/tokens/auroc': [0.8, 0.7, 0.9],
  'rougel_f1@0.3/se_raw/auroc': [0.6, 0.5, 0.7],
  'rougel_f1@0.3/tokens/within': [0.5, 0.5, 0.5],
  'rougel_f1@0.3/few': 1,
  'judge/omitted': 'why',
  'omitted': 1,
  'sweep/rougel_f1@0.1': 0.4,
  'sweep/rougel_f1@0.05': 0.5,
  'sweep/ours@0.05': 0.1,
  'people/sweep/ours@0.05': 0.2,
}


class LengthPlotsTest(absltest.TestCase):
  def tearDown(self):
    super().tearDown()
    plt.close('all')

  def test_lengths_come_first_and_settings_in_the_order_of_the_table(self):
    self.assertEqual(plots.estimators(RESULTS), ['tokens', 'se_raw', 'ours'])
    self.assertEqual(plots.settings(RESULTS), ['rougel_f1@0.3', 'alias'])
    np.testing.assert_array_equal(
      plots.matrix(RESULTS, 'auroc'),
      [[0.8, 0.5], [0.6, 0.7], [np.nan, 0.9]],
    )

  def test_every_estimator_has_a_colour_of_its_own(self):
    self.assertEqual(set(colours.OF), set(names.NAMES))
    self.assertLen(set(colours.OF.values()), len(names.NAMES))

  def test_heat_map_shows_gaps_and_flags(self):
    figure = plots.heat(RESULTS)
    texts = [[t.get_text() for t in axis.texts] for axis in figure.axes[:2]]
    self.assertEqual(texts[0], ['.80*', '.50', '.60*', '.70', '–', '.90'])
    self.assertEqual(texts[1], ['.50*', '–', '–', '–', '–', '–'])
    labels = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    self.assertEqual(labels, ['ROUGE-L F1 > 0.3', 'alias containment'])

  def test_ranking_is_from_the_best(self):
    figure = plots.ranking(RESULTS, best=2)
    texts = [[t.get_text() for t in axis.texts] for axis in figure.axes]
    self.assertEqual(texts, [['.80', '.60', '.90', '.70'], ['.50']])

  def test_curves_are_in_the_order_of_thresholds(self):
    figure = plots.agreement(RESULTS)
    curves = {
      line.get_label(): np.array(line.get_xydata()).tolist()
      for line in figure.axes[0].lines[:2]
    }
    self.assertEqual(
      curves, {'ROUGE-L F1': [[0.05, 0.5], [0.1, 0.4]], 'ours': [[0.05, 0.1]]}
    )
    figure = plots.agreement(RESULTS, prefix='people/sweep/')
    self.assertEqual(figure.axes[0].lines[0].get_ydata()[0], 0.2)

  def test_scatter_leaves_out_what_has_no_label(self):
    lengths = np.arange(10)
    strong = np.array([0, 1] * 4 + [np.nan] * 2)
    figure = plots.scatter({'alias': strong / 2}, lengths, strong)
    wrong, correct = figure.axes[0].lines
    np.testing.assert_allclose(wrong.get_xdata(), [0, 2, 4, 6], atol=0.31)
    np.testing.assert_allclose(correct.get_ydata(), [0.5] * 4, atol=0.02)
    figure = plots.scatter({'alias': strong / 2}, lengths, strong, most=3)
    self.assertEqual(sum(len(x.get_xdata()) for x in figure.axes[0].lines), 3)

  def test_dial_shows_the_sweep(self):
    found = world.sweep(world.World(), (0.0, 1.0))
    figure = plots.dial(found, ['length', 'signal'])
    np.testing.assert_allclose(
      figure.axes[0].lines[0].get_ydata(), [0.5, 0.9375]
    )
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), [0.5, 0.5])


if __name__ == '__main__':
  absltest.main()
