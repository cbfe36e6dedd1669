"""Figures from files, and the marks in an article."""

import json
import pathlib
import tempfile

import matplotlib.image
import numpy as np
from absl.testing import absltest

from lacy import plots


def write_run(folder, *, seed=0):
  """Files of a finished run: one readable article of 70 words."""
  rng = np.random.default_rng(seed)
  (folder / 'evals').mkdir(parents=True)
  lines = [
    {'step': s, 'eval/validation/loss_fact': 9 - s, 'train/loss': 1.0}
    | {'eval/validation/loss_nonfact': 5 - s + 0.1 * seed}
    for s in (1, 2, 3)
  ]
  text = '\n'.join(json.dumps(line) for line in lines)
  (folder / 'metrics.jsonl').write_text(text)
  summary = {'fact_share_eval': 0.2, 'beta': 0.1, 'oracle_error': 0.0}
  (folder / 'summary.json').write_text(json.dumps(summary))
  (folder / 'config.json').write_text('{"experiment": "lacy.experiment"}')
  words = np.array([[f' w{i}' for i in range(1, 100)]] * 2)
  marks = {
    name: np.zeros((2, 99), bool) for name in ('fact', 'called', 'wrong')
  }
  marks['fact'][1, [0, 2, 4]] = True  # w1, w3, w5
  marks['called'][1, [0, 1]] = True  # w1, w2
  marks['wrong'][1, [2, 3]] = True  # w3, w4
  segments = np.zeros((2, 100), int)
  segments[0, :20], segments[1, :70] = 1, 1
  np.savez(
    folder / 'evals' / 'test-final.npz',
    curve_call_share=np.linspace(0, 0.5, 5),
    curve_facts_right=np.sort(rng.random(5)),
    article_pieces=words,
    article_segments=segments,
    **{f'article_{name}': mark for name, mark in marks.items()},
  )


class PlotsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    made = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(made)

  def test_a_sweep_is_drawn(self):
    for name in ('lacy-0', 'lacy-1', 'rho-low-0', 'rho-low-1'):
      write_run(self.folder / name, seed=int(name[-1]))
    sweep = {'variants': ['lacy', 'rho:low'], 'seeds': [0, 1]}
    (self.folder / 'sweep.json').write_text(json.dumps(sweep))
    losses, delegation, article = plots.draw(self.folder)
    for path in (losses, delegation):
      pixels = matplotlib.image.imread(path)
      self.assertGreater(pixels[..., :3].std(), 0.05)  # not blank
    self.assertIn('rho:low:', article.read_text())

  def test_marks_say_who_writes_what(self):
    write_run(self.folder)
    text = plots.article(self.folder, colour=False)
    want = 'run:\n[[w1]] [w2] {w3} w4 w5 w6'
    self.assertEqual(text[: len(want)], want)
    self.assertEqual(text[-4:], ' w68')  # neither <bos> nor <eos>
    self.assertIn('\033[42;30mw1\033[0m', plots.article(self.folder))

  def test_an_empty_folder_is_refused(self):
    with self.assertRaisesRegex(FileNotFoundError, 'finished run or sweep'):
      plots.draw(self.folder)


if __name__ == '__main__':
  absltest.main()
