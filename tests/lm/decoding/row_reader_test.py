"""Rows that grow, shrink and wait: read at once, as each by itself."""

import functools

import numpy as np
from absl.testing import absltest, parameterized

from lm import transformer
from lm.decoding import reader, row_reader
from tests.lm import tiny

CONFIG = transformer.TransformerConfig(
  vocab_size=23, layers=2, width=16, heads=2, kv_heads=1, mlp_width=24
)
# Three rows: they grow unevenly, one waits, one loses its tail, one is long.
STEPS = (
  ([1, 2, 3], [4], [5, 6]),
  ([1, 2, 3, 4], None, [5, 6, 7]),
  ([1, 2, 3, 4, 5], [4, 8], [5, 9]),
  ([1, 2, 3, 4, 5], [4, 8, 1, 2, 3], [5, 9, 9]),
  ([1] * 18, [4, 8, 1, 2, 3], [6]),
  ([2] * 12, None, [6, 1]),
)
BEFORE = ([7, 8, 9, 10, 11], [12], [13, 14, 15])


@functools.cache
def params():
  return tiny.params(CONFIG)


@functools.cache
def alone():
  return reader.Reader(CONFIG, params(), size=64)


def expected(ids):
  return alone().read(ids)


class RowReaderTest(parameterized.TestCase):
  @parameterized.parameters(((), 64), (BEFORE, 64), (BEFORE, 36))
  def test_logits_are_those_of_each_row_alone(self, before, size):
    """With few slots all rows are read again."""
    rows = row_reader.RowReader(
      CONFIG, params(), rows=3, size=size, before=before, batch=2
    )
    texts = [None] * 3
    for step in STEPS:
      texts = [new or old for new, old in zip(step, texts, strict=True)]
      got = np.asarray(rows.read(step))
      for row, ids in enumerate(texts):
        whole = [*(before[row] if before else ()), *ids]
        np.testing.assert_allclose(got[row], expected(whole), atol=2e-4)

  def test_what_was_read_is_not_read_again(self):
    rows = row_reader.RowReader(CONFIG, params(), rows=3, size=64)
    rows.read(STEPS[0])
    before = rows.tokens_run
    rows.read(STEPS[0])
    self.assertEqual(rows.tokens_run, before)
    rows.read(STEPS[1])
    self.assertEqual(rows.tokens_run, before + 3)  # a pass, a token a row

  def test_bad_input(self):
    rows = row_reader.RowReader(CONFIG, params(), rows=2, size=20)
    for bad in ([1], []), ([1], [2] * 5):
      with self.assertRaisesRegex(ValueError, 'row 1 has'):
        rows.read(bad)
    with self.assertRaisesRegex(ValueError, 'each of 2 rows'):
      row_reader.RowReader(CONFIG, params(), rows=2, size=20, before=[[1]])


if __name__ == '__main__':
  absltest.main()
