"""Somebody else's marks: found, lost, malformed."""

import json
import pathlib
import tempfile

from absl.testing import absltest, parameterized

from lacy.facts import judged as judge
from tests.lacy.facts import annotate_test


class JudgeTest(annotate_test.AnnotatedCase):
  def judge(self, split, *lines):
    path = (
      pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
      / 'judge.jsonl'
    )
    path.write_bytes('\n'.join(lines).encode(errors='surrogateescape') + b'\n')
    return judge.mask_of(path, split, self.tokenizer)

  def test_marks_values_and_spans_and_counts_the_lost(self):
    split = self.split()
    mask, lost = self.judge(
      split,
      json.dumps({'title': 'title 0', 'values': ['Warsaw', '1891', '1892']}),
      json.dumps({'title': 'title 1', 'spans': [[0, 4]]}),
    )
    got = [''.join(self.flagged(split, mask, i)) for i in range(4)]
    self.assertEqual(got, ['Warsaw1891', 'Earl', '', ''])
    self.assertAlmostEqual(lost, 1 / 4)

  def test_index_in_place_of_title(self):
    split = self.split()
    mask, _ = self.judge(split, json.dumps({'index': 3, 'values': ['France']}))
    got = [''.join(self.flagged(split, mask, i)) for i in range(4)]
    self.assertEqual(got, ['', '', '', 'France'])

  def test_titles_of_another_corpus(self):
    with self.assertRaisesRegex(ValueError, 'must name documents'):
      self.judge(self.split(), json.dumps({'title': 'x', 'values': ['Earl']}))

  def test_other_tokens(self):
    split = self.split()
    split.docs[0]['text'] += ' And more.'
    with self.assertRaisesRegex(ValueError, 'other tokens'):
      self.judge(split, json.dumps({'title': 'title 0', 'values': ['more']}))

  @parameterized.parameters(
    '{"title": "x"}',
    'nonsense',
    '[1]',
    '{"values": ["x"]}',
    '{"title": [1], "values": []}',
    '{"title": "title 0", "values": "Warsaw"}',
    '{"title": "title 0", "values": [3]}',
    '{"title": "title 0", "spans": [[0]]}',
    '{"title": "title 0", "spans": [[0.5, 3]]}',
    '{"title": "\udcff", "values": []}',
  )
  def test_a_malformed_line_is_named(self, line):
    good = json.dumps({'title': 'title 0', 'values': []})
    with self.assertRaisesRegex(ValueError, r'judge.jsonl:2: expected'):
      self.judge(self.split(), good, line)


if __name__ == '__main__':
  absltest.main()
