"""Section 2 on enumerated worlds, against sums written out by hand."""

import collections
import itertools

import numpy as np
from absl.testing import absltest, parameterized

from calibration.selfreflect import theory
from engine.stats import ranks


def drawn(seed, kinds=3, words=2, count=3):
  rng = np.random.default_rng(seed)
  answers = rng.dirichlet(np.full(words**2, 0.7), kinds) + 0.02
  answers /= answers.sum(1, keepdims=True)
  return theory.world(
    rng.dirichlet(np.full(kinds, 3.0)), answers.reshape(kinds, words, -1), count
  )


def counts(a):
  return tuple(sorted(a))


def majority(a):
  return collections.Counter(sorted(a)).most_common(1)[0][0]


class TheoryTest(parameterized.TestCase):
  def test_one_answer_by_hand(self):
    # Two kinds, one sampled answer, words 0 and 1: sums over kinds in full.
    prior = [0.25, 0.75]
    answers = np.array([[[0.4, 0.1], [0.2, 0.3]], [[0.1, 0.2], [0.3, 0.4]]])
    made = theory.world(np.array(prior), answers, 1)
    flat = answers.reshape(2, 4)
    want = 0.0

    def joint(a, b):
      return sum(prior[k] * flat[k, a] * flat[k, b] for k in range(2))

    def alone(b):
      return sum(prior[k] * flat[k, b] for k in range(2))

    for a, first, second in itertools.product(range(4), range(2), range(2)):
      b = 2 * first + second
      for other in (2 * (1 - first) + second, 2 * first + 1 - second):
        given = joint(a, b) / (joint(a, b) + joint(a, other))
        blind = alone(b) / (alone(b) + alone(other))
        # Two words: the total variation is the difference of either.
        want += joint(a, b) * abs(given - blind) / 2
    nothing = theory.classes(made, lambda a: 0)
    self.assertAlmostEqual(theory.score(made, nothing), want, places=12)

  @parameterized.parameters(0, 1, 2)
  def test_counts_are_sufficient_and_score_nothing(self, seed):
    made = drawn(seed)
    of = theory.classes(made, counts)
    self.assertLess(of.max() + 1, len(made.samples))
    self.assertAlmostEqual(theory.lost(made, of), 0.0, places=12)
    self.assertLess(theory.score(made, of), 1e-6)
    self.assertLess(theory.apart(made, of), 1e-12)

  @parameterized.parameters(0, 1, 2)
  def test_sufficient_if_and_only_if_conditionals_agree(self, seed):
    made = drawn(seed)
    rng = np.random.default_rng(seed)
    whole = theory.classes(made, counts)
    size = whole.max() + 1
    for blocks in (1, 2, size // 2, size - 1, size):
      of = (rng.permutation(size) % blocks)[whole]
      found = theory.apart(made, of) < 1e-9
      self.assertEqual(theory.conditionals_apart(made, of) < 1e-9, found)
      self.assertEqual(theory.score(made, of) < 1e-9, found)
      self.assertEqual(theory.lost(made, of) < 1e-12, found)
      self.assertEqual(found, blocks == size)

  def test_orders_summaries_by_what_they_lose(self):
    made = drawn(3)
    rng = np.random.default_rng(0)
    whole = theory.classes(made, counts)
    size = whole.max() + 1
    lost, scores = [], []
    # Ever coarser: two classes at a time become one.
    names = np.arange(size)
    while len(set(names)) > 1:
      one, other = rng.choice(sorted(set(names)), 2, replace=False)
      names = np.where(names == other, one, names)
      of = np.unique(names[whole], return_inverse=True)[1]
      lost.append(theory.lost(made, of))
      scores.append(theory.score(made, of))
    self.assertTrue((np.diff(lost) > -1e-12).all())  # data processing
    found = ranks.spearman(np.array(lost), np.array(scores))
    self.assertGreater(float(found), 0.9)

  def test_greedy_says_less_than_counts_and_more_than_nothing(self):
    made = drawn(4)
    summaries = (counts, majority, lambda a: 0)
    found = [theory.score(made, theory.classes(made, s)) for s in summaries]
    self.assertEqual(found, sorted(found))
    self.assertGreater(found[2], found[1])

  def test_refuses_what_is_impossible(self):
    with self.assertRaisesRegex(ValueError, 'positive'):
      theory.world(np.array([1.0]), np.array([[[1.0, 0.0], [0.0, 0.0]]]), 1)


if __name__ == '__main__':
  absltest.main()
