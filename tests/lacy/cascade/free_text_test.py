"""Train with two rules, write, compare: all of it on files of a tiny model."""

import json
import pathlib
import shutil
import tempfile
from unittest import mock

import matplotlib.image
import numpy as np
from absl.testing import absltest, parameterized
from ml_collections import ConfigDict

from configs import common
from configs.lacy import cascade_smollm2
from lacy import data
from lacy.cascade import free_text, paired, plots
from launch import setup, variants
from lm import transformer
from lm.checkpoints import families, weights
from tests import files
from tests.lacy import support

# Of the tokenizer in peers/tokens.
KNOWN = 420
ARTICLES = 3


def tiny(folder):
  """The smoke config on a checkpoint of random weights and 150 documents."""
  folder = pathlib.Path(folder)
  model = dict(
    vocab_size=KNOWN + 5,
    layers=2,
    width=16,
    heads=2,
    kv_heads=1,
    mlp_width=24,
    tied=False,
  )
  config = transformer.TransformerConfig(**(model | {'vocab_size': KNOWN}))
  base = folder / 'base'
  if not base.exists():
    weights.export(
      base, families.find('llama'), config, support.params(config, 5)
    )
    shutil.copy(files.PEERS / 'tokens' / 'tokenizer.json', base)
    lines = [
      {
        'title': f't{i}',
        'text': f'Anna {i} was born in Rome in {1800 + i}, near Lee.',
        'topic': 'People' if i % 3 else 'Arts',
      }
      for i in range(150)
    ]
    (folder / 'docs.jsonl').write_text('\n'.join(map(json.dumps, lines)))
  cfg = cascade_smollm2.get_config('smoke')
  with cfg.unlocked():
    cfg.init = cfg.data.tokenizer = cfg.cascade.model = str(base)
    cfg.data.corpus = f'jsonl:{folder}/docs.jsonl'
    cfg.model.update(model | {'rope_base': 10_000.0})
    cfg.model.norm_eps = config.norm_eps
    cfg.data.batch_size = 4
    cfg.lora.rank = 2
    cfg.cascade.update(dict(articles=ARTICLES, shortest=1, characters=20))
    cfg.mesh = ConfigDict({'data': 2, 'fsdp': 2, 'model': 1})
    cfg.sweep = common.sweep(
      {
        'standard': {'lacy.rule': 'standard'},
        'rho': {'lacy.rule': 'rho', 'lacy.reference': '{standard}'},
      },
      seeds=(0,),
    )
  return cfg


class FreeTextTest(parameterized.TestCase):
  """One sweep serves all tests."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = pathlib.Path(
      cls.enterClassContext(tempfile.TemporaryDirectory())
    )
    cls.enterClassContext(
      mock.patch.dict('os.environ', {'SOCRATIC_DATA': str(cls.folder)})
    )
    cls.config = tiny(cls.folder)
    cls.sweep = cls.folder / 'sweep'
    cls.made = variants.sweep(cls.config, cls.sweep)

  def test_every_way_is_scored_article_by_article(self):
    ways = ['alone', 'span 0.22', 'token 0.22', 'partner alone']
    self.assertEqual(paired.ways(self.made), ways)
    for runs in self.made.values():
      for way in ways:
        counts = paired.loads(runs[0][f'{way}/counts'])
        self.assertLen(counts, ARTICLES)
        self.assertEqual(counts[:, 0].sum(), runs[0][f'{way}/supported'])
        self.assertEqual(counts[:, 1].sum(), runs[0][f'{way}/entities'])
        self.assertBetween(runs[0][f'{way}/delegated'], 0.0, 1.0)
      self.assertEqual(runs[0]['alone/delegated'], 0.0)
      self.assertEqual(runs[0]['alone/call_rate'], 0.0)
      self.assertEqual(runs[0]['partner alone/delegated'], 1.0)
      self.assertGreater(runs[0]['span 0.22/delegated'], 0.0)

  def test_what_the_partner_writes_stands_in_the_document(self):
    path = self.sweep / 'rho-0' / 'evals' / 'writing-final.npz'
    with np.load(path) as file:
      made = dict(file)
    self.assertEqual(made['texts'].shape, (4, ARTICLES))
    written = 0
    for text, reference in zip(
      made['texts'][list(made['ways']).index('span 0.22')],
      made['references'],
      strict=True,
    ):
      for part in text.split('[[')[1:]:
        piece = part.split(']]')[0]
        written += 1
        self.assertIn(piece.split()[0][:2].strip(), reference)
    self.assertGreater(written, 0)

  def test_claims_compare_what_is_there(self):
    made = paired.claims({**self.made, 'lacy': self.made['rho']})
    self.assertIn('span 0.22: supported_lacy_minus_standard', made)
    self.assertIn('token 0.22: lacy_minus_rho', made)
    self.assertNotIn('span 0.22: lacy_minus_loss', made)
    self.assertEqual(made['alone: lacy_minus_rho'], [0.0, 0.0, 0.0])

  def test_figures_from_files(self):
    picture, texts = plots.draw(self.sweep)
    self.assertGreater(matplotlib.image.imread(picture).std(), 0)
    self.assertIn('standard alone:', texts.read_text())
    self.assertIn('== t', plots.show(self.sweep, colour=False))

  def test_trained_on_its_topic_alone(self):
    c = data.DataConfig(**self.config.data.to_dict())
    corpus = data.load(c)
    self.assertEqual(
      {doc['topic'] for doc in corpus.documents('train').docs}, {'People'}
    )
    self.assertLen(corpus.split('train')['tokens'], c.train_records)

  def test_bad_input(self):
    for changes, message in (
      ({'cascade.articles': 99}, 'cascade.articles=99'),
      ({'cascade.budgets.span': (1.0,)}, 'budgets.span must lie within'),
      ({'cascade.partner': 'friend'}, 'database, large'),
      ({'data.topic': 'Chess'}, "data.topic='Chess'"),
    ):
      cfg = variants.variant(self.config, changes, {}).to_dict()
      with self.subTest(message), self.assertRaisesRegex(ValueError, message):
        setup.ask(cfg).experiment.open()

  def test_unknown_unit(self):
    with self.assertRaisesRegex(ValueError, 'token, word, span'):
      free_text.FreeTextConfig(budgets={'sentence': (0.2,)})

  @parameterized.parameters('', 'qwen')
  def test_the_config_builds_at_its_size(self, arg):
    asked = setup.ask(cascade_smollm2.get_config(arg).to_dict())
    self.assertIsNotNone(asked.experiment.abstract())


if __name__ == '__main__':
  absltest.main()
