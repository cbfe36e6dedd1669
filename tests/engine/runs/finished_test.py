"""Runs that ended, runs that did not, and the folders of a sweep."""

import json
import pathlib
import tempfile

from absl.testing import absltest, parameterized

from engine.runs import finished


def write(folder: pathlib.Path, *, steps=4, made=4, parameters=3) -> None:
  """Files of a run that was asked for `steps` and made `made` (None: died)."""
  folder.mkdir(parents=True, exist_ok=True)
  config = json.dumps({'run': {'steps': steps}})
  (folder / 'config.json').write_text(config)
  if made is not None:
    summary = json.dumps({'steps': made, 'parameters': parameters})
    (folder / 'summary.json').write_text(summary)


class OpenRunTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

  def test_a_finished_run(self):
    write(self.root)
    got = finished.open_run(self.root)
    self.assertEqual(got.config, {'run': {'steps': 4}})
    self.assertEqual(got.summary, {'steps': 4, 'parameters': 3})
    self.assertEqual(got.workdir, self.root)

  def test_nothing_there_names_the_key_and_what_to_train(self):
    with self.assertRaisesRegex(
      FileNotFoundError,
      "lacy.reference='no/such' must be the workdir of a finished run, but has "
      'no config.json; train it with lacy.rule=standard until it ends, or '
      'change --config.lacy.reference',
    ):
      finished.open_run(
        'no/such', key='lacy.reference', train='with lacy.rule=standard'
      )

  def test_an_empty_name_is_not_the_current_folder(self):
    with self.assertRaisesRegex(FileNotFoundError, "start='' must be"):
      finished.open_run('', key='start')

  def test_a_run_that_died_is_not_finished(self):
    write(self.root, made=None)
    with self.assertRaisesRegex(FileNotFoundError, 'has no summary.json'):
      finished.open_run(self.root)

  def test_a_run_that_died_after_it_was_continued_is_not_finished(self):
    write(self.root, steps=8, made=4)
    with self.assertRaisesRegex(ValueError, 'of step 4 .* run.steps=8'):
      finished.open_run(self.root)

  def test_an_evaluation_counts_no_steps(self):
    write(self.root, steps=1, made=0, parameters=0)
    self.assertEqual(finished.open_run(self.root).summary['steps'], 0)

  @parameterized.parameters('', '{"run":', '[1]')
  def test_a_damaged_file_is_named(self, text):
    write(self.root)
    (self.root / 'summary.json').write_text(text)
    with self.assertRaisesRegex(ValueError, 'summary.json must hold (a )?JSON'):
      finished.open_run(self.root)


class SweepRunsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))

  def test_variants_and_seeds_in_order(self):
    sweep = {'variants': ['lacy', 'rho:low'], 'seeds': [3, 4]}
    (self.root / 'sweep.json').write_text(json.dumps(sweep))
    want = {
      'lacy': [self.root / 'lacy-3', self.root / 'lacy-4'],
      'rho:low': [self.root / 'rho-low-3', self.root / 'rho-low-4'],
    }
    got = finished.sweep_runs(self.root)
    self.assertEqual(got, want)
    self.assertEqual(list(got), list(want))

  def test_one_run_is_its_own_sweep(self):
    write(self.root)
    self.assertEqual(finished.sweep_runs(self.root), {'run': [self.root]})

  def test_neither_names_the_key(self):
    write(self.root, made=None)
    with self.assertRaisesRegex(
      FileNotFoundError, 'finished run or sweep.* --config.cascade.runs'
    ):
      finished.sweep_runs(self.root, key='cascade.runs')
    with self.assertRaisesRegex(FileNotFoundError, 'finished run or sweep'):
      finished.sweep_runs('')


if __name__ == '__main__':
  absltest.main()
