"""A tiny model sums up answers written by hand, and judges; all from files."""

import json
import pathlib
import tempfile
from unittest import mock

import matplotlib.image
import numpy as np
from absl.testing import absltest, parameterized

from calibration.recording import log
from calibration.selfreflect import (
  experiment,
  masking,
  metric,
  plots,
  reflections,
  summaries,
)
from configs.calibration import selfreflect as config
from engine.runs import manifest
from launch import setup
from tests.calibration import support

CELL = 'addition_1-concise'
# Of each question six samples: two with gaps, two told, two fresh.
SAMPLES = (
  ('11', '12', '11', '11.', '11', '12'),
  ('3', '3', '3', '3', '3', '3'),
  ('7', '', '8', '7', '7', '9'),
  ('', '', '', '', '', ''),
)


class ExperimentTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    at = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
    cls.at = at
    cfg = config.get_config('smoke')
    cfg.record.update(
      model=str(support.export(at / 'tiny')),
      sets=('addition_1',),
      questions=4,
      file=2,
      folder=str(at / 'said'),
    )
    cfg.reflect.update(judge=str(at / 'tiny'), questions=4)
    cls.cfg = cfg
    cls.recorded, cls.written, cls.scored = experiment.sections(cfg.to_dict())
    said = [
      support.said(support.question(10 * number), samples)
      for number, samples in enumerate(SAMPLES)
    ]
    folder = cls.recorded.at()
    manifest.begin(folder, cls.recorded.manifest())
    for number, some in enumerate((said[:2], said[2:])):
      log.write(log.shard(folder, CELL, number), some)
    cls.asked = setup.ask(cfg.to_dict())
    cls.found = cls.asked.experiment.open().final['test'](None, None)

  def lines(self):
    return reflections.load(self.scored, 'addition_1', 'concise')

  def test_questions_without_an_answer_are_left_out(self):
    self.assertEqual(self.found['questions'], 3)
    self.assertLen(self.lines(), 3)

  def test_figures_are_those_of_the_lines(self):
    lines = self.lines()
    good, bad = (
      [line['scores']['tv@5'][name] for line in lines]
      for name in ('good', 'bad')
    )
    won = [a < b for a, b in zip(good, bad, strict=True)]
    self.assertEqual(self.found['win/good_bad'], np.mean(won))
    self.assertAlmostEqual(self.found['score/good'], np.mean(good), places=6)
    # One question's answers all agree; of its pooled samples the entropy is 0.
    self.assertEqual(self.found['uncertain'], 2)
    p = np.array([4, 2]) / 6
    self.assertAlmostEqual(lines[0]['entropy'], -(p * np.log(p)).sum())

  def test_only_fresh_answers_are_summed_up(self):
    ids, items = reflections.read(
      self.scored, self.recorded, self.written, 'addition_1', 'concise'
    )
    self.assertLen(ids, 4)
    first = items[0]
    self.assertEqual(list(first.masked), ['11', '12'])
    self.assertEqual(first.told, ['11', '11.'])
    self.assertEqual(first.texts['concatenated'], "x_1 = '11'\nx_2 = '12'")
    self.assertEqual(first.texts['percentages'], '11: 50%, 12: 50%')
    # Two gaps of the third question: its empty answer has none.
    self.assertEqual(list(items[2].masked), ['7'])

  def test_nothing_is_asked_twice(self):
    with (
      mock.patch.object(metric.Judge, '__call__', side_effect=AssertionError),
      mock.patch.object(summaries, '_ask', side_effect=AssertionError),
    ):
      again = self.asked.experiment.open().final['test'](None, None)
    self.assertEqual(again, self.found)

  def test_goes_on_where_it_was_stopped(self):
    shard = self.scored.at() / CELL / '00001.jsonl'
    kept = shard.read_text()
    shard.unlink()
    self.asked.experiment.open().final['test'](None, None)
    self.assertEqual(shard.read_text(), kept)

  def test_claims_by_judge_and_subject(self):
    run = self.found | {'judge': 'j', 'subject': 's'}
    made = experiment.claims({'v': [run]})
    value = run['win/good_bad']
    self.assertAlmostEqual(made['good_bad_win/j/s'][0], value, places=5)
    # Another subject under the same judge: 3 of 3 beside what was won of 3.
    other = run | {'subject': 't', 'win/good_bad': 1.0}
    made = experiment.claims({'v': [run], 'w': [other]})
    want = (round(3 * value) + 3) / 6
    self.assertAlmostEqual(made['good_bad_win/j'][0], want, places=5)
    self.assertEqual(experiment.claims({'v': [{'mine/tv@5': 0.1}]}), {})

  def test_a_question_without_any_gap(self):
    lines = [dict(line) for line in self.lines()]
    lines[0]['scores'] = {
      name: dict.fromkeys(row) for name, row in lines[0]['scores'].items()
    }
    found = experiment.figures(lines)
    self.assertEqual(found['missing/good'], 1)
    self.assertEqual(found['win/good_bad_n'], 2)

  def test_figures_from_files(self):
    run = self.at / 'run'
    run.mkdir()
    (run / 'config.json').write_text('{}')
    (run / 'summary.json').write_text(json.dumps(self.found))
    paths = plots.draw(run)
    self.assertEqual([path.name for path in paths], ['scores.png', 'wins.png'])
    for path in paths:
      self.assertGreater(matplotlib.image.imread(path).std(), 0)
    self.assertIn('good below bad', plots.show(run, colour=False))

  def own(self, *lines):
    path = self.at / 'own.jsonl'
    path.write_text(
      '\n'.join(x if isinstance(x, str) else json.dumps(x) for x in lines)
    )
    cfg = self.cfg.copy_and_resolve_references()
    cfg.summaries = f'jsonl:{path}'
    return setup.ask(cfg.to_dict()).experiment.open().final['test'](None, None)

  def test_a_users_own_summaries(self):
    recorded = {'question': 'What is 1 plus 0?', 'summary': 'Mostly 11.'}
    given = {
      'question': 'Who?',
      'answers': ['Ann', 'Bob', ' ', 'Ann', 'Ann'],
      'summary': 'Ann',
    }
    found = self.own(given, '', recorded)
    self.assertEqual(found['summaries'], 2)
    self.assertLen(found['array/mine/tv@5'], 2)
    # Two answers with gaps, two told; the empty one is neither.
    judge = reflections.open_judge(self.scored)
    tasks = masking.tasks(['Ann', 'Bob'], masking.stop_words())
    want = judge('Who?', ['Ann'], tasks, ['Ann', 'Ann']).of('tv@5')[0]
    self.assertAlmostEqual(found['array/mine/tv@5'][0], want, places=6)

  def test_summaries_that_cannot_be_judged(self):
    good = {'question': 'Who?', 'answers': ['a', 'b'], 'summary': 'a'}
    for line, message in (
      ('{', 'own.jsonl:2: expected JSON'),
      (good | {'answers': 'a'}, 'a list of texts'),
      (good | {'answers': ['a', '']}, 'two answers at least.*came 1'),
      (good | {'answers': []}, 'came 0'),
      ({'question': 'Why?', 'summary': 'a'}, 'not in the recording'),
      (good | {'summary': None}, '"summary"'),
      ('[]', 'expected an object'),
    ):
      with self.subTest(message), self.assertRaisesRegex(ValueError, message):
        self.own(good, line)
    with self.assertRaisesRegex(ValueError, 'came none'):
      self.own('')

  def test_more_samples_than_there_are(self):
    cfg = self.cfg.copy_and_resolve_references()
    cfg.reflect.answers = 3
    with self.assertRaisesRegex(
      ValueError, 'record.samples must be at least 8'
    ):
      setup.ask(cfg.to_dict())


