"""Which numbers the figures show, and of which runs they are drawn."""

import json
import subprocess
import sys

import matplotlib.image
import numpy as np
from absl.testing import absltest

from diffusion_sampler.report import curves, plots
from tests.diffusion_sampler.report import plots_support as support

NAN = float('nan')


def drawn(axes) -> dict[str, np.ndarray]:
  """{label: [[x...], [y...]]} of the curves of a panel."""
  return {
    bars.get_label(): np.array(bars.lines[0].get_data())
    for bars in axes.containers
  }


class ParetoTest(support.PlotsTestCase):
  def panels(self, figure='accuracy'):
    return curves.panels(curves.gather(self.folder), figure)

  def test_a_family_is_a_curve_by_passes_in_the_panel_of_its_block(self):
    figures = {
      'threshold(threshold=0.9)@6': (4.0, 0.8),
      'threshold(threshold=0.5)@6': (2.0, 0.3),
      'threshold(threshold=0.7)@6': (3.0, 0.6),
      'top_k@6': (5.0, 0.9),
      'top_k(count=2, by=confidence)@6': (2.5, 0.7),
      'top_k(by=margin)@6': (5.0, 0.5),
      'random@3': (6.0, 0.2),
      'random(count=2)@3': (3.0, 0.1),
    }
    self.write_sweep({'heuristics': figures})
    short, full = plots.pareto(self.panels()).axes
    self.assertEqual(short.get_title(), 'blocks of 3')
    self.assertEqual(full.get_title(), 'full diffusion (block = whole answer)')
    self.assertEqual(full.get_xscale(), 'log')
    want = {
      'threshold': [[2, 3, 4], [0.3, 0.6, 0.8]],
      'top_k confidence': [[2.5, 5], [0.7, 0.9]],
      'top_k margin': [[5], [0.5]],
    }
    found = drawn(full)
    self.assertEqual(set(found), set(want))
    for name, points in want.items():
      np.testing.assert_allclose(found[name], points)
    np.testing.assert_allclose(drawn(short)['random'], [[3, 6], [0.1, 0.2]])

  def test_bars_reach_from_the_lowest_to_the_highest_seed(self):
    self.write_sweep(
      {'heuristics': {'random@6': (3.0, 0.5), 'random(count=2)@6': (2.0, 0.5)}},
      seeds=(0, 1, 5),  # 0, .01 and .05 are added
    )
    (axes,) = plots.pareto(self.panels()).axes
    np.testing.assert_allclose(drawn(axes)['random'][0], [2.02, 3.02])
    np.testing.assert_allclose(drawn(axes)['random'][1], [0.52, 0.52])
    across, up = axes.containers[0].lines[2]
    np.testing.assert_allclose(
      across.get_segments()[0], [[2.0, 0.52], [2.05, 0.52]]
    )
    np.testing.assert_allclose(
      up.get_segments()[1], [[3.02, 0.5], [3.02, 0.55]]
    )

  def test_policies_join_by_name_and_show_their_alphas(self):
    self.write_sweep(
      {
        'policy_a=1': {'policy@6': (3.0, 0.7)},
        'policy_a=0.5': {
          'policy@6': (4.0, 0.9),
          'policy(temperature=0.5)@6': (3.5, 0.8),
        },
        'policy b4_a=1': {'policy@6': (2.0, 0.4)},
        'steered_a=10': {'policy@6': (1.5, 0.3)},
        'blind': {'policy(blind=mask)@6': (5.0, 0.1)},
      }
    )
    figure = plots.pareto(self.panels())
    (axes,) = figure.axes
    found = {name: points.tolist() for name, points in drawn(axes).items()}
    self.assertEqual(
      found,
      {
        'policy': [[3.0, 4.0], [0.7, 0.9]],
        'policy, temperature=0.5': [[3.5], [0.8]],
        'policy b4': [[2.0], [0.4]],
        'steered': [[1.5], [0.3]],
        'blind, blind=mask': [[5.0], [0.1]],
      },
    )
    self.assertCountEqual(support.texts(axes), ['1', '0.5', '1', '10'])
    (legend,) = figure.legends
    self.assertEqual(
      [text.get_text() for text in legend.get_texts()],
      [
        'policy',
        'policy b4',
        'steered',
        'blind',
        'temperature=0.5',
        'blind=mask',
      ],
    )

  def test_those_to_find_first_have_colours_of_their_own(self):
    names = ['klass', 'policy', 'top_k margin', 'top_k entropy', 'random']
    names += ['dream', 'threshold', 'llada', 'factor', 'steered', 'policy b4']
    looks = plots.styles(names)
    leads = ['threshold', 'random', 'policy', 'policy b4', 'steered']
    self.assertEqual(list(looks)[:5], leads)
    for name, look in looks.items():
      same = [n for n in names if looks[n]['color'] == look['color']]
      if name in leads:
        word = name.split()[0]
        self.assertTrue(all(n.split()[0] == word for n in same))
    marks = {(v['color'], v['marker'], v['ls']) for v in looks.values()}
    self.assertLen(marks, len(names))

  def test_other_denoisers_and_puzzles_have_panels_of_their_own(self):
    rules = {'threshold@6': (3.0, 0.7), 'random@6': (2.0, 0.6)}
    self.write_sweep(
      {
        'transfer': dict(
          figures={'policy@6': (2.0, 0.8), 'threshold@6': (5.0, 0.9)},
          denoiser='wide',
        ),
        # The denoiser tests itself: that is the same world.
        'denoiser': dict(figures={'threshold@6': (3.3, 0.1)}, denoiser=None),
        'heuristics': rules,
        'policy_a=1': {'policy@6': (3.0, 0.7)},
        # One point alone says nothing.
        'wide': dict(figures={'random@2': (2.0, 0.8)}, denoiser=None),
      },
      seeds=(3, 4),
    )
    own, wide = plots.pareto(self.panels()).axes
    # The one with most variants first; the puzzle is everywhere the same.
    full = 'full diffusion (block = whole answer)\n'
    self.assertEqual(own.get_title(), f'{full}denoiser: denoiser')
    self.assertEqual(wide.get_title(), f'{full}denoiser: wide')
    self.assertEqual(set(drawn(own)), {'threshold', 'random', 'policy'})
    # From the first that measured it, the mean over two seeds.
    np.testing.assert_allclose(drawn(own)['threshold'], [[3.335], [0.135]])
    self.assertEqual(set(drawn(wide)), {'threshold', 'transfer'})

  def test_hard_records_are_drawn_where_there_are_any(self):
    figures = {
      'random@6': (3.0, 0.7, 0.4),
      'random(count=2)@6': (2.0, 0.6, 0.3),
      'llada(steps=2)@6': (2.0, 0.6, NAN),
      'dream(steps=2)@6': (2.0, 0.6),
    }
    self.write_sweep({'heuristics': figures})
    (axes,) = plots.pareto(self.panels('hard')).axes
    self.assertEqual(list(drawn(axes)), ['random'])
    np.testing.assert_allclose(drawn(axes)['random'], [[2, 3], [0.3, 0.4]])


