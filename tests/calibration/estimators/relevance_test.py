"""SAR against sums by hand, and where there is nothing to weigh."""

import math

import numpy as np
from absl.testing import absltest

from calibration.estimators import relevance


def f32(values):
  return np.array(values, np.float32)


class RelevanceTest(absltest.TestCase):
  def test_tokens_by_hand_with_padding_that_is_nan(self):
    logp = f32([[-1, -2, np.nan], [-1, -4, -3]])
    lengths = np.array([2, 3])
    weight = f32([[0.1, 0.3, np.nan], [0, 0.5, 0.5]])
    found = relevance.token_sar(logp, lengths, weight)
    np.testing.assert_allclose(found, [0.25 + 0.75 * 2, 3.5], rtol=1e-6)

  def test_without_any_relevance_tokens_count_alike(self):
    logp = f32([[-1, -2, -6], [-1, -2, -6], [-9, -9, -9]])
    found = relevance.token_sar(
      logp, np.array([2, 3, 0]), np.zeros((3, 3), np.float32)
    )
    np.testing.assert_allclose(found, [1.5, 3, 0], rtol=1e-6)

  def test_sentences_by_hand(self):
    p, g = (0.3, 0.1, 0.05), {(0, 1): 0.5, (0, 2): 0.0, (1, 2): 0.2}
    similarity = np.eye(3, dtype=np.float32)[None].copy()
    for (i, j), value in g.items():
      similarity[0, i, j] = similarity[0, j, i] = value
    t = 0.001
    want = -np.mean(
      [
        math.log(0.3 + 0.5 * 0.1 / t),
        math.log(0.1 + (0.5 * 0.3 + 0.2 * 0.05) / t),
        math.log(0.05 + 0.2 * 0.1 / t),
      ]
    )
    found = relevance.sentence_sar(f32([np.log(p)]), similarity)
    self.assertAlmostEqual(float(np.asarray(found)[0]), want, 5)
    # Below 0 a cosine says no more than 0 does.
    similarity[0, 0, 2] = similarity[0, 2, 0] = -0.4
    again = relevance.sentence_sar(f32([np.log(p)]), similarity)
    np.testing.assert_array_equal(again, found)

  def test_long_samples_do_not_underflow(self):
    # exp(-200) is 0 in float32; two alike samples weigh 1 + 1 / t.
    found = relevance.sentence_sar(
      np.full((1, 2), -200, np.float32), np.ones((1, 2, 2), np.float32)
    )
    want = 200 - math.log(1 + 1 / relevance.TEMPERATURE)
    self.assertAlmostEqual(float(np.asarray(found)[0]), want, 3)

  def test_one_sample_is_its_surprisal_and_none_is_zero(self):
    logp = f32([[-1.5, -3]])
    similarity = np.ones((1, 2, 2), np.float32)
    for real, want in (([[True, False]], 1.5), ([[False, False]], 0)):
      found = relevance.sentence_sar(logp, similarity, np.array(real))
      self.assertAlmostEqual(float(np.asarray(found)[0]), want, 5)


if __name__ == '__main__':
  absltest.main()
