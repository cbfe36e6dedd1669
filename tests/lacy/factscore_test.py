"""Oracles O10 and O11 of docs/papers/lacy.md."""

import math

from absl.testing import absltest

from lacy import factscore


class FactScoreTest(absltest.TestCase):
  def test_o10(self):
    facts = [1, 1, 0, 1]
    self.assertEqual(factscore.factscore(facts, penalty=False), 0.75)
    self.assertAlmostEqual(factscore.factscore(facts), 0.167348, places=6)

  def test_enough_facts_are_not_scaled(self):
    self.assertEqual(factscore.factscore([1] * 5 + [0] * 5), 0.5)
    short = factscore.factscore([1] * 9)
    self.assertAlmostEqual(short, math.exp(-1 / 9))

  def test_a_text_without_facts_scores_nothing(self):
    self.assertEqual(factscore.factscore([]), 0.0)
    self.assertEqual(factscore.factscore([], penalty=False), 0.0)


class LeakageTest(absltest.TestCase):
  def test_o11(self):
    gold = [{'Paris'}, {'1891'}, {'Curie'}]
    outputs = ['it is paris.', 'in 1981', 'Marie Curie']
    self.assertAlmostEqual(factscore.answer_leakage(gold, outputs), 2 / 3)

  def test_any_of_several_answers_counts_once(self):
    got = factscore.answer_leakage([['NYC', 'New York']], ['nyc, New York'])
    self.assertEqual(got, 1.0)

  def test_lengths_must_agree(self):
    with self.assertRaisesRegex(ValueError, '1 questions and 2 outputs'):
      factscore.answer_leakage([['x']], ['x', 'y'])


if __name__ == '__main__':
  absltest.main()
