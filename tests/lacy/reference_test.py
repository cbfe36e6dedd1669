"""Losses of a reference model: of its weights, wherever they lie."""

import json
import os
import pathlib
import shutil
import tempfile
import types
from unittest import mock

import jax
import numpy as np
from absl.testing import absltest

from engine import checkpoint
from lacy import data, reference
from tests.lacy import evaluate_test

CORPUS = types.SimpleNamespace(
  config=data.DataConfig(corpus='made', context=6, batch_size=2, vocab_size=13),
  vocab_size=13,
  call_id=evaluate_test.CALL,
  fingerprint='made-0123',
  pieces=None,
)


class ReferenceTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    self.enter_context(
      mock.patch.dict(os.environ, {'SOCRATIC_DATA': str(root / 'data')})
    )
    self.cache = root / 'data' / 'reference'
    self.folder = root / 'run'
    self.arrays = evaluate_test.arrays()

  def train(self, scale, *, folder=None, finished=True):
    """Files of a reference run; `scale` tells its weights from others."""
    folder = folder or self.folder
    folder.mkdir()
    model = {
      name: getattr(evaluate_test.CONFIG, name)
      for name in ('vocab_size', 'layers', 'width', 'heads', 'mlp_width')
    }
    cfg = {
      'model': model,
      'data': {'corpus': 'made', 'context': 6},
      'run': {'steps': 3},
    }
    (folder / 'config.json').write_text(json.dumps(cfg))
    params = jax.tree.map(lambda x: scale * np.asarray(x), PARAMS)
    with checkpoint.Checkpoints(folder) as checkpoints:
      checkpoints.save(3, {'params': params}, {}, wait=True)
    if finished:
      summary = json.dumps({'steps': 3, 'parameters': 9})
      (folder / 'summary.json').write_text(summary)
    return params

  def losses(self, folder=None, corpus=CORPUS):
    return np.array(
      reference.losses(str(folder or self.folder), self.arrays, corpus)
    )

  def test_retrained_in_the_same_folder_it_has_its_own_losses(self):
    self.train(1)
    before = self.losses()
    shutil.rmtree(self.folder)
    params = self.train(3)
    after = self.losses()
    want = evaluate_test.evaluator().per_token(params, self.arrays)['loss']
    np.testing.assert_allclose(after[:, 1:], want, rtol=1e-6)
    self.assertGreater(np.abs(after - before).max(), 0.1)
    np.testing.assert_array_equal(after[:, 0], 0.0)

  def test_the_same_weights_elsewhere_are_not_run_again(self):
    self.train(1)
    want = self.losses()
    moved = self.folder.with_name('moved')
    shutil.move(self.folder, moved)
    with mock.patch.object(reference.evaluate, 'Evaluator') as evaluator:
      np.testing.assert_array_equal(self.losses(moved), want)
    evaluator.assert_not_called()
    self.assertLen(list(self.cache.iterdir()), 1)

  def test_other_records_or_another_call_are_run_anew(self):
    self.train(1)
    made = {'loss': np.ones((5, 6))}
    with mock.patch.object(
      reference.evaluate.Evaluator, 'per_token', return_value=made
    ):
      for fields in ({}, {'fingerprint': 'made-4567'}, {'call_id': 7}):
        corpus = types.SimpleNamespace(**(vars(CORPUS) | fields))
        self.losses(corpus=corpus)
    self.assertLen(list(self.cache.iterdir()), 3)

  def test_a_process_that_has_them_runs_with_one_that_has_not(self):
    self.train(1)
    want = self.losses()
    with (
      mock.patch.object(
        reference.multihost_utils,
        'process_allgather',
        lambda mine: np.stack([mine, np.bool_(False)]),
      ),
      mock.patch.object(
        reference.evaluate.Evaluator,
        'per_token',
        return_value={'loss': want[:, 1:]},
      ) as ran,
    ):
      np.testing.assert_array_equal(self.losses(), want)
    ran.assert_called_once()

  def test_a_run_that_died_is_no_reference(self):
    self.train(1, finished=False)
    with self.assertRaisesRegex(
      FileNotFoundError, 'config.lacy.reference'
    ) as caught:
      self.losses()
    self.assertIn('no summary.json', str(caught.exception))

  def test_another_corpus_is_refused(self):
    self.train(1)
    config = data.DataConfig(corpus='other', context=6)
    corpus = types.SimpleNamespace(**(vars(CORPUS) | {'config': config}))
    with self.assertRaisesRegex(ValueError, "data.corpus='made'"):
      self.losses(corpus=corpus)


PARAMS = evaluate_test.params()


if __name__ == '__main__':
  absltest.main()
