"""Files of ratings: both formats, and what is none."""

import pathlib
import tempfile

import numpy as np
from absl.testing import absltest, parameterized

from calibration.correctness import ratings


class RatingsTest(parameterized.TestCase):
  IDS = ('q1', 'q2', 'q3', 'q4')

  def file(self, name, text):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    path = pathlib.Path(folder) / name
    path.write_text(text, 'utf-8')
    return path

  def test_both_formats_say_the_same(self):
    lines = (
      '{"id": "q1", "label": 1, "rater": "B"}\n'
      '{"id": "q1", "label": true, "rater": "A"}\n\n'
      '{"id": "q3", "label": 0, "rater": "A"}\n'
      '{"id": "q3", "label": 1, "rater": "B"}\n'
      '{"id": "q2", "label": 0, "rater": "A"}\n'
      '{"id": "other", "label": 0, "rater": "A"}\n'
    )
    table = (
      'id,label,rater\nq1,1,B\nq1,1,A\nq3,0,A\nq3,1,B\nq2,0,A\nother,0,A\n'
    )
    for name, text in (('r.jsonl', lines), ('r.csv', table)):
      found = ratings.read(self.file(name, text), self.IDS)
      self.assertEqual(found.raters, ['A', 'B'])
      np.testing.assert_array_equal(
        found.labels, [[1, 0, 0, np.nan], [1, np.nan, 1, np.nan]]
      )
      self.assertEqual(found.unknown, 1)
      np.testing.assert_array_equal(found.unanimous(), [1, 0, np.nan, np.nan])

  def test_one_rater_needs_no_name(self):
    found = ratings.read(self.file('r.csv', 'id,label\nq2,0\nq4,1\n'), self.IDS)
    np.testing.assert_array_equal(found.labels, [[np.nan, 0, np.nan, 1]])

  @parameterized.parameters(
    ('r.txt', 'x', 'must end in .jsonl or .csv'),
    ('r.jsonl', '{"id": "q1", "label": 1}\nq2', 'line 2: expected a JSON'),
    ('r.jsonl', '{"id": "q1"}', 'line 1: expected id and label'),
    ('r.csv', 'id,label\nq1,yes\n', "line 2: label must be 0 or 1, got 'yes'"),
    ('r.jsonl', '{"id": "q1", "label": 0.5}', 'label must be 0 or 1, got 0.5'),
    ('r.csv', 'id,label\nq1,1\nq1,0\n', 'line 3: rater has rated q1 before'),
    ('r.csv', 'id,label\nz,1\n', 'rates none of the 4 answers, 1 others'),
  )
  def test_what_is_no_rating_is_refused(self, name, text, message):
    with self.assertRaisesRegex(ValueError, message):
      ratings.read(self.file(name, text), self.IDS)

  def test_ids_must_differ(self):
    with self.assertRaisesRegex(ValueError, 'ids must differ'):
      ratings.read(self.file('r.csv', 'id,label\n'), ['a', 'a'])


if __name__ == '__main__':
  absltest.main()