class FilesTest(support.PlotsTestCase):
  def test_a_run_without_policies_has_no_training_curves(self):
    figures = {'random@6': (3.0, 0.7), 'left_to_right@6': (6.0, 0.8)}
    support.write_run(self.folder, figures, denoiser='elsewhere')
    paths = plots.draw(self.folder)
    self.assertEqual(
      [path.name for path in paths],
      ['pareto.png', 'frames.png', 'animation.gif'],
    )
    for path in paths[:2]:
      pixels = matplotlib.image.imread(path)
      self.assertGreater(pixels[..., :3].std(), 0.05)  # not blank

  def test_all_is_drawn_of_a_policy_run(self):
    learnt = {'reward': [0.1, 0.2], 'accuracy': [0.2, 0.4], 'nfe': [5.0, 3.0]}
    support.write_run(self.folder, {'policy@6': (3.0, 0.7, 0.2)}, curves=learnt)
    self.assertEqual(
      {path.name for path in plots.draw(self.folder)},
      {'pareto.png', 'hard.png', 'frames.png', 'animation.gif', 'training.png'},
    )
    (panel,) = curves.panels(curves.gather(self.folder))
    self.assertEqual([curve.family for curve in panel.curves], ['policy'])

  def test_the_front_has_the_main_curves_of_the_longest_blocks(self):
    rules = ('threshold', 'klass')
    figures = {f'{rule}@{b}': (b, 0.1 * b) for rule in rules for b in (3, 6)}
    self.write_sweep(
      {
        'heuristics': figures,
        'policy_a=1': {'policy@6': (4.0, 0.7), 'policy(scale=2)@6': (3.0, 0.6)},
        'dpls_a=1': {'policy@6': (5.0, 0.5)},
      }
    )
    self.assertIn('front.png', [p.name for p in plots.draw(self.folder)])
    panels = curves.panels(curves.gather(self.folder))
    whole, near = plots.front(panels).axes
    self.assertEqual(
      [text.get_text() for text in whole.get_legend().get_texts()],
      ['threshold', 'policy'],
    )
    drawn = [line.get_xydata().tolist() for line in whole.lines]
    self.assertIn([[6.0, 0.6]], [np.round(d, 6).tolist() for d in drawn])
    low, high = near.get_xlim()
    self.assertBetween(low, 3.5, 4)
    self.assertBetween(high, 4, 4.5)

  def test_without_frames_nothing_is_said_of_order(self):
    support.write_run(self.folder, {'random@6': (3.0, 0.7)}, records=0)
    self.assertEqual(
      [path.name for path in plots.draw(self.folder)], ['pareto.png']
    )
    self.assertIn('sampling.frames', plots.show(self.folder, colour=False))

  def test_questions_whose_words_were_not_kept_have_no_strips(self):
    folder = self.folder / 'run'
    support.write_run(folder, {'policy@4': (3, 0.5), 'policy@8': (2, 0.25)})
    config = json.loads((folder / 'config.json').read_text())
    config['data'] = {'questions': 'sums:8', 'answer': 8, 'eos_id': 5}
    (folder / 'config.json').write_text(json.dumps(config))
    path = folder / 'evals' / 'test-final.npz'
    with np.load(path) as file:
      kept = {k: file[k] for k in file if k not in ('targets', 'level')}
    np.savez(path, **kept)
    names = [path.name for path in plots.draw(folder)]
    self.assertEqual(names, ['pareto.png', 'front.png'])
    (short, whole) = curves.panels(curves.gather(folder))
    self.assertIn('4', short.title)
    self.assertIn('full diffusion', whole.title)

  def test_a_folder_without_results_is_refused(self):
    with self.assertRaisesRegex(FileNotFoundError, 'finished run or sweep'):
      plots.draw(self.folder)
    support.write_run(self.folder, {})
    with self.assertRaisesRegex(FileNotFoundError, 'measured samplers'):
      plots.draw(self.folder)

  def test_figures_need_no_jax(self):
    code = (
      'import sys, diffusion_sampler.report.plots\n'
      'assert "jax" not in sys.modules'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


class TrainingTest(support.PlotsTestCase):
  def test_a_row_a_family_and_the_range_over_seeds(self):
    def trained(nfe):
      curves = {'reward': [0.1, 0.2], 'accuracy': [0.5, 0.6], 'nfe': nfe}
      return dict(figures={'policy@6': (3.0, 0.7)}, curves=curves)

    self.write_sweep(
      {
        'heuristics': {'random@6': (2.0, 0.5)},
        'denoiser': dict(
          figures={'random@6': (2.0, 0.5)}, curves={'accuracy': [0.1]}
        ),
        'policy_a=10': trained([5.0, 2.0]),
        'policy_a=2': trained([5.0, 4.0]),
        'dpls_a=2': trained([6.0, 3.0]),
        'top5_a=2': trained([6.0, 3.5]),
      },
      seeds=(0, 2),
    )
    made = curves.learning(curves.gather(self.folder))
    self.assertLen(made, 4)  # neither heuristics nor the denoiser
    figure = plots.training(made)
    grid = np.reshape(figure.axes, (2, 3))
    nfe = {line.get_label(): line for line in grid[0, 2].lines}
    self.assertEqual(list(nfe), ['alpha 2', 'alpha 10'])  # as numbers
    np.testing.assert_allclose(
      np.array(nfe['alpha 10'].get_data()), [[20, 40], [5.01, 2.01]]
    )
    band = grid[0, 2].collections[1].get_paths()[0].vertices
    self.assertAlmostEqual(band[:, 1].min(), 2.0)
    self.assertAlmostEqual(band[:, 1].max(), 5.02)
    alone = [line.get_label() for line in grid[1, 0].lines]
    self.assertEqual(alone, ['dpls_a=2', 'top5_a=2'])


if __name__ == '__main__':
  absltest.main()
