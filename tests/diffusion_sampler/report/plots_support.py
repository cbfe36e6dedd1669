"""Runs on disk as the figures find them; nothing in them is random."""

import json
import pathlib
import tempfile

import matplotlib.pyplot as plt
import numpy as np
from absl.testing import absltest

from corpora import puzzles

CHAIN = 'chain(symbols=5, answer=6, short=4, long_share=0)'
END = puzzles.parse(CHAIN).eos_id
MASK = END + 1
# Records of a chain. In the first position 1 was never written, and of the two
# that are wrong, 2 and 4, only 2 counts. The last is right, let us say, in
# another way.
ORDER = [[0, -2, 2, 1, 1, 0], [1, 0, 2, -3, -3, -3], [0, 4, 1, 2, 3, 0]]
_END3 = [END] * 3
ANSWER = [[4, MASK, 3, END, 2, END], [1, 0, END, *_END3], [2, 1, 0, *_END3]]
TARGET = [[4, 1, 0, *_END3], [1, 0, END, *_END3], [1, 2, 0, *_END3]]


def write_run(
  folder,
  figures,
  *,
  seed=0,
  denoiser='denoiser',
  puzzle=CHAIN,
  curves=None,
  records=2,
):
  """Files of a finished run; nothing here is random.

  `figures`: {'<sampler>@<block>': (passes, accuracy[, hard])}, to which
  seed / 100 is added. `curves`: {metric: values by round}.
  """
  (folder / 'evals').mkdir(parents=True)
  config = {
    'experiment': 'diffusion_sampler.evaluation.heuristics',
    'data': {'puzzle': puzzle},
    'run': {'seed': seed},
  }
  if denoiser:
    config['denoiser'] = str(folder.parent / f'{denoiser}-{seed}')
  (folder / 'config.json').write_text(json.dumps(config))
  summary = {'steps': 1}
  for name, values in figures.items():
    keys = ('nfe', 'accuracy', 'hard')
    for key, value in zip(keys, values, strict=False):
      summary[f'{name}/{key}'] = value + seed / 100
  (folder / 'summary.json').write_text(json.dumps(summary))
  lines = [{'step': 1, 'eval/test/accuracy': 0.5}]
  for key, values in (curves or {}).items():
    lines += [
      {'step': 20 * (i + 1), f'train/{key}': value + seed / 100}
      for i, value in enumerate(values)
    ]
  text = '\n'.join(map(json.dumps, lines))
  (folder / 'metrics.jsonl').write_text(text)
  count = len(figures)
  np.savez(
    folder / 'evals' / 'test-final.npz',
    names=np.array(list(figures)),
    level=np.array([3, 2, 4]),
    prompts=np.zeros((records, 6), int),
    targets=np.array(TARGET[:records]),
    correct=np.array([[False, True, True]] * count),
    passes=np.array([[3, 3, 5]] * count),
    order=np.array([ORDER[:records]] * count),
    answers=np.array([ANSWER[:records]] * count),
  )


def texts(axes) -> list[str]:
  return [text.get_text() for text in axes.texts if text.get_text()]


class PlotsTestCase(absltest.TestCase):
  def setUp(self):
    super().setUp()
    made = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(made)
    self.addCleanup(plt.close, 'all')

  def write_sweep(self, variants, seeds=(0,), **kwargs):
    """`variants`: {name: figures, or keywords of write_run}."""
    for name, what in variants.items():
      what = what if 'figures' in what else {'figures': what}
      for seed in seeds:
        folder = self.folder / f'{name.replace(":", "-")}-{seed}'
        write_run(folder, **kwargs | what, seed=seed)
    (self.folder / 'sweep.json').write_text(
      json.dumps({'variants': list(variants), 'seeds': list(seeds)})
    )
