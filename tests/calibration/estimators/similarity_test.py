"""Similarities of short texts, by hand."""

import numpy as np
from absl.testing import absltest

from calibration.estimators import leave_out, similarity

ROWS = [['red sky', 'a red sky', ''], ['', '', 'red sky']]


class SimilarityTest(absltest.TestCase):
  def test_rouge_l_is_symmetric_and_an_empty_text_is_like_itself(self):
    found = similarity.rouge_l(ROWS)
    two_of_three = 2 * 2 / (2 + 3)
    np.testing.assert_allclose(
      found,
      [
        [[1, two_of_three, 0], [two_of_three, 1, 0], [0, 0, 1]],
        [[1, 1, 0], [1, 1, 0], [0, 0, 1]],
      ],
      rtol=1e-6,
    )

  def test_cosines_below_0_are_0_and_each_text_is_encoded_once(self):
    vectors = {'red sky': (1, 0), 'a red sky': (0.6, 0.8), '': (-1, 0)}
    seen = []

    def sentences(texts):
      seen.extend(texts)
      return np.array([vectors[text] for text in texts])

    found = similarity.cosines(ROWS, sentences)
    np.testing.assert_allclose(
      found,
      [
        [[1, 0.6, 0], [0.6, 1, 0], [0, 0, 1]],
        [[1, 1, 0], [1, 1, 0], [0, 0, 1]],
      ],
      atol=1e-6,
    )
    self.assertLen(seen, 3)


class LeaveOutTest(absltest.TestCase):
  def test_a_token_that_turns_the_mean_is_relevant(self):
    hidden = np.array([[1, 0], [1, 0], [0, 2]], np.float32)
    held = np.eye(3, dtype=bool)
    found = leave_out.relevance(hidden, held)
    # The whole is (2, 2); without each: (1, 2), (1, 2), (2, 0).
    side, turn = 1 - 6 / np.sqrt(8 * 5), 1 - 4 / np.sqrt(8 * 4)
    np.testing.assert_allclose(found, [side, side, turn], rtol=1e-5)
    self.assertGreater(turn, side)

  def test_a_token_without_word_pieces_and_one_that_has_all(self):
    hidden = np.array([[1, 0], [0, 2]], np.float32)
    held = np.array([[True, True], [False, False]])
    np.testing.assert_allclose(leave_out.relevance(hidden, held), [1, 0])
    found = leave_out.relevance(hidden, held[:1])
    np.testing.assert_array_equal(found, [leave_out.ALONE])
    self.assertEqual(leave_out.relevance(hidden, held[:0]).shape, (0,))

  def test_word_pieces_are_found_by_their_characters(self):
    class Span:
      # 'ask? the sky': [CLS], ask, ?, the, sk, ##y, [SEP].
      offsets = ((0, 0), (0, 3), (3, 4), (5, 8), (9, 11), (11, 12), (0, 0))

    class Encoder:
      core = type('Core', (), {})()
      calls = 0

      def tokens(self, texts):
        Encoder.calls += len(texts)
        np.testing.assert_array_equal(texts, ['ask? the sky'])
        states = np.eye(7, dtype=np.float32)[None] * [
          [[1], [1], [1], [3], [2], [2], [1]]
        ]
        return states, np.ones((1, 7), bool)

    Encoder.core.encode_batch = lambda texts: [Span] * len(texts)
    found = leave_out.relevances(
      ['ask?', 'ask?'], [['the', ' sky', '']] * 2, Encoder()
    )
    self.assertEqual(Encoder.calls, 1)
    # Squares of the whole: 21. Without 'the' 12, without ' sky' 13.
    want = [1 - np.sqrt(12 / 21), 1 - np.sqrt(13 / 21), 0]
    for one in found:
      np.testing.assert_allclose(one, want, rtol=1e-5)


if __name__ == '__main__':
  absltest.main()
