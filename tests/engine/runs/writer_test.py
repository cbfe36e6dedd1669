"""Files of a run, and exact means."""

import json
import os
import pathlib
import re
import stat
import tempfile
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from engine import metrics
from engine.report import figures
from engine.runs import results, writer
from tests import files

_PRODUCT = (
  'calibration',
  'corpora',
  'diffusion_sampler',
  'engine',
  'lacy',
  'launch',
  'lm',
  'probes',
)


class ReplaceTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    made = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(made)

  def write(self, path, text, folder):
    """A file, or a folder that holds one."""
    if folder:
      path.mkdir()
      path = path / 'inside'
    path.write_text(text)

  @parameterized.parameters(False, True)
  def test_a_block_that_fails_leaves_nothing_behind(self, folder):
    path = self.folder / 'new' / 'a.npz'
    for kind in (ValueError, KeyboardInterrupt):
      with self.assertRaises(kind), writer.replace(path) as temporary:
        self.write(temporary, 'half', folder)
        raise kind
    with self.assertRaises(ZeroDivisionError), writer.replace(path):
      _ = 1 / 0  # before anything was written
    self.assertEmpty(list(path.parent.iterdir()))

  def test_the_old_file_stands_until_the_new_one_is_whole(self):
    path = self.folder / 'a.txt'
    path.write_text('old')
    with writer.replace(path) as temporary:
      temporary.write_text('new')
      self.assertEqual(path.read_text(), 'old')
      self.assertEqual(temporary.suffix, '.txt')  # numpy adds it otherwise
    self.assertEqual(path.read_text(), 'new')
    self.assertEqual(list(self.folder.iterdir()), [path])

  @parameterized.parameters(
    (False, ['file', 'rename', 'folder']),
    (True, ['file', 'folder', 'rename', 'folder']),
  )
  def test_is_on_the_disk_before_its_name_and_the_name_after(
    self, folder, expected
  ):
    seen, rename = [], os.replace

    def fsync(number):
      made = stat.S_ISDIR(os.fstat(number).st_mode)
      seen.append('folder' if made else 'file')

    def replace(*names):
      seen.append('rename')
      rename(*names)

    with (
      mock.patch.object(os, 'fsync', fsync),
      mock.patch.object(os, 'replace', replace),
      writer.replace(self.folder / 'a') as temporary,
    ):
      self.write(temporary, 'text', folder)
    self.assertEqual(seen, expected)

  def test_nobody_else_renames_by_hand(self):
    by_hand = re.compile(r'os\.(replace|rename)\(|\.rename\(|uuid4\(\)\.hex')
    found = {
      str(path.relative_to(files.ROOT))
      for package in ('benchmarks', *_PRODUCT)
      for path in (files.ROOT / package).rglob('*.py')
      if by_hand.search(path.read_text('utf-8'))
    }
    # The server makes ids; a damaged checkpoint is moved out of the way; a
    # fetch that was cut goes on in the folder that it left.
    others = {'lm/serving/form.py', 'engine/checkpoint.py', 'engine/assets.py'}
    self.assertEqual(found - others, {'engine/runs/writer.py'})


class WriterTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    made = self.enter_context(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(made)

  def lines(self):
    text = (self.folder / 'metrics.jsonl').read_text()
    return [json.loads(line) for line in text.splitlines()]

  def test_rewinds_to_a_step_and_drops_a_torn_line(self):
    out = writer.Writer(self.folder)
    for step in (1, 2, 3):
      out.metrics(step, {'x': step / 2})
    with open(self.folder / 'metrics.jsonl', 'a') as file:
      file.write('{"step": 4, "x"')
    out.rewind(2)
    self.assertEqual(
      self.lines(), [{'step': 1, 'x': 0.5}, {'step': 2, 'x': 1.0}]
    )

  def test_rewinds_what_is_made_again_at_the_step_itself(self):
    out = writer.Writer(self.folder)
    for step in (1, 2):
      out.metrics(step, {'train/x': step})
      out.metrics(step, {'eval/y': step})
    out.rewind(2, redo='eval/')
    self.assertEqual(
      self.lines(),
      [
        {'step': 1, 'train/x': 1},
        {'step': 1, 'eval/y': 1},
        {'step': 2, 'train/x': 2},
      ],
    )

  def test_rewinds_over_lines_that_are_no_entry(self):
    out = writer.Writer(self.folder)
    out.metrics(1, {'x': 1})
    with open(self.folder / 'metrics.jsonl', 'ab') as file:
      file.write(b'8\n{"a": 1}\n[]\nnull\n{"step": "2"}\n\n\xff{\n')
    out.metrics(2, {'x': 2})
    self.assertEqual(
      figures.history(self.folder, 'x'), ([1, 2], [1, 2]), 'to be drawn'
    )
    out.rewind(1)
    self.assertEqual(self.lines(), [{'step': 1, 'x': 1}])

  def test_what_is_not_finite_becomes_null(self):
    writer.Writer(self.folder).metrics(1, {'x': float('nan'), 'y': 'text'})
    self.assertEqual(self.lines(), [{'step': 1, 'x': None, 'y': 'text'}])

  def test_json_is_whole_or_not_at_all(self):
    path = self.folder / 'a.json'
    writer.write_json(path, {'x': 1})
    with self.assertRaises(TypeError):
      writer.write_json(path, {'x': object()})
    self.assertEqual(json.loads(path.read_text()), {'x': 1})
    self.assertEqual([p.name for p in self.folder.iterdir()], ['a.json'])

  @parameterized.parameters(b'', b'\n', b'{"x": [1, ', b'\xff\xfe')
  def test_a_damaged_json_file_is_named(self, data):
    path = self.folder / 'summary.json'
    path.write_bytes(data)
    with self.assertRaisesRegex(ValueError, 'summary.json must hold JSON, but'):
      writer.read_json(path)

  def test_splits_scalars_from_arrays(self):
    scalars, arrays = writer.scalars_and_arrays(
      {'a': jnp.float32(2), 'b': 'text', 'c': np.arange(3), 'd': 4}
    )
    self.assertEqual(scalars, {'a': 2.0, 'b': 'text', 'd': 4})
    self.assertEqual(list(arrays), ['c'])
    writer.Writer(self.folder).arrays('x', 'final', arrays)
    with np.load(self.folder / 'evals' / 'x-final.npz') as file:
      np.testing.assert_array_equal(file['c'], [0, 1, 2])

  def test_only_one_process_writes(self):
    out = writer.Writer(self.folder, active=False)
    out.metrics(1, {'x': 1})
    out.json('a.json', {})
    out.arrays('x', 'y', {'z': np.zeros(1)})
    self.assertEqual(list(self.folder.iterdir()), [])

  def test_tensorboard_event_file(self):
    out = writer.Writer(self.folder, tensorboard=True)
    out.metrics(1, {'x': 1.0, 'name': 'text'})
    self.assertNotEmpty(list((self.folder / 'tb').glob('events*')))


class MeanTest(absltest.TestCase):
  def test_merging_equals_one_mean(self):
    values, weights = np.array([1.0, 4.0, 7.0]), np.array([1.0, 0.5, 2.0])

    @jax.jit
    def merged(values, weights):
      first = metrics.Mean.of(values[:1], weights[:1])
      return first.merge(metrics.Mean.of(values[1:], weights[1:])).compute()

    got = float(merged(values, weights))
    self.assertAlmostEqual(got, np.average(values, weights=weights), places=6)

  def test_weight_zero_silences_nan(self):
    got = jax.jit(metrics.Mean.of)(np.array([np.nan, 3.0]), np.array([0, 2.0]))
    self.assertEqual(got.compute(), 3.0)

  def test_nothing_counted_is_nan(self):
    nothing = metrics.Mean(total=np.float32(0), count=jnp.float32(0))
    self.assertTrue(np.isnan(nothing.compute()))


class ResultsTest(absltest.TestCase):
  def test_says_how_it_was_made(self):
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder) / 'new' / 'r.json'
      results.write(
        path, {'a/b': [1, 0, 2]}, command='make x', seconds=1.26, seeds=(0, 1)
      )
      got = json.loads(path.read_text())
    self.assertEqual(got['results'], {'a/b': [1, 0, 2]})
    self.assertEqual(got['command'], 'make x')
    self.assertEqual((got['seconds'], got['seeds']), (1.3, [0, 1]))
    self.assertIn('jax', got['versions'])
    self.assertRegex(got['date'], r'\d{4}-\d\d-\d\d')
    self.assertRegex(got['machine'], r'\d+ cores$')

  def test_names_the_accelerators(self):
    device = mock.Mock(platform='tpu', device_kind='TPU v5e')
    with mock.patch.object(jax, 'devices', return_value=[device] * 4):
      self.assertRegex(results.machine(), r' cores, 4 TPU v5e$')


if __name__ == '__main__':
  absltest.main()
