"""The cascade at work: its figures by hand, and all of it from files."""

import json
import os
import pathlib
import tempfile
from unittest import mock

import jax
import matplotlib.image
import numpy as np
from absl.testing import absltest, parameterized

from configs.lacy import cascade as cascade_config
from configs.lacy import wiki
from engine import checkpoint, optim
from engine import mesh as mesh_lib
from engine.runs import finished
from lacy import experiment, plots
from lacy.cascade import decode as cascade
from lacy.cascade import experiment as free_running
from lacy.cascade import support, writing
from launch import setup
from lm import init as model_init
from tests.lacy.cascade import partner_test, writing_test


def write_run(folder, rule, *, context=6, done=True):
  """Config and summary of a run; without `done` of one that died."""
  folder.mkdir(parents=True, exist_ok=True)
  cfg = {
    'lacy': {'rule': rule},
    'data': {'context': context},
    'model': dict(vocab_size=6, layers=1, width=4, heads=1, mlp_width=4),
    'optim': {},
    'run': {'steps': 4, 'seed': 0},
  }
  (folder / 'config.json').write_text(json.dumps(cfg))
  if done:
    summary = json.dumps({'steps': 4, 'parameters': 9})
    (folder / 'summary.json').write_text(summary)


class OpenRunsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

  def found(self, *methods):
    got = free_running.open_runs(str(self.root), methods)
    return {name: run.workdir for name, run in got.items()}

  def sweep(self, **kw):
    sweep = {'variants': ['lacy', 'rho:low'], 'seeds': [3, 4]}
    (self.root / 'sweep.json').write_text(json.dumps(sweep))
    write_run(self.root / 'lacy-3', 'lacy')
    write_run(self.root / 'rho-low-3', 'rho', **kw)

  def test_the_first_seed_of_each_method(self):
    self.sweep()
    want = {'lacy': self.root / 'lacy-3', 'rho:low': self.root / 'rho-low-3'}
    self.assertEqual(self.found(), want)
    self.assertEqual(list(self.found('rho:low')), ['rho:low'])
    with self.assertRaisesRegex(
      ValueError, "must be of lacy, rho:low, got 'x'"
    ):
      self.found('x')

  def test_runs_on_different_data_are_refused(self):
    self.sweep(context=7)
    with self.assertRaisesRegex(ValueError, '2 different sections data'):
      self.found()

  def test_a_run_that_died_is_refused(self):
    self.sweep(done=False)
    with self.assertRaisesRegex(FileNotFoundError, 'rho-low-3.*summary.json'):
      self.found()

  def test_a_single_run_is_named_by_its_rule(self):
    write_run(self.root, 'loss')
    self.assertEqual(self.found(), {'loss': self.root})

  def test_nothing_there_says_which_key(self):
    with self.assertRaisesRegex(FileNotFoundError, 'config.cascade.runs'):
      self.found()


class OpenReaderTest(parameterized.TestCase):
  """A run's logits 3, 1, CALL 2, 0, and two rows that no token has."""

  @parameterized.parameters('lacy', 'standard', 'ignore')
  def test_a_rule_that_trains_no_call_is_read_by_doubt(self, rule):
    root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
    write_run(root, rule)
    run = finished.open_run(root)
    logits = np.array([3.0, 1.0, 2.0, 0.0, 5.0, 4.0])
    corpus = mock.Mock(call_id=2, vocab_size=4)
    with (
      mock.patch.object(
        free_running.checkpoint, 'restore_params', return_value=({}, 4)
      ),
      mock.patch.object(free_running.readers, 'Reader') as reader,
    ):
      reader.return_value.read = lambda ids: logits
      got = free_running.open_reader(run, corpus, size=9)([0])
    total = np.exp(logits[[0, 1, 3, 4, 5]]).sum()
    want = np.log(total) - 3.0  # minus the log-probability of token 0
    if rule == 'lacy':
      want = 2.0 - np.log(total)
    self.assertEqual(got.token, 0)
    self.assertAlmostEqual(got.score, want)


class ScoreTest(absltest.TestCase):
  def test_score_by_hand(self):
    article = writing.Article('t', 'She was', 'She was in Warsaw in 1867.')
    written = writing_test.written(
      'She was in Warsaw in 1868',
      [(10, 17)],
      decisions=writing_test.marks({7: 0, 10: 1, 17: 0, 20: 0, 25: 0}),
      tokens=writing_test.marks({7: 0, 10: 1, 17: 0, 20: 0}),
    )
    find = support.finder('caps_digits')

    def judged(texts, references, given):
      return {'judged': (texts[0], references[0], given[0])}

    got = free_running.score(written, [article], find, judged)
    self.assertEqual((got['supported'], got['entities']), (1, 2))
    self.assertEqual(got['precision'], 0.5)
    self.assertEqual((got['call_rate'], got['delegated']), (0.2, 0.25))
    want = (' in Warsaw in 1868', article.text, 'She was')
    self.assertEqual(got['judged'], want)

  def test_what_the_opening_states_is_not_counted(self):
    opening = 'She of Warsaw was'
    article = writing.Article('t', opening, 'She was in Warsaw in 1867.')
    made = cascade.Cascaded(text=f'{opening} in Warsaw in 1867', spans=[])
    got = free_running.score(
      writing.Written([made], [opening], 99),
      [article],
      support.finder('caps_digits'),
      None,
    )
    self.assertEqual((got['supported'], got['entities']), (1, 1))


