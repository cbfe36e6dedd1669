"""Oracles O10 and O11 of docs/papers/lacy.md, and scores by a judge."""

import math

from absl.testing import absltest, parameterized

from lacy.cascade import factscore
from lm.judging import reply


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


class Judge:
  """Lists facts and checks them from tables; what is missing never came."""

  def __init__(self, facts, true):
    self._facts, self._true = facts, true
    self.asked = []

  def __call__(self, prompts):
    self.asked += prompts
    return [self._reply(prompt) for prompt in prompts]

  def _reply(self, prompt):
    if prompt.startswith('Reference: '):
      fact = prompt.partition('Claim: ')[2].partition('\n')[0]
      return self._true.get(fact, reply.Failure('gone', None))
    text = prompt.rpartition('Text: ')[2]
    return self._facts.get(text, reply.Failure('gone', None))


TABLES = (
  {'one': '- a\n- b\n', 'two': 'Here they are:\n- c\n- d', 'none': 'None.'},
  {'a': 'yes', 'b': 'No.', 'c': 'yes', 'd': 'yes'},
)


class ScorerTest(parameterized.TestCase):
  def test_hand_count(self):
    judge = Judge(*TABLES)
    got = factscore.Scorer(judge)(['one', 'two', 'none'], ['r1', 'r2', 'r3'])
    self.assertAlmostEqual(got['factscore'], (0.5 + 1.0 + 0.0) / 3)
    short = math.exp(1 - 10 / 2)  # two facts each, where gamma wants ten
    self.assertAlmostEqual(got['factscore_penalised'], 1.5 * short / 3)
    self.assertAlmostEqual(got['facts'], 4 / 3)
    self.assertEqual((got['unlisted'], got['unchecked']), (0, 0))

  def test_every_fact_meets_the_reference_of_its_text(self):
    judge = Judge(*TABLES)
    factscore.Scorer(judge)(['one', 'two'], ['first', 'second'])
    pairs = [
      (p.split('Claim: ')[1][0], p.split()[1])
      for p in judge.asked
      if p.startswith('Reference')
    ]
    self.assertEqual(
      pairs, [('a', 'first'), ('b', 'first'), ('c', 'second'), ('d', 'second')]
    )

  @parameterized.parameters(
    # b lost of the first text; the third text's facts were never listed.
    ('drop', (1.0 + 1.0) / 2),
    (0.0, (0.5 + 1.0 + 0.0) / 3),
    (1.0, (1.0 + 1.0 + 1.0) / 3),
  )
  def test_lost_verdicts_count_as_told(self, failures, want):
    facts, true = TABLES
    true = {name: said for name, said in true.items() if name != 'b'}
    scorer = factscore.Scorer(Judge(facts, true), failures=failures)
    got = scorer(['one', 'two', 'lost'], ['r'] * 3)
    self.assertAlmostEqual(got['factscore'], want)
    self.assertEqual((got['unlisted'], got['unchecked']), (1, 1))

  def test_lost_verdicts_are_refused_by_default(self):
    facts, true = TABLES
    with self.assertRaisesRegex(ValueError, 'never came'):
      factscore.Scorer(Judge(facts, true))(['lost'], ['r'])
    with self.assertRaisesRegex(ValueError, 'never came'):
      factscore.Scorer(Judge(facts, {}))(['one'], ['r'])

  def test_a_text_whose_facts_are_all_lost_is_dropped(self):
    facts, true = TABLES
    true = {'c': 'yes', 'd': 'no'}
    scorer = factscore.Scorer(Judge(facts, true), failures='drop')
    got = scorer(['one', 'two'], ['r', 'r'])
    self.assertEqual(got['factscore'], 0.5)

  def test_facts_of_the_opening_are_not_credited(self):
    # The judge lists a and b all the same; the opening supports a.
    class Opened(Judge):
      def _reply(self, prompt):
        if prompt.startswith('Reference: opening'):
          return 'yes' if 'Claim: a' in prompt else 'no'
        if 'Continuation: ' in prompt:
          opening = prompt.partition('Opening: ')[2].partition('\n')[0]
          assert opening == 'opening one', opening
          return self._facts[prompt.rpartition('Continuation: ')[2]]
        return super()._reply(prompt)

    facts, true = TABLES
    scorer = factscore.Scorer(Opened(facts, true | {'b': 'no'}))
    got = scorer(['one'], ['r'], given=['opening one'])
    self.assertEqual((got['factscore'], got['facts']), (0.0, 1))
    # Without an opening a counts.
    got = factscore.Scorer(Judge(facts, true | {'b': 'no'}))(['one'], ['r'])
    self.assertEqual((got['factscore'], got['facts']), (0.5, 2))

  @parameterized.parameters(('drop', 1.0), (0.0, 0.5))
  def test_a_fact_never_held_against_the_opening_is_lost(self, failures, want):
    class Opened(Judge):
      def _reply(self, prompt):
        if prompt.startswith('Reference: opening'):
          lost = 'Claim: a' in prompt
          return reply.Failure('gone', None) if lost else 'no'
        if 'Continuation: ' in prompt:
          return self._facts[prompt.rpartition('Continuation: ')[2]]
        return super()._reply(prompt)

    facts, true = TABLES
    scorer = factscore.Scorer(
      Opened(facts, true | {'b': 'yes'}), failures=failures
    )
    got = scorer(['one'], ['r'], given=['opening one'])
    self.assertEqual((got['factscore'], got['unchecked']), (want, 1))

  def test_an_opening_a_text(self):
    with self.assertRaisesRegex(ValueError, '2 texts, 2 references and 1'):
      factscore.Scorer(Judge(*TABLES))(['one', 'two'], ['r'] * 2, given=['o'])

  def test_prose_is_no_list(self):
    with self.assertRaisesRegex(ValueError, "begin with '- '"):
      factscore.Lines()('It says that a holds.')
    self.assertEqual(factscore.Lines()('none'), [])
    self.assertEqual(factscore.Lines()('* a \n  - b'), ['a', 'b'])


if __name__ == '__main__':
  absltest.main()
