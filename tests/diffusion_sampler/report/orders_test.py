"""How the order of writing is told: cells, frames of a film, letters."""

import re

import numpy as np
from absl.testing import absltest
from PIL import Image

from diffusion_sampler.report import curves, plots, written
from diffusion_sampler.report import orders as strips
from tests.diffusion_sampler.report import plots_support as support


class StripsTest(support.PlotsTestCase):
  def strips(self):
    return written.gather(curves.gather(self.folder))

  def test_one_of_each_kind_at_the_longest_block(self):
    figures = {
      f'{name}@{block}': (3.0, 0.5)
      for block in (3, 6)
      for name in ('top_k', 'random', 'random(count=2)', 'klass', 'threshold')
    }
    self.write_sweep(
      {
        'semi_a=1': {'policy@3': (3.0, 0.5)},
        'heuristics': figures,
        'steered_a=2': dict(figures={'policy@6': (3.0, 0.5)}, records=1),
        'policy_a=1': {'policy@6': (3.0, 0.5)},
      }
    )
    made = self.strips()
    self.assertEqual(
      [strip.label for strip in made],
      ['klass', 'random', 'top_k', 'steered_a=2'],
    )
    # As many records as all of them have.
    self.assertEqual({strip.order.shape for strip in made}, {(1, 6)})

  def test_wrong_is_what_differs_up_to_the_end_in_answers_that_are_wrong(self):
    support.write_run(self.folder, {'random@6': (3.0, 0.5)}, records=3)
    (strip,) = self.strips()
    np.testing.assert_array_equal(strip.wrong[0], [0, 0, 1, 0, 0, 0])
    self.assertFalse(strip.wrong[1:].any())

  def test_cells_show_tokens_passes_and_what_is_not_there(self):
    support.write_run(self.folder, {'random@6': (3.0, 0.5)})
    axes = strips.frames(self.strips()).axes[0]
    self.assertEqual(axes.get_title(loc='left'), 'random')
    cells = [t for t in axes.texts if len(t.get_text()) == 1]
    where = {t.get_position(): t.get_text() for t in cells}
    self.assertEqual(
      where,
      {(0, 0): '4', (2, 0): '3', (3, 0): 'E', (4, 0): '2', (5, 0): 'E'}
      | {(0, 1): '1', (1, 1): '0', (2, 1): 'E'},
    )
    red = [t.get_position() for t in cells if t.get_color() != 'black']
    self.assertEqual(red, [(2, 0)])
    self.assertEqual(support.texts(axes)[-1], '3 passes, right')
    first, second = np.reshape(axes.patches, (2, 6))
    self.assertEqual(
      [bool(patch.get_hatch()) for patch in second], [False] * 3 + [True] * 3
    )
    shades = [sum(patch.get_facecolor()[:3]) for patch in first]
    self.assertEqual(shades[0], shades[5])
    self.assertGreater(shades[5], shades[3])
    self.assertEqual(shades[3], shades[4])
    self.assertGreater(shades[4], shades[2])  # later is darker
    (cross,) = axes.lines
    self.assertEqual((*cross.get_xdata(), *cross.get_ydata()), (1, 0))

  def test_the_film_has_a_frame_a_pass(self):
    names = ('random@6', 'threshold@6', 'left_to_right@6')
    support.write_run(self.folder, dict.fromkeys(names, (3.0, 0.5)))
    path = strips.animation(self.strips(), self.folder / 'a.gif')
    inked, seconds = [], []
    with Image.open(path) as film:
      self.assertEqual(film.n_frames, 3 + 1)
      for i in range(4):
        film.seek(i)
        pixels = np.asarray(film.convert('RGB'), int)
        inked.append((np.ptp(pixels, axis=-1) > 20).sum())
        seconds.append(film.info['duration'])
    self.assertGreater(seconds[-1], seconds[0])  # time to look at it
    # Coloured cells of the first record: 0, 2, 4, 5.
    share = np.array(inked[1:]) / inked[-1]
    self.assertLess(inked[0], 0.05 * inked[-1])
    np.testing.assert_allclose(share, [0.4, 0.8, 1.0], atol=0.1)

  def test_the_text_has_the_pass_above_each_token(self):
    self.write_sweep(
      {
        'heuristics': {'threshold@6': (3.0, 0.5), 'random@6': (3.0, 0.5)},
        'policy_a=1': {'policy@6': (3.0, 0.5)},
      }
    )
    text = plots.show(self.folder, colour=False)
    legend, first, second = text.split('\n\n')
    self.assertEqual(legend, strips.LEGEND)
    self.assertEqual(
      first.split('\n')[:5],
      [
        'record 1, level 3',
        'wanted   4  1  0  E  E  E',
        'threshold: 3 passes, wrong',
        'pass     1     3  2  2  1',
        'token    4  _ 3!  E  2  E',
      ],
    )
    self.assertEqual(
      second.split('\n')[-3:],
      [
        'policy_a=1: 3 passes, right',
        'pass    2 1 3      ',
        'token   1 0 E . . .',
      ],
    )

  def test_colours_say_the_pass_and_change_no_letter(self):
    support.write_run(self.folder, {'random@6': (3.0, 0.5)})
    plain = plots.show(self.folder, colour=False)
    coloured = plots.show(self.folder, colour=True)
    self.assertEqual(re.sub(r'\033\[[\d;]*m', '', coloured), plain)
    row = coloured.split('\ntoken')[1].split('\n')[0]
    backs = re.findall(r'48;5;(\d+)m', row)
    self.assertLen(backs, 5)  # none where nothing was written
    self.assertEqual(backs[0], backs[4])
    self.assertLen(set(backs), 3)
    self.assertEqual(row.count('\033[1;31m'), 1)


if __name__ == '__main__':
  absltest.main()
