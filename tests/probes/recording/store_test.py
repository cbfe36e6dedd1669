"""Recorded activations come back as they were, or say what is wrong."""

import pathlib
import tempfile

import ml_dtypes
import numpy as np
from absl.testing import absltest, parameterized

from engine.runs import manifest as manifest_lib
from probes.recording import store


def answers(count, first=0):
  names = np.array([f'q{first + i}' for i in range(count)])
  return store.Answers(
    ids=names,
    groups=names,
    prompts=np.array(['Is it 1?'] * count),
    answers=np.array(['ja, ein Euro: €'] * count),
    labels=np.arange(first, first + count, dtype=np.float32) % 2,
    tokens=np.full(count, 3, np.int32),
    grader=np.array(['exact'] * count),
  )


class StoreTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = pathlib.Path(folder.name)

  @parameterized.parameters('float32', 'bfloat16')
  def test_files_are_joined_in_order(self, dtype):
    x = np.arange(40, dtype=np.float32).reshape(10, 4) / 8
    x = x.astype(ml_dtypes.bfloat16 if dtype == 'bfloat16' else dtype)
    # Written in the other order, as several processes may.
    for number, rows in ((1, slice(6, 10)), (0, slice(0, 6))):
      count = rows.stop - rows.start
      store.write(
        store.shard(self.folder, 'sums', number),
        answers(count, rows.start),
        {'L0.a': x[rows], 'L1.a': -x[rows]},
      )
    said = store.answers(self.folder, 'sums')
    self.assertEqual(list(said.ids), [f'q{i}' for i in range(10)])
    self.assertEqual(said.answers[0], 'ja, ein Euro: €')
    found = store.activations(self.folder, 'sums', 'L1.a')
    self.assertEqual(found.dtype, np.float32)
    np.testing.assert_array_equal(found, -x.astype(np.float32))
    self.assertEqual(store.sites(self.folder, 'sums'), ['L0.a', 'L1.a'])

  def test_what_is_not_there_is_named(self):
    with self.assertRaisesRegex(FileNotFoundError, 'recording of sums'):
      store.answers(self.folder, 'sums')
    path = store.shard(self.folder, 'sums', 0)
    store.write(path, answers(2), {'L0.a': np.zeros((2, 4), np.float32)})
    with self.assertRaisesRegex(KeyError, 'no site L9.a, but L0.a'):
      store.activations(self.folder, 'sums', 'L9.a')

  def test_nothing_half_written(self):
    path = store.shard(self.folder, 'sums', 0)
    with self.assertRaises(ValueError):
      # Objects would need pickle.
      store.write(
        path, answers(2), {'L0.a': np.array([object(), None], object)}
      )
    self.assertEmpty(list(path.parent.iterdir()))

  def test_no_pickle_is_read(self):
    path = store.shard(self.folder, 'sums', 0)
    path.parent.mkdir()
    ids = np.array(['q', {}], object)
    with open(path, 'wb') as file:
      np.savez(file, ids=ids, allow_pickle=True)
    with self.assertRaisesRegex(ValueError, 'allow_pickle=False'):
      store.answers(self.folder, 'sums')

  def test_another_recording_is_not_mixed_in(self):
    manifest_lib.begin(self.folder, {'model': 'a', 'layers': (1, 2)})
    manifest_lib.begin(self.folder, {'model': 'a', 'layers': (1, 2)})
    with self.assertRaisesRegex(ValueError, r'model: a there.*record\.folder'):
      manifest_lib.begin(self.folder, {'model': 'b', 'layers': (1, 2)})


if __name__ == '__main__':
  absltest.main()
