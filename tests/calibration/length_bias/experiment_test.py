"""A world in which length drives ROUGE, as records, through the whole study."""

import contextlib
import json
import math
import pathlib
import re
import sys
import tempfile
import types
from unittest import mock

import jax
import matplotlib.pyplot as plt
import numpy as np
from absl.testing import absltest, parameterized

from calibration.correctness import judge as judge_lib
from calibration.estimators import names, probe, table
from calibration.length_bias import answers, experiment, tables, world
from calibration.length_bias import plots as length_plots
from calibration.length_bias import study as study_lib
from calibration.recording import cell, log, record, self_report
from configs.calibration import length_bias
from corpora.questions.question import Question
from engine import assets as engine_assets
from engine import options
from engine.runs import manifest as manifest_lib
from engine.runs import writer
from lm.judging import reply
from tests.calibration import support

WORLD = world.World(threshold=0.3)
HOW = tables.Settings(draws=20, bins=0, rate_bins=4, fewest=5)
FITTED = probe.Probe(folds=2)
STUDY = study_lib.Study(samples=2, encoder='')


def records():
  """Every answer of the world as often as it is probable: 144, a token a word.

  The probability of a sequence falls with its length and with the signal; the
  hidden state tells the truth.
  """
  rng = np.random.default_rng(0)
  c = world.cells(WORLD)
  copies = np.round(c.probability / c.probability.min()).astype(int)
  truth, signal, words = (
    np.repeat(column, copies) for column in (c.truth, c.signal, c.words)
  )
  nsp = world.ESTIMATORS['signal_and_length'](WORLD, signal, words)
  out = []
  # In an order that says nothing.
  for i, at in enumerate(rng.permutation(len(truth))):
    asked = Question(
      id=f'q-{i}',
      prompt=f'What is {i}?',
      answers=('quartz onyx',),
      source='nq_open/made',
    )
    size = int(words[at])
    text = world.sentence(rng, WORLD, int(truth[at]), size)
    out.append(
      support.said(
        asked,
        [text, 'quartz onyx', 'oak'],
        greedy_tokens=np.arange(size, dtype=np.int32),
        # Whole numbers: sums that are equal are so in float32, too.
        greedy_logprobs=np.float32([-nsp[at]] + [0] * (size - 1)),
        greedy_entropies=np.ones(size, np.float32),
        greedy_ended=False,
        answer_hidden=np.float32([truth[at], i % 3, 1.0]),
      )
    )
  return tuple(out)


NO_MODELS = study_lib.Models()


def measure(said, study=STUDY, models=NO_MODELS, people=None):
  return experiment.measure(
    jax.random.key(0),
    cell.of(said, experiment.STYLE),
    study,
    HOW,
    FITTED,
    models,
    seed=0,
    people=people,
  )


