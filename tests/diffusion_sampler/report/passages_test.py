"""How the order of writing is told of texts: words in lines."""

import json
import re

import numpy as np
from absl.testing import absltest

from diffusion_sampler.report import curves, passages, plots, written
from tests.diffusion_sampler.report import plots_support as support

# One record: a gap of three tokens, one of them never written, and what is
# behind it; the second sampler writes it all in one pass.
PIECES = [
  [[' a', ' red', '<mask>', ' house', '.\n']],
  [[' a', ' green', ' tree', ' house', '.\n']],
]
ORDER = [[[0, 1, written.UNWRITTEN, -1, -1]], [[0, 0, 0, -1, -1]]]


def write_words(folder, *, target=True, right=((1 / 3,), (2 / 3,))):
  names = ['threshold(threshold=0.9)@5', 'random@5']
  support.write_run(folder, dict.fromkeys(names, (2.0, 0.5)))
  config = json.loads((folder / 'config.json').read_text())
  config['data'] = dict(corpus='wiki', gap=3, after=2)
  (folder / 'config.json').write_text(json.dumps(config))
  arrays = dict(
    names=np.array(names),
    level=np.zeros(1, int),
    correct=np.array(right),
    passes=np.array([[2], [1]]),
    order=np.array(ORDER),
    answers=np.zeros((2, 1, 5), int),
    pieces=np.array(PIECES),
    prompt_pieces=np.array([['', 'This', ' is']]),
  )
  if target:
    arrays['target_pieces'] = np.array([[' a', ' green', ' big', ' hut', '.']])
  np.savez(folder / 'evals' / 'test-final.npz', **arrays)


class PassagesTest(support.PlotsTestCase):
  def rows(self, **kwargs):
    write_words(self.folder / 'run', **kwargs)
    seen = written.gather(curves.gather(self.folder / 'run'))
    return list(passages.rows(seen, 0))

  def test_a_gap_is_shown_between_what_was_given(self):
    before, text, first, second = self.rows()
    self.assertEqual(''.join(t.text for t in before.tokens), 'This is')
    self.assertEqual(''.join(t.text for t in text.tokens), 'a green big hut.')
    self.assertEqual(
      [(t.column, t.text, t.order) for t in first.tokens],
      [
        (0, 'a', 0),
        (1, ' red', 1),
        (5, ' _', written.UNWRITTEN),
        (7, ' house', -1),
        (13, '.↵', -1),
      ],
    )
    self.assertEqual(first.verdict, '2 passes, 33% the same')
    self.assertEqual(second.labels, ['random', '1 pass, 67% the same'])

  def test_an_answer_in_words_is_right_or_wrong(self):
    _, first, _ = self.rows(target=False, right=((True,), (False,)))
    self.assertEqual(first.verdict, '2 passes, right')

  def test_lines_are_broken_between_tokens(self):
    long = ' ' + 'x' * (passages.LINE - 2)
    made = passages.flow(['ab', long, ' b', ' ' + 2 * long], [0, 1, 2, 3])
    self.assertEqual([t.row for t in made], [0, 1, 1, 2])
    self.assertEqual([t.column for t in made], [0, 0, passages.LINE - 2, 0])
    self.assertEqual(made[1].text, long[1:])
    self.assertLen(made[3].text, passages.LINE)  # cut: no line is longer

  def test_what_lies_behind_the_end_is_not_shown(self):
    made = passages.flow(['a', 'b'], [0, written.BEHIND])
    self.assertLen(made, 1)

  def test_the_figure_colours_what_was_written(self):
    write_words(self.folder / 'run')
    seen = written.gather(curves.gather(self.folder / 'run'))
    axes = passages.figure(seen).axes[0]
    self.assertLen(axes.patches, 2 + 3)
    grey = [t.get_text() for t in axes.texts if t.get_color() == '0.5']
    self.assertEqual(grey[:2], ['This', ' is'])
    self.assertIn(' _', grey)
    self.assertNotIn(' red', grey)

  def test_draws_no_film_and_prints_the_pass_behind_each_token(self):
    write_words(self.folder / 'run')
    names = {path.name for path in plots.draw(self.folder / 'run')}
    self.assertIn('frames.png', names)
    self.assertNotIn('animation.gif', names)
    plain = plots.show(self.folder / 'run', colour=False)
    self.assertIn('  a₁ red₂ _ house.↵\n', plain)
    coloured = plots.show(self.folder / 'run', colour=True)
    self.assertEqual(re.sub(r'\033\[[\d;]*m', '', coloured), plain)
    self.assertLen(re.findall(r'48;5;(\d+)m', coloured), 5)


if __name__ == '__main__':
  absltest.main()
