"""Batches: alignment, epochs, shares of processes, exact resume."""

import numpy as np
from absl.testing import absltest, parameterized

from corpora.text import pipeline

ARRAYS = {
  'id': np.arange(11),
  'segments': np.ones((11, 3), np.uint16),
}


def _ids(dataset, batches):
  return [dataset[i]['id'].tolist() for i in range(batches)]


class PipelineTest(parameterized.TestCase):
  def test_batch_by_hand(self):
    batch = pipeline.to_batch(
      {
        'tokens': np.array([[8, 5, 9, 8, 9, 7, 7]], np.uint16),
        'segments': np.array([[1, 1, 1, 2, 2, 0, 0]], np.uint16),
        'positions': np.array([[0, 1, 2, 0, 1, 0, 0]], np.uint16),
      }
    )
    np.testing.assert_array_equal(batch.tokens, [[8, 5, 9, 8, 9, 7]])
    np.testing.assert_array_equal(batch.targets, [[5, 9, 8, 9, 7, 7]])
    np.testing.assert_array_equal(batch.weights, [[1, 1, 0, 1, 0, 0]])
    np.testing.assert_array_equal(batch.segments, [[1, 1, 1, 2, 2, 0]])
    np.testing.assert_array_equal(batch.positions, [[0, 1, 2, 0, 1, 0]])
    self.assertEqual(batch.weights.dtype, np.float32)
    for array in (batch.tokens, batch.targets, batch.segments):
      self.assertEqual(array.dtype, np.int32)

  def test_every_epoch_has_every_record_in_another_order(self):
    dataset = pipeline.dataset(ARRAYS, batch_size=4, seed=0)
    ids = np.concatenate(_ids(dataset, 11))  # four epochs of eleven
    epochs = ids.reshape(4, 11)
    for epoch in epochs:
      self.assertCountEqual(epoch.tolist(), range(11))
    self.assertLen({tuple(epoch) for epoch in epochs}, 4)

  def test_the_order_follows_the_seed(self):
    first, same, other = (
      _ids(pipeline.dataset(ARRAYS, batch_size=4, seed=seed), 5)
      for seed in (1, 1, 2)
    )
    self.assertEqual(first, same)
    self.assertNotEqual(first, other)

  def test_without_shuffle_the_order_is_that_of_the_arrays(self):
    dataset = pipeline.dataset(ARRAYS, batch_size=4, seed=0, shuffle=False)
    self.assertEqual(
      _ids(dataset, 3), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 0]]
    )

  def test_one_epoch_is_filled_up_with_padding(self):
    dataset = pipeline.dataset(ARRAYS, batch_size=4, seed=0, repeat=False)
    batches = list(dataset)
    self.assertLen(batches, 3)
    real = np.concatenate([batch['segments'][:, 0] for batch in batches]) > 0
    ids = np.concatenate([batch['id'] for batch in batches])
    self.assertCountEqual(ids[real].tolist(), range(11))
    self.assertEqual(real.sum(), 11)

  @parameterized.product(processes=[2, 3], repeat=[True, False])
  def test_processes_share_the_batches_of_one(self, processes, repeat):
    def make(**kwargs):
      return pipeline.dataset(
        ARRAYS, batch_size=6, seed=5, repeat=repeat, **kwargs
      )

    shares = [
      make(process_index=i, process_count=processes) for i in range(processes)
    ]
    for i in range(2):
      self.assertEqual(
        np.concatenate([share[i]['id'] for share in shares]).tolist(),
        make()[i]['id'].tolist(),
      )

  @parameterized.parameters(0, 1, 2, 5, 13)
  def test_resumed_equals_uninterrupted(self, steps):
    def make():
      dataset = pipeline.dataset(ARRAYS, batch_size=4, seed=3)
      return iter(dataset.to_iter_dataset())

    iterator = make()
    for _ in range(steps):
      next(iterator)
    state = iterator.get_state()
    expected = [next(iterator)['id'].tolist() for _ in range(6)]
    resumed = make()
    next(resumed)
    resumed.set_state(state)
    got = [next(resumed)['id'].tolist() for _ in range(6)]
    self.assertEqual(got, expected)

  def test_batches_are_copies(self):
    dataset = pipeline.dataset(ARRAYS, batch_size=4, seed=0)
    dataset[0]['id'][:] = -1
    self.assertGreaterEqual(min(dataset[0]['id']), 0)

  def test_bad_sizes_name_the_key(self):
    for kwargs, message in (
      ({'batch_size': 12}, 'data.batch_size=12 must be at most.*got 11'),
      ({'batch_size': 0}, 'data.batch_size=0 must be positive'),
      ({'batch_size': 4, 'process_count': 3}, 'divide over the 3 processes'),
    ):
      with self.assertRaisesRegex(ValueError, message):
        pipeline.dataset(ARRAYS, seed=0, **kwargs)
    with self.assertRaisesRegex(ValueError, "'b': 2"):
      pipeline.dataset(
        {'a': np.zeros(3), 'b': np.zeros(2)}, batch_size=1, seed=0
      )

  def test_a_batch_may_hold_more_than_one_epoch_of_evaluation(self):
    [batch] = pipeline.dataset(ARRAYS, batch_size=16, seed=0, repeat=False)
    self.assertEqual((batch['segments'][:, 0] > 0).sum(), 11)


if __name__ == '__main__':
  absltest.main()
