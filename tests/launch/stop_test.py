"""Long work of every area stops between two items when it is asked to."""

import os
import pathlib
import signal
import tempfile
import types
from unittest import mock

import numpy as np
from absl.testing import absltest

from calibration.recording import log
from calibration.recording import record as generations
from diffusion_sampler.evaluation import evaluate as sampler_evaluate
from engine import stop
from lacy import evaluate as lacy_evaluate
from lacy.cascade import decode, writing
from lacy.facts import annotate
from lm import tokenizer as tokenizer_lib
from lm.decoding import scoring
from lm.judging import local
from probes.recording import record as activations
from probes.recording import store


class Items(list):
  """Collects items; asks this process to stop when it has `count`."""

  def __init__(self, count: int):
    super().__init__()
    self.count = count

  def append(self, item):
    super().append(item)
    if len(self) == self.count:
      os.kill(os.getpid(), signal.SIGTERM)


class StopTest(absltest.TestCase):
  def test_annotation_stops_between_parts_and_goes_on_there(self):
    texts = ['Marie Curie was born in Warsaw in 1867.'] * 5
    tokenizer = tokenizer_lib.Tokenizer.train(texts, vocab_size=300)
    rows = [
      [tokenizer.bos_id, *tokenizer.encode(text), tokenizer.eos_id]
      for text in texts
    ]
    made = self.enter_context(tempfile.TemporaryDirectory())
    split = types.SimpleNamespace(
      folder=pathlib.Path(made) / 'corpus' / 'train',
      docs=[{'text': text} for text in texts],
      tokens=np.concatenate(rows).astype(np.uint16),
      starts=np.cumsum([0, *map(len, rows)]),
    )
    split.folder.mkdir(parents=True)
    part, done = annotate._part, Items(2)

    def count(job):
      made = part(job)
      done.append(job[0])
      return made

    self.enter_context(mock.patch.object(annotate, 'PART', 1))
    self.enter_context(mock.patch.object(annotate, '_part', count))
    with self.assertRaises(stop.Interrupted), stop.deferred():
      annotate.annotate(split, tokenizer, rule='caps_digits', progress=False)
    self.assertLen(done, 2)
    annotate.annotate(split, tokenizer, rule='caps_digits', progress=False)
    self.assertLen(set(done), 5)
    self.assertLen(done, 5)  # nothing was made twice

  def patch(self, owner, **values):
    for name, value in values.items():
      self.enter_context(mock.patch.object(owner, name, value))

  def test_a_recording_of_generations_stops_between_files(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    wanted = generations.Recording(
      model='x', sets=('addition_1',), questions=4, file=1, folder=folder
    )
    done = Items(2)
    self.patch(generations.Recording, manifest=lambda self: {})
    self.patch(
      generations,
      _ends=lambda tokenizer: (),
      _shapes=lambda *rest: None,
      _ask=lambda *rest: [],
    )
    self.patch(log, write=lambda path, said: done.append(path))
    with self.assertRaises(stop.Interrupted), stop.deferred():
      generations.record(wanted, mock.Mock(), enabled=False)
    self.assertLen(done, 2)

  def test_a_recording_of_activations_stops_between_files(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    wanted = activations.Recording(
      model='x', tasks=('addition_1',), questions=4, file=1, folder=folder
    )
    done = Items(2)
    self.patch(
      activations.Recording,
      manifest=lambda self: {},
      sites=lambda self, config: (),
    )
    self.patch(activations, _in_text=lambda *rest: ([[1]], [[1]], ['1'], [1]))
    self.patch(activations.activations, extract=lambda *rest, **more: {})
    self.patch(store, write=lambda path, answers, sites: done.append(path))
    with self.assertRaises(stop.Interrupted), stop.deferred():
      activations.record(wanted, mock.Mock(), enabled=False)
    self.assertLen(done, 2)

  def test_writing_stops_between_articles(self):
    made = Items(2)

    def generate(read, partner, tokenizer, opening, threshold, max_decisions):
      made.append(opening)
      return decode.Cascaded(text=opening, spans=[])

    articles = [
      writing.Article(str(i), f'{i} is', f'{i} is.') for i in range(4)
    ]
    way = writing.Way(read=None, partner=None, threshold=None)
    with (
      mock.patch.object(decode, 'generate', generate),
      self.assertRaises(stop.Interrupted),
      stop.deferred(),
    ):
      writing.write(way, None, articles, max_decisions=1, characters=9)
    self.assertEqual(made, ['0 is', '1 is'])

  def test_evaluation_of_lacy_stops_between_batches(self):
    seen = Items(2)
    evaluator = mock.Mock(spec=lacy_evaluate.Evaluator)
    batches = [np.zeros((4, 1))] * 4
    with self.assertRaises(stop.Interrupted), stop.deferred():
      for batch in lacy_evaluate.Evaluator.device_batches(evaluator, batches):
        seen.append(batch)
    self.assertLen(seen, 2)

  def test_sampling_stops_between_batches(self):
    seen = Items(2)
    with self.assertRaises(stop.Interrupted), stop.deferred():
      sampler_evaluate.in_batches(
        lambda batch, number: seen.append(number),
        {'prompt': np.zeros((16, 3), np.int32)},
        4,
      )
    self.assertEqual(seen, [0, 1])

  def test_scoring_stops_between_batches(self):
    seen = Items(2)

    def score(config, params, tokens, padding, options):
      seen.append(options.shape)
      return np.zeros(options.shape, np.float32)

    with (
      mock.patch.object(scoring, '_score', score),
      self.assertRaises(stop.Interrupted),
      stop.deferred(),
    ):
      scoring.score(None, None, [[1]] * 4, [[[2]]] * 4, batch=1)
    self.assertLen(seen, 2)

  def test_a_local_judge_stops_between_replies(self):
    seen = Items(2)

    def result():
      seen.append('reply')
      return types.SimpleNamespace(tokens=[])

    judge = mock.Mock(spec=local.Local)
    judge.engine = mock.Mock()
    judge.engine.submit.return_value = types.SimpleNamespace(result=result)
    judge.tokenizer = mock.Mock(stop_ids=())
    with self.assertRaises(stop.Interrupted), stop.deferred():
      local.Local.ask(judge, ['a', 'b', 'c', 'd'])
    self.assertLen(seen, 2)


if __name__ == '__main__':
  absltest.main()
