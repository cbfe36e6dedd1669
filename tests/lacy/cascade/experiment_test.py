"""The cascade at work: its figures by hand, and all of it from files."""

import json
import os
import pathlib
import tempfile
from unittest import mock

import jax
import matplotlib.image
from absl.testing import absltest, parameterized

from configs.lacy import cascade as cascade_config
from configs.lacy import wiki
from engine import checkpoint, optim
from engine import mesh as mesh_lib
from lacy import experiment, plots
from lacy.cascade import decode as cascade
from lacy.cascade import experiment as free_running
from lacy.cascade import support, writing
from launch import setup
from tests.lacy.cascade import partner_test, writing_test


class FoldersTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

  def test_the_first_seed_of_each_method(self):
    sweep = {'variants': ['lacy', 'rho:low'], 'seeds': [3, 4]}
    (self.root / 'sweep.json').write_text(json.dumps(sweep))
    got = free_running.folders(str(self.root), ())
    want = {'lacy': self.root / 'lacy-3', 'rho:low': self.root / 'rho-low-3'}
    self.assertEqual(got, want)
    self.assertEqual(
      list(free_running.folders(str(self.root), ['rho:low'])), ['rho:low']
    )
    with self.assertRaisesRegex(
      ValueError, "must be of lacy, rho:low, got 'x'"
    ):
      free_running.folders(str(self.root), ['x'])

  def test_a_single_run_is_named_by_its_rule(self):
    text = json.dumps({'lacy': {'rule': 'loss'}})
    (self.root / 'config.json').write_text(text)
    got = free_running.folders(str(self.root), ())
    self.assertEqual(got, {'loss': self.root})

  def test_nothing_there_says_what_to_do(self):
    with self.assertRaisesRegex(FileNotFoundError, 'make demo'):
      free_running.folders(str(self.root), ())


class ScoreTest(absltest.TestCase):
  def test_score_by_hand(self):
    article = writing.Article('t', 'She was', 'She was in Warsaw in 1867.')
    written = writing_test.written(
      'She was in Warsaw in 1868',
      [(10, 17)],
      calls=1,
      decisions=5,
      delegated=1,
      tokens=4,
    )
    find = support.finder('caps_digits')
    got = free_running.score(
      written, [article], find, lambda texts, references: {'judged': texts[0]}
    )
    self.assertEqual((got['supported'], got['entities']), (1, 2))
    self.assertEqual(got['precision'], 0.5)
    self.assertEqual((got['call_rate'], got['delegated']), (0.2, 0.25))
    self.assertEqual(got['judged'], 'She was in Warsaw in 1868')


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
      state = experiment.make_init(s, optimiser)(jax.random.key(seed))
      state = jax.tree.map(lambda x: 6 * x, mesh_lib.unbox(state))
      with checkpoint.Checkpoints(folder) as checkpoints:
        checkpoints.save(0, state, {}, wait=True)
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
