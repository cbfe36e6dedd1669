"""Cells whose calibration was made by hand, through the whole study."""

import dataclasses
import pathlib
import tempfile
from unittest import mock

import jax
import matplotlib.pyplot as plt
import numpy as np
from absl.testing import absltest
from ml_collections import ConfigDict

from calibration import (
  cell,
  log,
  plots,
  record,
  recording_setup,
  semantic_plots,
  semantic_study,
)
from calibration.semantic import probe
from configs.calibration import semantic
from launch import variants
from tests.calibration import support

CONFIG = probe.ProbeConfig(penalty=0.01, iterations=40)
DRAWS, SAMPLES = 50, 20


def said(number, top, right, style='concise', **changes):
  """`top` of 20 samples give one answer, the rest two others.

  The share is the same in each half of the samples.
  """
  answer = str(100 + number)
  wrong = [str(300 + 200 * i + number) for i in range(3)]
  first, rest = (answer if right else wrong[2]), SAMPLES - top
  half = [first] * (top // 2) + wrong[:2] * (rest // 4)
  texts = half + half
  if style == 'cot':
    texts = [f'Well. The answer is {text}.' for text in texts]
  asked = support.question(99 + number, answers=(answer,))
  hidden = np.zeros(4, np.float32)
  hidden[0] = top / SAMPLES
  return support.said(asked, texts, prompt_hidden=hidden, **changes)


def calibrated(style='concise'):
  """Confidences 0.6 and 0.8, and so many of 20 questions right at each."""
  return tuple(
    said(20 * (top == 16) + i, top, i < top, style)
    for top in (12, 16)
    for i in range(20)
  )


def too_sure(style='concise'):
  """0.8 throughout, and half of 40 questions right."""
  return tuple(said(i, 16, i < 20, style) for i in range(40))


def measure(records, style='concise'):
  return semantic_study.measure(
    'made',
    jax.random.key(0),
    cell.of(records, style),
    style,
    CONFIG,
    draws=DRAWS,
  )


class MeasureTest(absltest.TestCase):
  def assertFigures(self, figures, want):
    for name, value in want.items():
      self.assertAlmostEqual(figures[name], value, places=5, msg=name)

  def test_a_calibrated_cell_is_found_so(self):
    found, drawn = measure(calibrated())
    self.assertFigures(
      found,
      dict(
        n=40,
        samples=20,
        right=0.7,
        confidence=0.7,
        gap=0,
        split_gap=0,
        ece=0,
        rms=0,
        # c (1 - c) at each level.
        brier=(0.24 + 0.16) / 2,
        loss_gap=0,
        entropy=-0.5
        * sum(p * np.log(p) for p in (0.6, 0.2, 0.2, 0.8, 0.1, 0.1)),
        unanswered=0,
        sample_right=(12 * 0.6 + 16 * 0.8) / 40,
        cut=0,
        greedy_right=0.7,
        # 28 right and 12 wrong: 16 x 8 pairs won, 12 x 8 + 16 x 4 tied.
        auroc=(128 + 160 / 2) / 336,
      ),
    )
    # As low as it can be, and far below what chance would give so few.
    self.assertLess(found['smece'], 0.005)
    self.assertGreater(found['floor'], 0.04)
    # Three texts of as many tokens at one half each: the first is the top.
    self.assertFigures(found, {'weighted/gap': 1 / 3 - 0.7})
    # A tilt learns how one half of so few differs, and the other differs the
    # other way.
    self.assertLess(found['tau/saved'], 0)
    # The state tells the level, and so all of the distribution by rank.
    # The constant lacks 0.0242 at least, KL to the mean of both levels.
    self.assertBetween(found['probe/constant'], 0.0241, 0.03)
    self.assertLess(found['probe/kl'], 0.2 * found['probe/constant'])
    self.assertEqual((drawn.answers, drawn.samples), (40, 20))
    self.assertFalse(any(name.startswith('exact/') for name in found))

  def test_the_gap_that_was_made_is_found(self):
    found, _ = measure(too_sure())
    kl = 0.5 * np.log(0.5 / 0.8) + 0.5 * np.log(0.5 / 0.2)
    self.assertFigures(
      found,
      dict(
        right=0.5,
        confidence=0.8,
        gap=0.3,
        split_gap=0.3,
        ece=0.3,
        rms=0.3,
        brier=0.5 * (0.04 + 0.64),
        loss_gap=kl,
        auroc=0.5,
      ),
    )
    # Confidences that are all one: the smoothed error is the gap.
    self.assertAlmostEqual(found['smece'], 0.3, delta=0.005)
    self.assertGreater(found['smece'], found['floor_high'])
    self.assertGreater(found['smece_low'], found['floor'])
    self.assertLess(found['smece_low'], 0.3)
    # A tilt learns the level, from which halves of the questions may differ.
    self.assertAlmostEqual(found['tau/saved'], kl, delta=0.1)
    self.assertLess(found['tau/smece'], 0.2)

  def test_no_answer_is_an_answer_that_is_wrong(self):
    records = tuple(
      support.said(support.question(i), [''] * 20, ended=np.arange(20) < 15)
      for i in range(40)
    )
    found, drawn = measure(records)
    self.assertFigures(
      found,
      dict(
        right=0, confidence=1, gap=1, unanswered=1, cut=0.25, greedy_right=0
      ),
    )
    # Not defined for one class, and without end for a 1 that was wrong.
    self.assertNoCommonElements(found, ('auroc', 'loss_gap'))
    self.assertGreater(found['smece'], 0.9)
    for value in (*found.values(), *drawn.smece, *drawn.floor):
      self.assertTrue(np.isfinite(value))

  def test_closed_sets_are_scored_without_samples(self):
    # Samples say 0.8 and wrong; the model's own masses are 0.7 and right.
    records = tuple(
      said(
        i,
        16,
        False,
        candidates=(str(100 + i), f'{100 + i}.0', '7'),
        candidate_logprobs=np.log(np.float32([0.5, 0.2, 0.1])),
      )
      for i in range(40)
    )
    found, _ = measure(records)
    self.assertFigures(
      found,
      {
        'right': 0,
        'exact/covered': 0.8,
        'exact/confidence': 0.7,
        'exact/right': 1,
        'exact/gap': -0.3,
      },
    )
    self.assertAlmostEqual(found['exact/smece'], 0.3, delta=0.005)


class HalvesTest(absltest.TestCase):
  def test_groups_stay_together_and_order_does_not_count(self):
    groups = np.array([f'g{i % 10}' for i in range(40)])
    half = semantic_study.halves(groups)
    self.assertEqual(half.sum(), 20)
    for name in set(groups):
      self.assertLen(set(half[groups == name]), 1)
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_array_equal(
      semantic_study.halves(groups[order]), half[order]
    )


class ClaimsTest(absltest.TestCase):
  def test_means_of_cells_by_hand(self):
    run = {
      'a/concise/smece': 0.1,
      'b/concise/smece': 0.2,
      'a/sentence/smece': 0.3,
      'a/cot/smece': 0.6,
      'a/concise/floor': 0.1,
      'b/concise/floor': 0.1,
      'a/sentence/floor': 0.1,
      'a/cot/floor': 0.2,
      'a/concise/split_gap': 0.0,
      'b/concise/split_gap': 0.3,
      'a/sentence/split_gap': 0.0,
      'a/cot/split_gap': -0.4,
      # Of other depth, or a style's own mean.
      'a/concise/exact/smece': 9.0,
      'concise/smece': 9.0,
    }
    other = run | {'a/cot/smece': 0.8}
    found = semantic_study.claims({'m': [run, other]})
    got = {
      name.partition(': ')[2].split(' (')[0]: v for name, v in found.items()
    }
    for name, want in (
      ('direct answers above the floor', (0.1, 0.1, 0.1)),
      ('chains of thought above the floor', (0.5, 0.4, 0.6)),
      ('chains of thought are worse than direct answers', (0.4, 0.3, 0.5)),
      ('too sure when answering directly', (0.1, 0.1, 0.1)),
      ('too sure after a chain of thought', (-0.4, -0.4, -0.4)),
    ):
      np.testing.assert_allclose(got[name], want, atol=1e-9, err_msg=name)

  def test_a_style_that_was_not_asked_makes_no_claim(self):
    run = {f'a/concise/{key}': 0.1 for key in ('smece', 'floor', 'split_gap')}
    found = semantic_study.claims({'m': [run]})
    self.assertLen(found, 2)
    self.assertTrue(all('direct' in name for name in found))


class StudyTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    made = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(made)
    self.addCleanup(plt.close, 'all')

  def config(self):
    model = self.folder / 'model.gguf'
    model.write_bytes(b'never opened')
    cfg = semantic.get_config('smoke')
    # One program for all tests.
    cfg.probe, cfg.draws = ConfigDict(dataclasses.asdict(CONFIG)), DRAWS
    cfg.record.update(
      model=str(model),
      styles=('concise', 'cot'),
      questions=40,
      samples=SAMPLES,
      file=40,
      folder=str(self.folder / 'said'),
    )
    return cfg

  def record(self, cfg):
    wanted = recording_setup.settings(
      cfg.record.to_dict(), 'record', record.Recording
    )
    log.begin(wanted.at(), wanted.manifest())
    for style, records in (
      ('concise', calibrated()),
      ('cot', too_sure('cot')),
    ):
      name = record.cell('arithmetic', style)
      log.write(log.shard(wanted.at(), name, 0), records)

  def test_from_a_recording_to_figures(self):
    cfg = self.config()
    self.record(cfg)
    with mock.patch.object(record, 'open_model', side_effect=AssertionError):
      (summary,) = variants.sweep(cfg, self.folder / 'run')['smollm2']
    self.assertAlmostEqual(summary['arithmetic/concise/gap'], 0, places=5)
    self.assertAlmostEqual(summary['arithmetic/cot/gap'], 0.3, places=5)
    self.assertAlmostEqual(summary['cot/gap'], 0.3, places=5)
    columns = {key for key, _, _ in semantic_study.COLUMNS}
    self.assertEqual(
      columns - set(summary),
      {f'sentence/{key}' for key in ('smece', 'floor', 'gap')},
    )
    claims = semantic_study.claims({'m': [summary]})
    name = 'm: chains of thought are worse than direct answers (> 0)'
    self.assertGreater(claims[name][0], 0.2)
    self._figures(self.folder / 'run')

  def _figures(self, run):
    drawn = semantic_plots.cells(run / 'smollm2-0')
    self.assertEqual(
      list(drawn), [('arithmetic', 'concise'), ('arithmetic', 'cot')]
    )
    self.assertAlmostEqual(drawn['arithmetic', 'cot'].gap, 0.3, places=5)
    axes = semantic_plots.reliability(drawn, 'made').axes
    self.assertEqual(
      [axis.get_title() for axis in axes],
      ['arithmetic, concise', 'arithmetic, cot'],
    )
    # What a reader needs to judge it stands below.
    self.assertIn('n = 40, M = 20', axes[1].get_xlabel())
    self.assertIn('split gap +0.300', axes[1].get_xlabel())
    bars = semantic_plots.styles({'made': drawn}).axes[0]
    heights = [bar.get_height() for bar in bars.patches]
    np.testing.assert_allclose(
      heights, [d.floor[2] for d in drawn.values()], rtol=1e-6
    )
    paths = plots.draw(run)
    self.assertLen(paths, 2)
    for path in paths:
      self.assertGreater(path.stat().st_size, 5000)
    rows = plots.show(run, colour=False).splitlines()
    self.assertLen(rows, 3)
    self.assertRegex(rows[2], r'arithmetic/cot +40 +20 +0\.500 +0\.800 +0\.300')

  def test_another_models_recording_is_refused(self):
    cfg = self.config()
    self.record(cfg)
    other = self.folder / 'other' / 'model.gguf'
    other.parent.mkdir()
    other.write_bytes(b'another one')
    cfg.record.model = str(other)
    test = semantic_study.build(cfg.to_dict()).final['test']
    with self.assertRaisesRegex(ValueError, 'holds another recording .weights'):
      test(None, jax.random.key(0))

  def test_fields_that_do_not_fit(self):
    cfg = self.config()
    cfg.probe.penalti = 1
    with self.assertRaisesRegex(ValueError, 'probe.penalti is no field'):
      semantic_study.build(cfg.to_dict())

  def test_a_folder_without_a_run(self):
    with self.assertRaisesRegex(FileNotFoundError, 'neither config.json nor'):
      plots.draw(self.folder)


if __name__ == '__main__':
  absltest.main()
