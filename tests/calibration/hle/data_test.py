"""Copies of an invented exam, in every form, and what is refused."""

import json
import pathlib
import tempfile

import pyarrow
from absl.testing import absltest, parameterized
from pyarrow import parquet

from calibration.hle import data, guard
from tests.calibration.hle import support

PICTURE = 'data:image/png;base64,iVBORw0KGgo='


class Case(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.at = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def write(self, rows, name='exam.jsonl'):
    path = self.at / name
    if path.suffix == '.parquet':
      parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == '.json':
      path.write_text(json.dumps(rows))
    else:
      path.write_text('\n'.join(map(json.dumps, rows)))
    return path


class LoadTest(Case):
  @parameterized.parameters('e.jsonl', 'e.json', 'e.parquet')
  def test_every_form(self, name):
    rows = support.rows(5)
    found = data.load_hle(self.write(rows, name))
    self.assertEqual(
      [item.id for item in found.items], [row['id'] for row in rows]
    )
    self.assertEqual(found.items[0].answer, rows[0]['answer'])
    self.assertEqual(found.canary, support.CANARY)
    self.assertIn('nearest is final, text only with 2158', found.release)

  def test_shards_are_one_exam(self):
    rows = support.rows(6)
    for number in (1, 0):
      part = rows[3 * number : 3 * number + 3]
      self.write(part, f'test-{number:05d}.parquet')
    found = data.load_hle(self.at)
    self.assertEqual([i.id for i in found.items], [r['id'] for r in rows])
    whole = data.load_hle(self.write(rows))
    self.assertEqual(found.digest, whole.digest)

  def test_filters(self):
    rows = support.rows(6)
    rows[1]['image'] = PICTURE
    path = self.write(rows)
    self.assertLen(data.load_hle(path).items, 5)
    self.assertLen(data.load_hle(path, text_only=False).items, 6)
    found = data.load_hle(path, answer_type='multipleChoice')
    self.assertEqual({i.answer_type for i in found.items}, {'multipleChoice'})
    ids = [rows[0]['id'], rows[4]['id']]
    self.assertLen(data.load_hle(path, ids=ids).items, 2)
    with self.assertRaisesRegex(ValueError, 'none of 6 questions'):
      data.load_hle(path, category='Chess')

  def test_rationales_are_not_read(self):
    rows = [row | {'rationale': 'secret'} for row in support.rows(2)]
    found = data.load_hle(self.write(rows, 'e.parquet'))
    self.assertNotIn('secret', repr(found))

  @parameterized.parameters(
    ({'question': ''}, 'row 2: expected a text under "question"'),
    ({'answer': None}, 'row 2: expected a text under "answer"'),
    ({'answer_type': 'exact_match'}, 'row 2: "answer_type" must be'),
    ({'id': support.rows(1)[0]['id']}, 'row 2: the id .* stands in row 1 too'),
    ({'image': 'cat.png'}, 'row 2: "image" must be empty or data:image'),
    ({'image': 'data:image/png;base64,!'}, 'row 2: "image" must be empty'),
    ({'image': 'data:text/html;base64,aaaa'}, 'row 2: "image" must be empty'),
  )
  def test_rows_of_another_form(self, changes, message):
    rows = support.rows(3)
    rows[1] |= changes
    with self.assertRaisesRegex(ValueError, message) as caught:
      data.load_hle(self.write(rows))
    self.assertNotIn(support.MARKER, str(caught.exception))

  def test_files_of_another_form(self):
    with self.assertRaisesRegex(FileNotFoundError, 'found nothing'):
      data.load_hle(self.at / 'e.json')
    with self.assertRaisesRegex(FileNotFoundError, 'found none'):
      data.load_hle(self.at)
    path = self.at / 'e.txt'
    path.write_text('x')
    with self.assertRaisesRegex(ValueError, 'came .txt'):
      data.load_hle(path)
    for name, text, message in (
      ('e.json', '{', 'expected JSON'),
      ('e.json', '{}', 'an array'),
      ('e.jsonl', f'{{"question": "{support.MARKER}', 'line 1: expected JSON'),
      ('e.jsonl', '', 'at least one question'),
      ('e.jsonl', '3', 'row 1: expected an object'),
      ('e.parquet', 'PAR1', 'expected a Parquet file'),
    ):
      path = self.at / name
      path.write_text(text)
      with self.assertRaisesRegex(ValueError, message) as caught:
        data.load_hle(path)
      self.assertNotIn(support.MARKER, str(caught.exception))


class GuardTest(Case):
  def test_finds_a_question_among_other_text(self):
    keep = guard.Guard(row['question'] for row in support.rows(3))
    words = support.rows(3)[1]['question'].split()
    self.assertTrue(keep.leaks('so: ' + ' ** '.join(words).upper()))
    self.assertTrue(keep.leaks(' '.join(words[2:10])))
    self.assertFalse(keep.leaks(' '.join(words[2:9])))
    self.assertFalse(keep.leaks('Answer: 12'))
    with self.assertRaisesRegex(guard.LeakError, 'the log would') as caught:
      keep.check(' '.join(words), 'the log')
    self.assertNotIn(support.MARKER, str(caught.exception))


if __name__ == '__main__':
  absltest.main()
