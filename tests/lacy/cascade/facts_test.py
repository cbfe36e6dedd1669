"""FactScore of texts in the files of a sweep, by a scripted judge."""

import json
import pathlib
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest

from configs.lacy import factscore as config
from lacy.cascade import facts
from launch import setup
from tests.lacy.cascade import factscore_test

OPENINGS = ('Ada was', 'Bob was')
# What each method wrote, marks and all, and the facts that its judge lists.
TEXTS = {
  'lacy': (' [[one]]', ' two'),
  'loss': (' two', ' none'),
}
REFERENCES = tuple(f'{opening} true.' for opening in OPENINGS)


def sweep(folder):
  """A finished sweep as lacy.cascade.free_text leaves it."""
  root = pathlib.Path(folder)
  (root / 'sweep.json').write_text(
    json.dumps({'seeds': [0], 'variants': list(TEXTS)})
  )
  for name, written in TEXTS.items():
    (root / f'{name}-0' / 'evals').mkdir(parents=True)
    marked = [a + b for a, b in zip(OPENINGS, written, strict=True)]
    np.savez(
      root / f'{name}-0' / 'evals' / 'writing-final.npz',
      ways=np.array(['alone', 'span 0.22']),
      texts=np.array([['', ''], marked]),
      titles=np.array(['Ada', 'Bob']),
      references=np.array(REFERENCES),
    )
  return root


class Judge(factscore_test.Judge):
  """The opening supports nothing; facts and checks are of factscore_test."""

  def __call__(self, prompts, **options):
    del options
    return super().__call__(prompts)

  def _reply(self, prompt):
    if prompt.startswith(('Reference: Ada was\n', 'Reference: Bob was\n')):
      return 'no'
    text = prompt.rpartition('Continuation: ')[2].strip()
    return self._facts.get(text) or super()._reply(prompt)


FACTS = {'one': '- a\n- b', 'two': '- c\n- d', 'none': 'none'}
TRUE = {'a': 'yes', 'b': 'no', 'c': 'yes', 'd': 'yes'}


class FactsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.runs = sweep(self.enterContext(tempfile.TemporaryDirectory()))
    self.config = facts.FactsConfig(
      runs=str(self.runs), methods=('lacy', 'loss'), articles=2
    )

  def test_hand_count(self):
    judge = Judge(FACTS, TRUE)
    got = facts.evaluate(self.config, judge)
    self.assertAlmostEqual(got['lacy span 0.22/factscore'], (0.5 + 1) / 2)
    self.assertAlmostEqual(got['loss span 0.22/factscore'], (1 + 0) / 2)
    name = 'span 0.22: lacy minus loss'
    # Over two articles: -.5 and 1, so the mean is .25 and the ends are these.
    self.assertAlmostEqual(got[f'{name}/factscore'], 0.25)
    self.assertAlmostEqual(got[f'{name}/factscore_low'], -0.5)
    self.assertAlmostEqual(got[f'{name}/factscore_high'], 1.0)
    short = np.exp(1 - 10 / 2)  # two facts where gamma wants ten
    self.assertAlmostEqual(
      got[f'{name}/factscore_penalised'], short * (1.5 - 1) / 2
    )
    self.assertEqual(got['lacy span 0.22/facts'], 2.0)
    # Marks are none of the text, and each fact meets the true article.
    listed = [p for p in judge.asked if 'Continuation: ' in p]
    self.assertTrue(
      listed[0].endswith('Opening: Ada was\n\nContinuation:  one')
    )
    self.assertTrue(
      any(p.startswith('Reference: Bob was true.') for p in judge.asked)
    )

  def test_a_text_that_the_judge_did_not_list_is_left_out_of_the_pair(self):
    got = facts.evaluate(
      self.config, Judge({k: v for k, v in FACTS.items() if k != 'one'}, TRUE)
    )
    self.assertEqual(got['lacy span 0.22/unlisted'], 1)
    self.assertEqual(got['lacy span 0.22/factscore'], 1.0)
    self.assertEqual(got['span 0.22: lacy minus loss/factscore'], 1.0)

  def test_the_experiment_runs(self):
    cfg = config.get_config()
    cfg.facts.update(runs=str(self.runs), methods=(), articles=2)
    experiment = setup.ask(cfg.to_dict()).experiment
    with mock.patch('lm.judging.local.Local.open') as opened:
      judge = opened.return_value.__enter__.return_value
      judge.ask = Judge(FACTS, TRUE)
      made = experiment.open().final['facts'](None, None)
    rows = experiment.rows(made)
    self.assertIn('lacy span 0.22', rows)
    self.assertIn('span 0.22: lacy minus loss', rows)

  def test_bad_input(self):
    for changes, message in (
      ({'articles': 3}, 'at most the 2'),
      ({'ways': ('span 0.4',), 'articles': 2}, 'alone, span 0.22'),
      ({'methods': ('rho',)}, 'lacy, loss'),
    ):
      with self.subTest(message), self.assertRaisesRegex(ValueError, message):
        facts.read(facts.FactsConfig(**({'runs': str(self.runs)} | changes)))
    (self.runs / 'loss-0' / 'evals' / 'writing-final.npz').unlink()
    with self.assertRaisesRegex(FileNotFoundError, 'loss wrote no texts'):
      facts.read(self.config)


if __name__ == '__main__':
  absltest.main()