class MeasureTest(absltest.TestCase):
  def test_the_inflation_that_was_made_is_found_and_taken_out(self):
    found = measure(records())
    rouge, alias = experiment.LEXICAL, experiment.TRUSTED
    for name, estimator in (
      ('tokens', 'length'),
      ('nsp', 'signal_and_length'),
    ):
      exact = world.exact(WORLD, estimator)
      for key, want in (
        (f'{rouge}/{name}/auroc', exact.observed),
        (f'{alias}/{name}/auroc', exact.true),
        (f'{rouge}/{name}/within', exact.within),
        (f'{alias}/{name}/within', exact.true_within),
      ):
        self.assertAlmostEqual(found[key][0], want, places=5, msg=key)
      self.assertAlmostEqual(
        found[f'{rouge}/{name}/bias'], exact.inflation, places=5
      )
    # Section 9 of the spec: of what says nothing, five sixths are made.
    self.assertAlmostEqual(found[f'{rouge}/tokens/auroc'][0], 5 / 6, places=5)
    self.assertAlmostEqual(found[f'{alias}/tokens/auroc'][0], 0.5, places=5)
    # The signal is 0.75, and within lengths the lexical labels say so, too.
    self.assertAlmostEqual(found[f'{rouge}/nsp/within'][0], 0.75, places=5)
    # All that are right hold the reference; those of 3 to 11 words pass.
    self.assertEqual(found[f'{alias}/correct'], 72)
    self.assertEqual(found[f'{rouge}/correct'], 36)
    self.assertEqual(found['rougel_recall@1/correct'], 72)
    self.assertLess(found['spearman/function/rougel_f1'], -0.1)
    self.assertAlmostEqual(
      found['spearman/function/rougel_recall'], 0, places=5
    )
    self.assertEqual(found['n'], 144)
    self.assertAlmostEqual(found['tokens'], 11.5, places=5)
    # The state tells the truth, and the probe reads it.
    self.assertEqual(found[f'{alias}/probe_alias/auroc'][0], 1.0)
    self.assertEqual(
      found['array/functions'],
      'rouge1_f1,rougel_f1,rougel_recall,squad_f1,alias',
    )
    self.assertEqual(found['array/values'].shape, (5, 144))

  def test_nothing_right_leaves_settings_out_and_the_rest_stands(self):
    said = tuple(
      one._replace(greedy='oak', question=one.question._replace(answers=('x',)))
      for one in records()
    )
    found = measure(said)
    self.assertIn('alias/omitted', found)
    self.assertEqual(found['alias/correct'], 0)
    self.assertFalse(any('/probe_' in name for name in found))
    self.assertEqual(experiment.claims({'m': [experiment.flat(found)]}), {})


class JudgeTest(absltest.TestCase):
  def test_rows_that_the_judge_fails_on_are_left_out_of_its_setting(self):
    # An empty answer is wrong, and nobody is asked.
    said = records()
    said = (said[0]._replace(greedy=''), *said[1:])
    truth = np.array([one.answer_hidden[0] for one in said])
    number = 0

    def ask(prompts):
      nonlocal number
      out = []
      for text in prompts:
        number += 1
        given = re.search('that was given is: (.*)', text)[1].lower()
        if number % 10 == 3:
          out.append('Hm.')
        elif number % 10 == 7:
          out.append(reply.Failure('timed out'))
        else:
          out.append('Yes.' if 'quartz onyx' in given else 'No, because')
      return out

    @contextlib.contextmanager
    def opened(name, dtype):
      self.assertEqual((name, dtype), ('some judge', 'bfloat16'))
      yield mock.Mock(ask=ask)

    study = study_lib.Study(
      samples=2, encoder='', judge='some judge', judge_compute='bfloat16'
    )
    with mock.patch.object(judge_lib.local.Local, 'open', opened):
      found = measure(said, study)
    # 143 were asked: 3, 13 .. 143 could not be read, 7 .. 137 never came.
    self.assertEqual(number, 143)
    self.assertEqual(found['judge/answers'], 144)
    self.assertEqual(found['judge/unparsed'], 15)
    self.assertEqual(found['judge/unanswered'], 14)
    self.assertEqual(found['judge/known'], 144 - 29)
    self.assertEqual(found['alias/known'], 144)
    judged = found['array/values'][-1]
    failed = np.isin(np.arange(144) % 10, (3, 7))
    np.testing.assert_array_equal(np.isnan(judged), failed)
    want = np.where(np.arange(144) > 0, truth, 0)
    np.testing.assert_array_equal(judged[~failed], want[~failed])
    # By pairs of what it labelled.
    u = np.array([len(one.greedy_tokens) for one in said], float)
    h = judged
    below = u[h == 1][:, None] < u[h == 0]
    equal = u[h == 1][:, None] == u[h == 0]
    self.assertAlmostEqual(
      found['judge/tokens/auroc'][0], (below + 0.5 * equal).mean(), places=5
    )
    # The probe learns from its labels, and scores all.
    self.assertGreater(found['alias/probe_judge/auroc'][0], 0.95)