class CalibratedTest(absltest.TestCase):
  def test_the_history_is_what_was_read_alone(self):
    class Tokenizer:
      bos_id, eos_id = 0, 1

      def encode(self, text):
        return [ord(c) for c in text]

      def decode(self, ids):
        return ''.join(map(chr, ids))

    def read(ids):
      return cascade.Reading(score=float(len(ids)), token=ord('a'))

    got = free_running.calibrated(
      read, Tokenizer(), ['x', 'xyz'], max_decisions=2
    )
    self.assertEqual(got.history, (2.0, 3.0, 4.0, 5.0))


class EvaluateTest(absltest.TestCase):
  """Two random models, a random partner, a corpus of two sentences."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = pathlib.Path(
      cls.enterClassContext(tempfile.TemporaryDirectory())
    )
    cls.enterClassContext(
      mock.patch.dict(os.environ, {'SOCRATIC_DATA': str(cls.root / 'data')})
    )
    cls.enterClassContext(
      mock.patch.object(partner_test.LoadedTest, 'path', None, create=True)
    )
    partner_test.LoadedTest.setUpClass()
    cls.addClassCleanup(partner_test.LoadedTest.doClassCleanups)
    corpus = cls.root / 'docs.jsonl'
    corpus.write_text('\n'.join(map(json.dumps, writing_test.DOCS)))
    cfg = wiki.get_config('smoke').to_dict()
    cfg.pop('sweep')
    cfg['data'] |= {'corpus': f'jsonl:{corpus}', 'vocab_size': 300}
    cfg['model'] |= dict(
      vocab_size=300, layers=1, width=16, heads=2, mlp_width=24
    )
    for seed, rule in enumerate(('standard', 'lacy')):
      cfg['lacy'] = cfg['lacy'] | {'rule': rule}
      folder = cls.root / 'runs' / f'{rule}-0'
      folder.mkdir(parents=True)
      (folder / 'config.json').write_text(json.dumps(cfg))
      s = experiment.settings(cfg)
      optimiser, _ = optim.make(s.optim, s.steps)
      init = model_init.train_state(s.model, optimiser)
      state = jax.jit(lambda key, init=init: mesh_lib.unbox(init(key)))(
        jax.random.key(seed)
      )
      state = jax.tree.map(lambda x: 6 * np.asarray(x), state)
      with checkpoint.Checkpoints(folder) as checkpoints:
        checkpoints.save(0, state, {}, wait=True)
      summary = {'steps': cfg['run']['steps'], 'parameters': 1}
      (folder / 'summary.json').write_text(json.dumps(summary))
    sweep = {'variants': ['standard', 'lacy'], 'seeds': [0]}
    (cls.root / 'runs' / 'sweep.json').write_text(json.dumps(sweep))
    config = cascade_config.get_config('smoke')
    config.cascade.runs = str(cls.root / 'runs')
    config.cascade.partner = str(partner_test.LoadedTest.path)
    config.cascade.budgets = (0.6,)
    config.cascade.topic = ''  # a corpus of files has none
    cls.workdir = cls.root / 'cascade'
    cls.summary = setup.train(
      setup.ask(config.to_dict()), cls.workdir, progress=False
    )

  def test_every_way_of_writing_has_its_figures(self):
    rows = free_running.rows(self.summary)
    self.assertEqual(
      list(rows),
      [
        *('standard alone', 'standard token 0.6', 'standard word 0.6'),
        *('lacy alone', 'lacy token 0.6', 'lacy word 0.6'),
        free_running.PARTNER,
      ],
    )
    for name, (row,) in rows.items():
      for key, _, form in free_running.COLUMNS:
        self.assertTrue(format(row[key], form), name)

  def test_alone_delegates_nothing_and_the_partner_everything(self):
    got = self.summary
    for method in ('standard', 'lacy'):
      self.assertEqual(got[f'{method} alone/delegated'], 0)
      self.assertEqual(got[f'{method} alone/call_rate'], 0)
      for unit in ('token', 'word'):
        self.assertGreater(got[f'{method} {unit} 0.6/call_rate'], 0)
    self.assertEqual(got[f'{free_running.PARTNER}/delegated'], 1)

  def test_results_hold_a_precision_with_its_interval(self):
    got = free_running.figures(
      {'a b/precision': 0.5, 'a b/entities': 3, 'articles': 2}
      | {'a b/precision_low': 0.25, 'a b/precision_high': 0.75}
    )
    want = {'a b/precision': [0.5, 0.25, 0.75], 'a b/entities': 3}
    self.assertEqual(got, want | {'articles': 2})

  def test_figures_and_texts_are_drawn_from_files(self):
    figure, texts = plots.draw(self.workdir)
    self.assertGreater(matplotlib.image.imread(figure)[..., :3].std(), 0.03)
    text = texts.read_text()
    self.assertIn('lacy word 0.6:\nMarie Curie', text)
    self.assertIn('[[', text)
    self.assertIn('partner alone:', plots.show(self.workdir, colour=False))


class ConfigTest(parameterized.TestCase):
  @parameterized.parameters(
    ({'budgets': (0.0, 0.2)}, r'cascade.budgets must lie within \(0, 1\)'),
    ({'units': ('entity',)}, 'cascade.units must be of token, word'),
    ({'articles': 0}, 'cascade.articles must be at least 1'),
  )
  def test_what_is_refused(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      free_running.CascadeConfig(runs='x', **changes)


if __name__ == '__main__':
  absltest.main()
