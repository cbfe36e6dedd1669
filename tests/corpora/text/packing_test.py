"""Packing by its invariants: nothing lost, nothing twice, nothing mixed."""

import itertools
import pathlib
import tempfile
import time
import types
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from corpora.text import packing, pipeline


def _fewest_records(lengths, capacity):
  """By trying every assignment."""
  for bins in range(1, len(lengths) + 1):
    for choice in itertools.product(range(bins), repeat=len(lengths)):
      loads = np.bincount(choice, weights=lengths, minlength=bins)
      if (loads <= capacity).all():
        return bins
  return 0


class PlanTest(parameterized.TestCase):
  @parameterized.parameters(
    ([3, 4, 5], 9), ([2, 2, 2], 6), ([5], 5), ([4, 4, 4, 2, 2, 2], 6)
  )
  def test_small_cases_need_no_more_records_than_the_best(self, lengths, size):
    plan = packing.plan(np.array(lengths), size)
    self.assertEqual(plan.num_records, _fewest_records(lengths, size))

  @parameterized.product(
    size=[2, 3, 7, 33], block=[5, 1000], longest=[4, 30, 200]
  )
  def test_every_target_once_and_no_document_mixed(self, size, block, longest):
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, longest + 1, 300)
    flat = np.arange(lengths.sum())
    document = np.repeat(np.arange(300), lengths)
    within = flat - np.repeat(np.cumsum(lengths) - lengths, lengths)
    plan = packing.plan(lengths, size, block=block)
    tokens = packing.pack(plan, flat, -1)
    segments, positions = packing.segments_and_positions(plan)
    np.testing.assert_array_equal(segments == 0, tokens == -1)
    batch = pipeline.to_batch(
      {'tokens': tokens, 'segments': segments, 'positions': positions}
    )
    counted = batch.weights > 0
    # Every token but the first of a document is a target once, from the token
    # before it in the same document.
    np.testing.assert_array_equal(
      np.sort(batch.targets[counted]), flat[within > 0]
    )
    np.testing.assert_array_equal(
      batch.tokens[counted] + 1, batch.targets[counted]
    )
    for row, segment in zip(tokens, segments, strict=True):
      for number in range(1, segment.max() + 1):
        self.assertLen(set(document[row[segment == number]]), 1)
    # Segments count from one without a gap, in the order of the record.
    for segment in segments:
      steps = np.diff(segment[segment > 0].astype(int), prepend=0)
      self.assertTrue(set(steps) <= {0, 1})
    starts = np.diff(segments.astype(int), prepend=0, axis=1) != 0
    np.testing.assert_array_equal(positions[starts], 0)
    inside = ~starts[:, 1:] & (segments[:, 1:] > 0)
    np.testing.assert_array_equal(np.diff(positions, axis=1)[inside], 1)

  def test_a_long_document_is_cut_with_one_token_shared(self):
    plan = packing.plan(np.array([10]), 4)
    np.testing.assert_array_equal(
      packing.pack(plan, np.arange(10), -1),
      [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]],
    )

  def test_a_document_of_just_the_record_is_whole(self):
    plan = packing.plan(np.array([4, 5]), 4)
    rows = packing.pack(plan, np.arange(9), -1).tolist()
    self.assertCountEqual(rows, [[0, 1, 2, 3], [4, 5, 6, 7], [7, 8, -1, -1]])

  def test_what_predicts_nothing_is_left_out(self):
    plan = packing.plan(np.array([0, 1, 3, 1]), 4)
    np.testing.assert_array_equal(
      packing.pack(plan, np.arange(5), -1), [[1, 2, 3, -1]]
    )

  def test_no_documents_make_no_records(self):
    plan = packing.plan(np.zeros(0, np.int64), 4)
    self.assertEqual(packing.pack(plan, np.zeros(0, bool), 0).shape, (0, 4))
    self.assertEqual(plan.utilisation, 0.0)

  def test_blocks_do_not_see_one_another(self):
    lengths = np.random.default_rng(1).integers(2, 20, 90)
    whole = packing.plan(lengths, 32, block=30)
    first = packing.plan(lengths[:30], 32, block=30)
    np.testing.assert_array_equal(
      whole.pieces[: len(first.pieces)], first.pieces
    )

  def test_marks_pack_like_tokens(self):
    lengths = np.array([3, 9, 4])
    flat = np.arange(16, dtype=np.uint16)
    plan = packing.plan(lengths, 6)
    tokens = packing.pack(plan, flat, 99)
    odd = packing.pack(plan, flat % 2 == 1, False)
    self.assertEqual(odd.dtype, bool)
    np.testing.assert_array_equal(odd, (tokens % 2 == 1) & (tokens != 99))

  def test_too_short_a_record_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'at least 2.*got 1'):
      packing.plan(np.array([3]), 1)

  def test_ten_thousand_articles_are_packed_tightly_and_fast(self):
    lengths = np.random.default_rng(2).gamma(4, 30, 10_000).astype(int) + 12
    began = time.process_time()
    plan = packing.plan(lengths, 257)
    packing.pack(plan, np.zeros(lengths.sum(), np.uint16), 1)
    self.assertLess(time.process_time() - began, 2.0)
    self.assertGreater(plan.utilisation, 0.98)


class RecordsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    self.split = types.SimpleNamespace(
      tokens=np.arange(10, dtype=np.uint16),
      starts=np.array([0, 3, 5, 10]),
      folder=pathlib.Path(folder),
    )

  def test_arrays_by_hand(self):
    records = packing.records(self.split, 5, 77)
    np.testing.assert_array_equal(
      records['tokens'], [[5, 6, 7, 8, 9, 77], [0, 1, 2, 3, 4, 77]]
    )
    np.testing.assert_array_equal(
      records['segments'], [[1, 1, 1, 1, 1, 0], [1, 1, 1, 2, 2, 0]]
    )
    np.testing.assert_array_equal(
      records['positions'], [[0, 1, 2, 3, 4, 0], [0, 1, 2, 0, 1, 0]]
    )
    self.assertEqual(records['tokens'].dtype, np.uint16)
    self.assertEqual(records.plan.record_length, 6)

  def test_made_once_and_kept(self):
    first = packing.records(self.split, 5, 77)
    self.split.tokens = None  # would be needed to pack again
    again = packing.records(self.split, 5, 77)
    for name in first:
      np.testing.assert_array_equal(first[name], again[name])
    np.testing.assert_array_equal(first.plan.pieces, again.plan.pieces)
    self.assertIsInstance(again['tokens'], np.memmap)

  def test_written_in_blocks_equals_packed_at_once(self):
    lengths = np.random.default_rng(3).integers(2, 30, 100)
    self.split.starts = np.concatenate([[0], np.cumsum(lengths)])
    self.split.tokens = np.arange(lengths.sum(), dtype=np.uint32)
    with (
      mock.patch.object(packing, '_RECORDS_AT_ONCE', 7),
      mock.patch.object(packing, '_PIECES_AT_ONCE', 3),
    ):
      records = packing.records(self.split, 16, 7)
    plan = packing.plan(lengths, 17)
    segments, positions = packing.segments_and_positions(plan)
    np.testing.assert_array_equal(
      records['tokens'], packing.pack(plan, self.split.tokens, 7)
    )
    np.testing.assert_array_equal(records['segments'], segments)
    np.testing.assert_array_equal(records['positions'], positions)

  def test_interrupted_packing_leaves_nothing_behind(self):
    whole, self.split.tokens = self.split.tokens, np.arange(2)
    with self.assertRaises(IndexError):
      packing.records(self.split, 5, 77)
    self.split.tokens = whole
    self.assertEqual(packing.records(self.split, 5, 77)['tokens'][0, 0], 5)
    self.assertLen([p for p in self.split.folder.iterdir() if p.is_dir()], 1)

  def test_an_empty_split_is_told(self):
    self.split.starts = np.array([0])
    with self.assertRaisesRegex(ValueError, 'at least one document'):
      packing.records(self.split, 5, 77)


if __name__ == '__main__':
  absltest.main()