class AnswersTest(absltest.TestCase):
  def test_tokens_before_the_end_and_an_empty_answer_is_its_end(self):
    asked = support.question(4)
    said = (
      support.said(asked, ['12', '', '7']),
      support.said(asked, ['', '5', '5'], ended=np.array([1, 0, 1], bool)),
    )
    found = answers.of(
      cell.of(said, 'sentence'), study_lib.Study(samples=2), NO_MODELS
    )
    self.assertEqual(found.lengths.tolist(), [2, 1])
    self.assertEqual(found.characters.tolist(), [2, 0])
    # '5' was cut: its last token is a part of it.
    self.assertEqual(found.sample_lengths.tolist(), [[2, 1], [1, 2]])
    half = np.log(0.5)
    np.testing.assert_allclose(
      found.sample_logprobs,
      [[[half, half], [half, 0]], [[half, 0], [half, half]]],
    )
    self.assertEqual(found.clusters.tolist(), [[0, 1], [0, 1]])
    self.assertEqual(found.logprobs.shape, (2, 2))
    # Words are alike only where texts are equal; an empty one is like itself.
    np.testing.assert_array_equal(found.with_greedy, [[1, 0], [1, 0]])
    np.testing.assert_array_equal(found.similarity, found.lexical)
    np.testing.assert_array_equal(found.similarity[0], np.eye(2))
    # Without an encoder nobody says what a token adds.
    self.assertIsNone(found.relevance)
    estimates = table.estimate(found)
    self.assertEqual(
      set(names.NAMES) - set(estimates),
      {'token_sar', 'sar', 'p_true', 'verbal_1s', 'verbal_2s'}
      | {'probe_rouge', 'probe_judge', 'probe_alias'},
    )
    for name, value in estimates.items():
      self.assertTrue(np.isfinite(value).all(), name)

  def test_meanings_by_a_sentence_encoder(self):
    said = (support.said(support.question(4), ['5', 'five', '6']),)
    vectors = {'5': (1, 0), 'five': (0.8, 0.6), '6': (0, 1)}
    encoder = mock.Mock(
      sentences=lambda texts: np.array([vectors[text] for text in texts])
    )
    for same, want in ((0.7, [0, 0, 1]), (0.9, [0, 1, 2]), (0.0, [0, 1, 2])):
      study = study_lib.Study(samples=3, same=same)
      found = answers.of(
        cell.of(said, 'sentence'), study, study_lib.Models(encoder=encoder)
      )
      self.assertEqual(found.clusters.tolist(), [want])
    cosines = [[1, 0.8, 0], [0.8, 1, 0.6], [0, 0.6, 1]]
    np.testing.assert_allclose(found.similarity[0], cosines, atol=1e-6)
    # The greedy answer is the first sample.
    np.testing.assert_allclose(found.with_greedy[0], cosines[0], atol=1e-6)

  def test_what_a_model_says_of_its_answers(self):
    reports = [
      self_report.Report('a', math.log(0.5), 'Guess: 3\nProbability: 80%', '1'),
      self_report.Report('b', -math.inf, 'Guess: 3', 'no idea'),
    ]
    scores, unread = answers.reported(reports)
    np.testing.assert_allclose(scores['p_true'], [math.log(2), math.inf])
    np.testing.assert_allclose(scores['verbal_1s'], [0.2, 0.5])
    np.testing.assert_allclose(scores['verbal_2s'], [0, 0.5])
    self.assertEqual(unread, {'verbal_1s/unread': 0.5, 'verbal_2s/unread': 0.5})
    # A base model is asked P(True) alone.
    bare = [one._replace(one_step='', two_steps='') for one in reports]
    scores, unread = answers.reported(bare)
    self.assertEqual((set(scores), unread), ({'p_true'}, {}))


