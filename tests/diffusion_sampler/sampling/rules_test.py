"""One call of each rule against sets written down by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.sampling import rules
from tests.diffusion_sampler import support

# Section 12.1.
SIX = [
  [0.97, 0.02, 0.01],
  [0.50, 0.49, 0.01],
  [0.90, 0.05, 0.05],
  [0.60, 0.20, 0.20],
  [0.80, 0.19, 0.01],
  [0.34, 0.33, 0.33],
]
ALL = [True] * 6
# One of every kind; two positions or so of six.
EVERY = {
  'random': rules.Random(count=2),
  'top_k': rules.TopK(count=2, by='margin'),
  'left_to_right': rules.LeftToRight(count=2),
  'threshold': rules.Threshold(threshold=0.7),
  'factor': rules.Factor(factor=1.0),
  'entropy_bounded': rules.EntropyBounded(bound=0.6),
  'klass': rules.Klass(confidence=0.5, divergence=0.5, passes=2, steps=3),
  'llada': rules.LladaSchedule(steps=3),
  'dream': rules.DreamSchedule(steps=3, noise=0.3),
  'ancestral': rules.Ancestral(steps=3),
}


def random_stats(batch, length, seed=0):
  rng = np.random.default_rng(seed)
  p = rng.dirichlet([0.3] * 4, (batch, length))
  return support.stats_of(p, divergence=rng.random((2, batch, length)))


class SpecTest(support.SamplerTestCase):
  def take(self, rule, masked=ALL):
    return support.chosen_set(support.act(rule, support.stats_of(SIX), masked))

  @parameterized.parameters(
    ('confidence', (0, 2, 4, 3, 1, 5)),
    ('margin', (0, 2, 4, 3, 1, 5)),
    ('entropy', (0, 2, 4, 1, 3, 5)),
  )
  def test_order(self, by, order):
    for count in range(1, 9):
      got = self.take(rules.TopK(count=count, by=by))
      self.assertEqual(got, sorted(order[:count]))

  @parameterized.parameters(
    (0.95, [0]), (0.85, [0, 2]), (0.75, [0, 2, 4]), (0.98, [0])
  )
  def test_threshold(self, threshold, want):
    self.assertEqual(self.take(rules.Threshold(threshold=threshold)), want)

  @parameterized.parameters(
    (0.05, [0]),
    (0.1, [0]),
    (0.5, [0, 2]),
    (1.0, [0, 2, 4]),
    (2.5, [0, 2, 3, 4]),
    (4.5, [0, 1, 2, 3, 4]),  # only the last fails: it alone is left
    (5.0, [0, 1, 2, 3, 4, 5]),
  )
  def test_factor(self, factor, want):
    self.assertEqual(self.take(rules.Factor(factor=factor)), want)

  @parameterized.parameters(
    ('entropy', 0.0, [0]),
    ('entropy', 0.2, [0, 2]),
    ('entropy', 0.6, [0, 2, 4]),
    ('entropy', 1.5, [0, 1, 2, 4]),
    ('entropy', 1.9, [0, 1, 2, 3, 4]),
    ('entropy', 3.0, [0, 1, 2, 3, 4, 5]),
    ('confidence', 0.2, [0, 2]),
    ('confidence', 1.5, [0, 2, 3, 4]),
    ('margin', 1.5, [0, 2, 3, 4]),
  )
  def test_entropy_bounded(self, by, bound, want):
    rule = rules.EntropyBounded(bound=bound, by=by)
    self.assertEqual(self.take(rule), want)

  def test_left_to_right(self):
    masked = [False, True, False, True, True, True]
    for count in (1, 2, 3, 4, 9):
      got = self.take(rules.LeftToRight(count=count), masked)
      self.assertEqual(got, [1, 3, 4, 5][:count])

  @parameterized.parameters(
    rules.TopK(count=3),
    rules.TopK(count=3, by='entropy'),
    rules.Threshold(threshold=0.75),
    rules.Factor(factor=1.0),
    rules.EntropyBounded(bound=0.6),
    rules.LladaSchedule(steps=2),
  )
  def test_what_is_not_eligible_does_not_count(self, rule):
    # Three surer positions: one written, two of another block.
    p = [[1.0, 0.0, 0.0], *SIX[:3], [0.99, 0.01, 0.0], *SIX[3:], [1.0, 0, 0]]
    masked = np.array([[False] + [True] * 8])
    inside = np.array([[True] * 4 + [False] + [True] * 3 + [False]])
    got = support.act(rule, support.stats_of(p), masked, inside=inside, begun=6)
    self.assertEqual(support.chosen_set(got), [1, 3, 6])  # of SIX: 0, 2, 4

  @parameterized.parameters(
    rules.TopK(count=3),
    rules.Threshold(threshold=0.75),
    rules.Factor(factor=1.0),
    rules.EntropyBounded(bound=1.5),
    rules.EntropyBounded(bound=1.5, by='confidence'),
  )
  def test_places_do_not_matter(self, rule):
    want = np.isin(np.arange(6), self.take(rule))
    for order in ([5, 3, 1, 0, 2, 4], [3, 4, 5, 0, 1, 2]):
      stats = support.stats_of(np.array(SIX)[order])
      got = support.act(rule, stats, ALL)
      np.testing.assert_array_equal(got[0], want[order])


class TieTest(support.SamplerTestCase):
  @parameterized.parameters(
    (rules.TopK(count=2), [1, 2]),
    (rules.TopK(count=2, by='margin'), [1, 2]),
    (rules.TopK(count=2, by='entropy'), [1, 2]),
    (rules.Threshold(threshold=0.9), [1]),
    (rules.Factor(factor=1.5), [1, 2]),  # .8, 1.2, then 1.6
    (rules.EntropyBounded(bound=0.7), [1, 2]),  # .4, then .8
    (rules.LladaSchedule(steps=2), [1, 2]),
  )
  def test_equals_go_from_the_left(self, rule, want):
    stats = support.confident([0.6] * 5)
    masked = [False, True, True, True, True]
    got = support.act(rule, stats, masked, begun=4)
    self.assertEqual(support.chosen_set(got), want)

  def test_the_best_is_the_first_by_pairs(self):
    rng = np.random.default_rng(0)
    grid = np.array([-np.inf, -1.0, 0.25, 0.25, 0.5, np.inf], np.float32)
    score = jnp.asarray(rng.choice(grid, (200, 7)))
    eligible = jnp.asarray(rng.random((200, 7)) < 0.3)
    got = rules.best(score, eligible)
    want = rules.first(score, eligible, jnp.ones(200, jnp.int32))
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(got.sum(-1), eligible.any(-1))

  def test_as_confident_as_the_threshold_is_enough(self):
    stats = support.confident([0.5, 0.75, 0.7])
    got = support.act(rules.Threshold(threshold=0.75), stats, [True] * 3)
    self.assertEqual(support.chosen_set(got), [1])
    got = support.act(rules.Threshold(threshold=0.5), stats, [True] * 3)
    self.assertEqual(support.chosen_set(got), [0, 1, 2])

  def test_confidence_is_of_the_drawn_token(self):
    # Top-K ranks what would be written; the threshold asks what is best.
    p = [[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]]
    stats = support.stats_of(p, token=[[1, 0, 1]])
    got = support.act(rules.TopK(count=1), stats, [True] * 3)
    self.assertEqual(support.chosen_set(got), [1])
    got = support.act(rules.Threshold(threshold=0.8), stats, [True] * 3)
    self.assertEqual(support.chosen_set(got), [0])
    # Fast-dLLM's asks what would be written: .1, .6 and .3.
    for threshold, want in ((0.8, [1]), (0.25, [1, 2])):
      rule = rules.Threshold(threshold=threshold, of='drawn')
      got = support.act(rule, stats, [True] * 3)
      self.assertEqual(support.chosen_set(got), want)
    # .2 of the best, then .9; drawn .8, then 2.1.
    for of, want in (('best', [0, 2]), ('drawn', [1])):
      got = support.act(rules.Factor(factor=1.0, of=of), stats, [True] * 3)
      self.assertEqual(support.chosen_set(got), want)


class EveryRuleTest(support.SamplerTestCase):
  def test_every_kind_is_here(self):
    self.assertEqual(EVERY.keys(), rules.KINDS.keys())
    for name, rule in EVERY.items():
      self.assertIs(type(rule), rules.KINDS[name])

  @parameterized.parameters(*EVERY)
  def test_takes_eligible_positions_and_one_at_least(self, name):
    rng = np.random.default_rng(1)
    batch, length = 64, 6
    masked = rng.random((batch, length)) < 0.6
    inside = np.repeat(rng.random((batch, 2)) < 0.7, 3, axis=1)
    eligible = masked & inside
    got = support.act(
      EVERY[name],
      random_stats(batch, length),
      masked,
      inside=inside,
      passes=2,  # the last of the schedules'
      begun=eligible.sum(-1),
    )
    self.assertFalse((got & ~eligible).any())
    np.testing.assert_array_equal(got.any(-1), eligible.any(-1))
    self.assertFalse(eligible.any(-1).all())

  @parameterized.parameters(*EVERY)
  def test_a_row_is_as_if_alone(self, name):
    rng = np.random.default_rng(2)
    batch, length = 8, 6
    masked = jnp.asarray(rng.random((batch, length)) < 0.7)
    stats = random_stats(batch, length, seed=2)
    passes = jnp.asarray(rng.integers(0, 4, batch))
    block = rules.Block(
      inside=jnp.asarray(np.repeat(rng.random((batch, 2)) < 0.7, 3, axis=1)),
      passes=passes,
      begun=jnp.asarray(rng.integers(1, 7, batch)),
      nfe=passes,
    )
    rule = jax.jit(EVERY[name])
    whole = rule(stats, masked, block, support.keys(batch))
    for row in range(batch):
      at = slice(row, row + 1)
      one = jax.tree.map(lambda a, at=at: a[at], stats)
      one = one.replace(divergence=stats.divergence[:, at])
      alone = rule(
        one,
        masked[at],
        jax.tree.map(lambda a, at=at: a[at], block),
        support.keys(batch)[at],
      )
      np.testing.assert_array_equal(whole[row], alone[0], err_msg=str(row))

  def test_rows_fall_back_and_finish_by_themselves(self):
    # The released batched branch falls back only if no row passes, and then
    # writes into finished rows as well.
    stats = support.confident([[0.95, 0.5, 0.2], [0.4, 0.7, 0.6], [0.9] * 3])
    masked = [[True, True, True], [True, True, True], [False] * 3]
    rule = rules.Threshold(threshold=0.9)
    np.testing.assert_array_equal(
      support.act(rule, stats, masked),
      [[True, False, False], [False, True, False], [False] * 3],
    )
    low = support.confident([[0.5, 0.3, 0.2], [0.4, 0.7, 0.6], [0.9] * 3])
    np.testing.assert_array_equal(
      support.act(rule, low, masked),
      [[True, False, False], [False, True, False], [False] * 3],
    )


class RandomTest(support.SamplerTestCase):
  def test_every_set_is_as_likely(self):
    count = 20_000
    masked = np.tile([True, False, True, True, True], (count, 1))
    stats = support.confident(np.full((count, 5), 0.5))
    got = support.act(rules.Random(count=2), stats, masked)
    self.assertTrue((got.sum(-1) == 2).all())
    pairs = [
      (got[:, i] & got[:, j]).sum()
      for i, j in itertools.combinations([0, 2, 3, 4], 2)
    ]
    self.assert_frequencies(pairs, np.full(6, 1 / 6))

  def test_takes_what_is_left(self):
    got = support.act(
      rules.Random(count=4), support.confident([0.5] * 4), [True, False] * 2
    )
    self.assertEqual(support.chosen_set(got), [0, 2])


class SweepTest(support.SamplerTestCase):
  def test_a_sweep_compiles_once(self):
    @jax.jit
    def run(rule, stats):
      block = support.block_of(ALL)
      return rule(stats, jnp.ones((1, 6), bool), block, support.keys(1))

    stats = support.stats_of(SIX)
    for kind, key, values in (
      (rules.Threshold, 'threshold', (0.85, 0.75)),
      (rules.Factor, 'factor', (0.5, 1.0)),
      (rules.EntropyBounded, 'bound', (0.2, 0.6)),
    ):
      before = run._cache_size()
      sets = [
        support.chosen_set(run(kind(**{key: value}), stats)) for value in values
      ]
      self.assertEqual(sets, [[0, 2], [0, 2, 4]])
      self.assertEqual(run._cache_size(), before + 1)


if __name__ == '__main__':
  absltest.main()
