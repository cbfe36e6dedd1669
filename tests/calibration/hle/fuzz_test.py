"""Whatever a model or a judge writes, nothing crashes and all is counted."""

import json

import hypothesis
from absl.testing import absltest
from hypothesis import strategies as st

from calibration.hle import data, parse, report, responses

_SETTINGS = hypothesis.settings(
  max_examples=400, deadline=None, derandomize=True, database=None
)
_WORDS = (
  *('Confidence:', '**Confidence:**', 'confidence: ', '%', '85', '0.85', '1e9'),
  *('-3', 'NaN', '∞', '٨٥', 'Answer:', 'Exact Answer:', 'A', '\n', ' ', '{'),
  *(
    '}',
    '"correct":',
    '"yes"',
    '"no"',
    'true',
    '[',
    ']',
    ',',
    '```json',
    '```',
  ),
  *('"confidence":', 'null', '\\u0000', '"', 'judgement:', 'yes', 'no'),
  *('correct', '{' * 50, '\ud7ff', '\x00'),
)
# Pieces that replies are made of, whole and broken.
_PIECES = st.lists(
  st.one_of(
    st.sampled_from(_WORDS),
    st.text(max_size=8),
  ),
  max_size=14,
).map(''.join)
_VALUES = st.recursive(
  st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
  lambda inner: st.lists(inner, max_size=3),
  max_leaves=4,
)


class FuzzTest(absltest.TestCase):
  @_SETTINGS
  @hypothesis.given(_PIECES)
  def test_confidence_and_answer_of_a_response(self, text):
    found = parse.confidence(text)
    self.assertBetween(found.value, 0.0, 100.0)
    self.assertIn(found.flag, ('', 'missing', 'fraction', 'clamped'))
    self.assertNotEqual(parse.answer(text), '')

  @_SETTINGS
  @hypothesis.given(_PIECES)
  def test_reply_of_a_judge(self, text):
    found = parse.judgement(text)
    self.assertIn(found.correct, (True, False, None))
    self.assertBetween(found.confidence, 0.0, 100.0)
    self.assertEqual(found.correct is None, bool(found.reason))

  @_SETTINGS
  @hypothesis.given(
    st.dictionaries(
      st.sampled_from(
        ('correct', 'confidence', 'extracted_final_answer', 'strict', 'x')
      ),
      _VALUES,
    )
  )
  def test_objects_of_a_judge(self, value):
    found = parse.judgement(json.dumps(value))
    self.assertIn(found.correct, (True, False, None))
    self.assertBetween(found.confidence, 0.0, 100.0)
    if 'correct' not in value:
      self.assertIsNone(found.correct)

  @hypothesis.settings(_SETTINGS, max_examples=50)
  @hypothesis.given(st.lists(st.tuples(_PIECES, _PIECES), min_size=1))
  def test_all_are_counted(self, texts):
    items = [
      data.Item(str(i), 'q', '4', 'exactMatch') for i in range(len(texts))
    ]
    replies = iter([judge for said, judge in texts if said.strip()])
    rows = responses.mark(
      items,
      [[responses.Said(said, 1, False)] for said, _ in texts],
      lambda prompts: [next(replies) for _ in prompts],
    )
    self.assertLen(rows, len(texts))
    json.loads(json.dumps(rows, allow_nan=False))
    found = responses.counts(rows)
    c, _ = report.pairs(rows)
    self.assertEqual(len(c) + found['unjudged'], len(texts))


if __name__ == '__main__':
  absltest.main()