FIGURES = {
  'a/alias/known': 9,
  'a/alias/few': 0,
  'a/alias/tokens/auroc': [0.5, 0, 1],
  'b/alias/known': 9,
  'b/alias/few': 0,
  'b/alias/tokens/auroc': [0.7, 0, 1],
  'c/alias/known': 9,
  'c/alias/few': 1,
  'c/alias/tokens/auroc': [0.0, 0, 1],
  'a/rougel_f1@0.3/known': 9,
  'a/rougel_f1@0.3/few': 0,
  'a/rougel_f1@0.3/tokens/auroc': [0.8, 0, 1],
  'b/rougel_f1@0.3/known': 9,
  'b/rougel_f1@0.3/few': 1,
  'b/rougel_f1@0.3/tokens/auroc': [0.0, 0, 1],
  'c/rougel_f1@0.3/known': 9,
  'c/rougel_f1@0.3/few': 0,
  'c/rougel_f1@0.3/omitted': 'one class',
  # Enough by ROUGE, too few by the trusted setting.
  'd/alias/known': 9,
  'd/alias/few': 1,
  'd/rougel_f1@0.3/known': 9,
  'd/rougel_f1@0.3/few': 0,
  'd/rougel_f1@0.3/tokens/auroc': [0.1, 0, 1],
  'a/alias/ppl/auroc': [0.9, 0, 1],
}


class MeansTest(absltest.TestCase):
  def test_over_the_sets_that_have_enough(self):
    found = experiment.means(FIGURES, ('a', 'b', 'c', 'd'))
    self.assertEqual(
      {key: round(value, 6) for key, value in found.items()},
      {
        'mean/alias/sets': 2,
        'mean/alias/tokens/auroc': 0.6,
        # `ppl` is not there for b: of different sets there is no mean.
        'mean/rougel_f1@0.3/sets': 1,
        'mean/rougel_f1@0.3/tokens/auroc': 0.8,
      },
    )

  def test_claims_by_hand(self):
    run = {
      'a/rougel_f1@0.3/tokens/auroc': 0.8,
      'a/rougel_f1@0.3/few': 0,
      'a/alias/tokens/auroc': 0.5,
      'a/alias/nsp/auroc': 0.5,
      'a/alias/few': 0,
      # Too few by one of them: of no account.
      'b/rougel_f1@0.3/tokens/auroc': 0.1,
      'b/rougel_f1@0.3/few': 1,
      'b/alias/tokens/auroc': 0.9,
      'b/alias/few': 0,
      # Over other sets by each setting, so nothing to compare.
      'mean/rougel_f1@0.3/tokens/auroc': 0.0,
      'mean/alias/tokens/auroc': 1.0,
      'a/spearman/function/rougel_f1': -0.5,
      'b/spearman/function/rougel_f1': -0.3,
    }
    other = run | {'a/alias/tokens/auroc': 0.6}
    found = experiment.claims({'m': [run, other]})
    got = {
      k.removeprefix('m: ').partition(' by ')[0]: v for k, v in found.items()
    }
    np.testing.assert_allclose(got['length looks better'], (0.25, 0.2, 0.3))
    (rest,) = (v for k, v in found.items() if 'Spearman' in k)
    np.testing.assert_allclose(rest, (-0.4,) * 3)
    self.assertLen(found, 2)

  def test_intervals_are_three_keys(self):
    got = experiment.flat({'x': [0.5, 0.4, 0.6], 'y': 3, 'z': 'why'})
    want = {'x': 0.5, 'x_low': 0.4, 'x_high': 0.6, 'y': 3, 'z': 'why'}
    self.assertEqual(got, want)
    summary = {f's/{key}': value for key, value in got.items()}
    summary |= {'array/s': 1, 'plain': 2}
    self.assertEqual(
      length_plots.tables(summary),
      {'s': {'x': [0.5, 0.4, 0.6], 'y': 3, 'z': 'why'}},
    )


class StudyTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    made = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(made)
    self.addCleanup(plt.close, 'all')

  def config(self):
    model = self.folder / 'model.gguf'
    model.write_bytes(b'never opened')
    cfg = length_bias.get_config('smoke').to_dict()
    cfg['study']['samples'] = 2
    cfg['record'] |= dict(
      model=str(model),
      questions=144,
      samples=3,
      file=144,
      folder=str(self.folder / 'said'),
    )
    return cfg

  def align_score(self):
    """A stand-in for the authors' package, which takes "quartz" for support."""

    class AlignScore:
      def __init__(self, *, ckpt_path, model, **options):
        self.opened = pathlib.Path(ckpt_path).name, model

      def score(self, *, contexts, claims):
        return [float('quartz' in claim.lower()) for claim in claims]

    module = types.ModuleType('alignscore')
    module.AlignScore = AlignScore
    self.enter_context(mock.patch.dict(sys.modules, alignscore=module))

  def test_from_a_recording_to_figures(self):
    cfg = self.config()
    self.align_score()
    said = records()
    truth = {one.question.id: int(one.answer_hidden[0]) for one in said}
    # Two raters of half of the answers, who differ about four.
    lines = [
      {'id': id_, 'label': right ^ (rater == 'B' and i < 4), 'rater': rater}
      for i, (id_, right) in enumerate([*truth.items()][:72])
      for rater in 'AB'
    ]
    for name, text in (
      ('base.ckpt', ''),
      ('ratings.jsonl', '\n'.join(map(json.dumps, lines))),
    ):
      (self.folder / name).write_text(text)
    cfg['study'] |= dict(
      align=str(self.folder / 'base.ckpt'),
      align_model='roberta-base',
      ratings=str(self.folder / 'ratings.jsonl'),
    )
    wanted = options.section(cfg['record'], 'record', record.Recording)
    manifest_lib.begin(wanted.at(), wanted.manifest())
    log.write(
      log.shard(wanted.at(), record.cell('arithmetic', 'sentence'), 0),
      said,
    )
    with mock.patch.object(record, 'open_model', side_effect=AssertionError):
      found = (
        experiment.build(cfg).open().final['test'](None, jax.random.key(1))
      )
    # One set: the mean is its own.
    key = f'{experiment.LEXICAL}/tokens/auroc'
    self.assertAlmostEqual(found[f'mean/{key}'], found[f'arithmetic/{key}'])
    self.assertBetween(
      found[f'arithmetic/{key}'],
      found[f'arithmetic/{key}_low'],
      found[f'arithmetic/{key}_high'],
    )
    # AlignScore and people, both as right as the truth that made the answers.
    self.assertEqual(found['arithmetic/align_score@0.5/correct'], 72)
    self.assertEqual(found['arithmetic/people/rated'], 72)
    self.assertEqual(found['arithmetic/people/raters'], 2)
    for setting in ('alias', 'align_score@0.5', 'rougel_recall@1'):
      start = f'arithmetic/kappa/{setting}/people'
      self.assertEqual(found[f'{start}/A'], 1)
      self.assertLess(found[f'{start}/B'], 1)
      self.assertEqual(found[f'{start}_high'], 1)
    self.assertEqual(found['arithmetic/people/sweep/align_score@0.5'], 1)
    # Two samples that say different things: nothing was collapsed.
    self.assertEqual(found['arithmetic/alone'], 1)
    self.assertEqual(found['arithmetic/collapse'], 1)
    # The controlled world of the config, by its closed form.
    self.assertAlmostEqual(
      found['controlled/length/observed@dial=1'], 0.9375, places=6
    )
    summary, arrays = writer.scalars_and_arrays(found)
    self.assertEmpty({k for k, _, _ in experiment.COLUMNS} - set(summary))
    claims = experiment.claims({'m': [summary]})
    self.assertLen(claims, len(experiment.CLAIMS))
    for name, (mean, _, _) in claims.items():
      if '(> 0)' in name and 'length looks' in name:
        self.assertGreater(mean, 0.2)

    run = self.folder / 'run'
    (run / 'evals').mkdir(parents=True)
    np.savez(run / 'evals' / 'test-final.npz', **arrays)
    (run / 'summary.json').write_text(json.dumps(summary))
    (run / 'config.json').write_text(
      json.dumps({'experiment': 'calibration.length_bias.experiment'})
    )
    paths = length_plots.draw(run)
    names = [path.stem.rpartition('arithmetic-')[2] for path in paths]
    self.assertEqual(
      names,
      ['heat', 'ranking', 'scatter', 'agreement', 'people', 'world-dial'],
    )
    for path in paths:
      self.assertGreater(path.stat().st_size, 5000)
    shown = length_plots.show(run, colour=False)
    self.assertRegex(shown, rf'tokens .*{summary[f"mean/{key}"]:.3f}')
    self.assertIn('run, arithmetic: 100% of samples: nearly every', shown)

  def test_the_config_with_a_judge_holds_it_in_half_of_the_memory(self):
    cfg = length_bias.get_config('judge').to_dict()
    experiment.build(cfg)
    study = options.section(cfg['study'], 'study', study_lib.Study)
    self.assertStartsWith(study.judge, 'qwen')
    self.assertEqual(study.judge_compute, 'bfloat16')
    self.assertTrue(engine_assets.identity(study.judge))

  def test_misspelt_files_and_models_are_named_before_anything_is_asked(self):
    for name in ('large.ckpt', 'ratings.jsonl'):
      (self.folder / name).touch()
    for change, what in (
      (dict(align='larg.ckpt'), "study.align must .*mean 'large.ckpt'"),
      (dict(ratings='rating.jsonl'), "study.ratings .*mean 'ratings.jsonl'"),
      (dict(align='large.ckpt'), "package 'alignscore'.*study.align to ''"),
    ):
      cfg = self.config()
      cfg['study'] |= {k: str(self.folder / v) for k, v in change.items()}
      with self.assertRaisesRegex(ValueError, what):
        experiment.build(cfg)
    self.align_score()
    cfg['study']['align_model'] = 'roberta-larg'
    with self.assertRaisesRegex(ValueError, "did you mean 'roberta-large'"):
      experiment.build(cfg)

  def test_ratings_of_several_sets_and_of_none(self):
    path = self.folder / 'ratings.csv'
    path.write_text('id,label\nb-1,1\nboth,0\n')
    study = study_lib.Study(ratings=str(path))

    def cells(**ids):
      return {
        name: mock.Mock(
          said=[support.said(support.question(id=i), ['1']) for i in row]
        )
        for name, row in ids.items()
      }

    found = study_lib.rated(
      study, cells(a=['a-1', 'both'], b=['b-1', 'both'], c=['c-1'])
    )
    np.testing.assert_array_equal(found['a'].labels, [[np.nan, 0]])
    np.testing.assert_array_equal(found['b'].labels, [[1, 0]])
    self.assertIsNone(found['c'])
    with self.assertRaisesRegex(ValueError, 'none of the 1 .* such as c-1'):
      study_lib.rated(study, cells(c=['c-1']))
    self.assertEqual(
      study_lib.rated(study_lib.Study(), {'a': None}), {'a': None}
    )

  @parameterized.parameters(
    ('record', dict(styles=('cot',)), r"record.styles must be \('sentence',\)"),
    ('study', dict(samples=9), 'study.samples=9 must be recorded, but .*=3'),
    ('study', dict(samples=0), 'study.samples must be positive'),
    ('study', dict(same=1.5), r'study.same must be in \[0, 1\]'),
    ('study', dict(same=0.5), 'study.same=0.5 needs .* set study.encoder'),
    ('study', dict(judges=''), 'study.judges is not a key'),
    ('study', dict(judge_compute='int4'), 'judge_compute must be float32 or'),
    ('world', dict(dial=2.0), r'world.dial must lie in \[0, 1\]'),
  )
  def test_what_does_not_fit_is_said_first(self, section, change, what):
    cfg = self.config()
    cfg[section] |= change
    with self.assertRaisesRegex(ValueError, what):
      experiment.build(cfg).open()


if __name__ == '__main__':
  absltest.main()
