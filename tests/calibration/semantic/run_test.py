"""A recording made by hand, through a sweep of the study to its figures."""

import pathlib
import tempfile
from unittest import mock

import jax
import matplotlib.pyplot as plt
import numpy as np
from absl.testing import absltest

from calibration.correctness import collapse
from calibration.recording import log, record
from calibration.semantic import experiment
from calibration.semantic import plots as semantic_plots
from configs.calibration import semantic
from engine import options
from engine.runs import manifest as manifest_lib
from launch import variants
from tests.calibration import support


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
    cfg.record.update(
      model=str(model),
      styles=('concise', 'cot'),
      questions=40,
      samples=support.SAMPLES,
      file=40,
      folder=str(self.folder / 'said'),
    )
    return cfg

  def record(self, cfg):
    wanted = options.section(cfg.record.to_dict(), 'record', record.Recording)
    manifest_lib.begin(wanted.at(), wanted.manifest())
    for style, records in (
      ('concise', support.calibrated()),
      ('cot', support.too_sure('cot')),
    ):
      name = record.cell('arithmetic', style)
      log.write(log.shard(wanted.at(), name, 0), records)

  def test_from_a_recording_to_figures(self):
    cfg = self.config()
    self.record(cfg)
    # No sample is alone in these cells: the note is forced.
    with (
      mock.patch.object(record, 'open_model', side_effect=AssertionError),
      mock.patch.object(collapse, 'ALONE', -1.0),
    ):
      (summary,) = variants.sweep(cfg, self.folder / 'run')['smollm2']
    self.assertAlmostEqual(summary['arithmetic/concise/gap'], 0, places=5)
    self.assertAlmostEqual(summary['arithmetic/cot/gap'], 0.3, places=5)
    self.assertAlmostEqual(summary['cot/gap'], 0.3, places=5)
    columns = {key for key, _, _ in experiment.COLUMNS}
    self.assertEqual(
      columns - set(summary),
      {f'sentence/{key}' for key in ('smece', 'floor', 'gap')},
    )
    claims = experiment.claims({'m': [summary]})
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
    paths = semantic_plots.draw(run)
    self.assertLen(paths, 2)
    for path in paths:
      self.assertGreater(path.stat().st_size, 5000)
    table, *notes = semantic_plots.show(run, colour=False).split('\n\n')
    self.assertLen(notes, 2)
    self.assertIn('arithmetic/cot: 0% of samples: nearly every', notes[1])
    rows = table.splitlines()
    self.assertLen(rows, 3)
    self.assertRegex(rows[2], r'arithmetic/cot +40 +20 +0\.500 +0\.800 +0\.300')

  def test_another_models_recording_is_refused(self):
    cfg = self.config()
    self.record(cfg)
    other = self.folder / 'other' / 'model.gguf'
    other.parent.mkdir()
    other.write_bytes(b'another one')
    cfg.record.model = str(other)
    test = experiment.build(cfg.to_dict()).open().final['test']
    with self.assertRaisesRegex(ValueError, 'holds another recording .weights'):
      test(None, jax.random.key(0))

  def test_fields_that_do_not_fit(self):
    cfg = self.config()
    cfg.probe.penalti = 1
    with self.assertRaisesRegex(ValueError, 'probe.penalti is not a key'):
      experiment.build(cfg.to_dict()).open()

  def test_a_folder_without_a_run(self):
    with self.assertRaisesRegex(FileNotFoundError, 'neither summary.json nor'):
      semantic_plots.draw(self.folder)


if __name__ == '__main__':
  absltest.main()