class WinsTest(absltest.TestCase):
  def test_wilson_by_its_formula(self):
    one = np.array([0.1, 0.2, 0.3, np.nan, 0.5])
    other = np.array([0.2, 0.1, 0.4, 0.1, 0.5])
    found = experiment.wins(one, other)
    self.assertEqual((found[''], found['_n'], found['_ties']), (0.5, 4, 0.25))
    z, n, p = 1.959964, 4, 0.5
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    self.assertAlmostEqual(found['_low'], middle - half, places=6)
    self.assertAlmostEqual(found['_high'], middle + half, places=6)
    self.assertEqual(experiment.wins(one[3:4], other[3:4]), {})


class SummaryTest(parameterized.TestCase):
  @parameterized.parameters(
    ('Well.\nSummary: Lima.\nOr Cusco.', False, 'Lima.\nOr Cusco.'),
    ('Well.\nSummary: Lima.\nOr Cusco.', True, 'Lima.'),
    ('Summary: a\nno, again\n**Summary:** b', False, 'b'),
    ('Summary: a\nSummary: b', True, 'a'),
    ('It is Lima.', False, None),
    ('It is Lima.', True, 'It is Lima.'),
    ('Summary:', False, None),
    ('', True, None),
  )
  def test_cut_of_a_chain(self, text, release, want):
    found = summaries.summary_of(text, 'cot', release=release)
    self.assertEqual(found, want)

  def test_thinking_is_no_summary(self):
    found = summaries.summary_of(
      '<think>Lima?</think> Lima.', 'basic', release=False
    )
    self.assertEqual(found, 'Lima.')
    self.assertIsNone(
      summaries.summary_of('<think>Lima? well', 'basic', release=False)
    )

  def test_counts_never_overlap(self):
    parts = summaries.Counts(2, 1, 3).split('abcdefgh')
    self.assertEqual(parts, ('ab', 'c', 'def'))
    with self.assertRaisesRegex(ValueError, 'expected 6 samples'):
      summaries.Counts(2, 1, 3).split('abcde')

  def test_question_mark(self):
    self.assertEqual(
      summaries.asked_for('who is it', 'greedy', []), 'Question: who is it?'
    )
    self.assertEqual(
      summaries.asked_for('Who is it?', 'greedy', []), 'Question: Who is it?'
    )
    self.assertIn(
      "x_2 = 'b'", summaries.asked_for('?', 'sample_and_summarize', ['a', 'b'])
    )


if __name__ == '__main__':
  absltest.main()
