"""AUROC from ranks, against all pairs of a positive and a negative."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from engine.stats import auroc


def by_pairs(scores, labels, weights=None):
  """Every pair counted, in float64."""
  s, y = np.asarray(scores, np.float64), np.asarray(labels, bool)
  w = np.ones(s.shape) if weights is None else np.asarray(weights, np.float64)
  won = (s[y][:, None] > s[~y]) + 0.5 * (s[y][:, None] == s[~y])
  pairs = w[y][:, None] * w[~y]
  return np.sum(won * pairs) / np.sum(pairs)


class AurocTest(parameterized.TestCase):
  def test_number_of_the_spec(self):
    # Section 9, oracle 1: four points each at +1 and -1; (9 + 3) / 16.
    scores = jnp.array([1.0] * 4 + [-1.0] * 4)
    labels = jnp.array([1, 1, 1, 0, 1, 0, 0, 0])
    self.assertEqual(float(auroc.auroc(scores, labels)), 0.75)

  @parameterized.product(
    levels=(1, 4, 100), library=((np.asarray, 15), (jnp.asarray, 6))
  )
  def test_equals_all_pairs_in_batches_with_ties_and_padding(
    self, levels, library
  ):
    array, places = library
    rng = np.random.default_rng(levels)
    scores = rng.integers(0, levels, (2, 3, 11)).astype(np.float32)
    labels = rng.integers(0, 2, (2, 3, 11))
    labels[..., :2] = [0, 1]
    mask = rng.random((2, 3, 11)) < 0.7
    mask[..., :2] = True
    shown = np.where(mask, scores, np.nan)
    got = np.asarray(auroc.auroc(array(shown), array(labels), array(mask)))
    self.assertEqual(got.shape, (2, 3))
    for at in itertools.product(range(2), range(3)):
      keep = mask[at]
      want = by_pairs(scores[at][keep], labels[at][keep])
      self.assertAlmostEqual(float(got[at]), want, places=places)

  def test_weights_are_copies(self):
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 5, 13), rng.integers(0, 2, 13)
    times = rng.integers(0, 4, 13)
    copied = auroc.auroc(
      jnp.asarray(np.repeat(scores, times), jnp.float32),
      jnp.asarray(np.repeat(labels, times)),
    )
    weighted = auroc.auroc(
      jnp.asarray(scores, jnp.float32),
      jnp.asarray(labels),
      jnp.asarray(times, jnp.float32),
    )
    self.assertAlmostEqual(float(weighted), float(copied), places=6)
    fractions = rng.random(13).astype(np.float32)
    got = auroc.auroc(
      jnp.asarray(scores, jnp.float32),
      jnp.asarray(labels),
      jnp.asarray(fractions),
    )
    want = by_pairs(scores, labels, fractions)
    self.assertAlmostEqual(float(got), want, places=6)

  def test_only_the_order_matters(self):
    rng = np.random.default_rng(1)
    scores = rng.integers(-9, 9, 40).astype(np.float32) / 4
    labels = rng.integers(0, 2, 40).astype(bool)

    def area(scores, labels=labels):
      return auroc.auroc(jnp.asarray(scores), jnp.asarray(labels))

    want = area(scores)
    for f in (np.exp, lambda s: s**3, lambda s: 5 * s - 100, np.arctan):
      self.assertEqual(area(f(scores)), want)
    turned = area(-scores)
    swapped = area(scores, ~labels)
    self.assertAlmostEqual(float(turned), 1 - float(want), places=6)
    self.assertAlmostEqual(float(swapped), 1 - float(want), places=6)

  def test_leading_axes_broadcast(self):
    scores = jnp.asarray(
      np.random.default_rng(2).random((3, 2, 7)), jnp.float32
    )
    labels = jnp.array([[0, 1, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0, 1, 0]])
    got = np.asarray(auroc.auroc(scores, labels))
    self.assertEqual(got.shape, (3, 2))
    self.assertAlmostEqual(
      float(got[2, 1]), by_pairs(scores[2, 1], labels[1]), places=6
    )

  def test_many_samples_lose_nothing_in_float32(self):
    rng = np.random.default_rng(3)
    labels = rng.random(60_000) < 0.5
    scores = np.round(rng.standard_normal(60_000) + 0.3 * labels, 2)
    values, at = np.unique(scores, return_inverse=True)
    ones = np.bincount(at, labels, len(values))
    zeros = np.bincount(at, ~labels, len(values))
    below = np.cumsum(zeros) - zeros / 2
    want = np.sum(ones * below) / ones.sum() / zeros.sum()
    got = auroc.auroc(jnp.asarray(scores, jnp.float32), jnp.asarray(labels))
    self.assertAlmostEqual(float(got), want, delta=1e-5)

  def test_pairs_are_counted_in_whole_numbers_on_the_host(self):
    # 2^26 ties and one pair more: float32 cannot tell 1/2 + 2^-27 from 1/2.
    scores = np.array([0, 1, 0])
    labels = np.array([0, 1, 1])
    times = np.array([2**26, 1, 2**26 - 1])
    self.assertEqual(auroc.auroc(scores, labels, times), 0.5 + 2.0**-27)

  def test_limits_on_the_host(self):
    labels = np.array([0, 0, 1, 1])
    self.assertEqual(auroc.auroc(np.arange(4.0), labels), 1.0)
    self.assertEqual(auroc.auroc(-np.arange(4.0), labels), 0.0)
    self.assertEqual(auroc.auroc(np.ones(4), labels), 0.5)

  def test_infinities_are_scores(self):
    scores = jnp.array([jnp.inf, jnp.inf, 0.0, -jnp.inf])
    self.assertEqual(
      float(auroc.auroc(scores, jnp.array([1, 0, 1, 0]))), (0.5 + 2) / 4
    )

  def test_undefined_is_nan(self):
    scores = jnp.array([1.0, 2.0, 3.0])
    for labels in ([0, 0, 0], [1, 1, 1]):
      self.assertTrue(np.isnan(auroc.auroc(scores, jnp.array(labels))))
    # The only positive is padding; nothing at all; a score that is none.
    labels = jnp.array([0, 1, 0])
    mask = jnp.array([True, False, True])
    self.assertTrue(np.isnan(auroc.auroc(scores, labels, mask)))
    none = jnp.asarray(np.zeros((2, 0), np.float32))
    self.assertTrue(np.isnan(auroc.auroc(none, none)).all())
    broken = jnp.array([jnp.nan, 2.0, 3.0])
    self.assertTrue(np.isnan(auroc.auroc(broken, labels)))

  def test_undefined_is_nan_on_the_host(self):
    self.assertTrue(np.isnan(auroc.auroc(np.ones(4), np.ones(4))))
    self.assertTrue(np.isnan(auroc.auroc(np.zeros(0), np.zeros(0))))
    broken = np.array([1, np.nan, 2]), np.array([1, 0, 1])
    self.assertTrue(np.isnan(auroc.auroc(*broken)))
    self.assertTrue(np.isnan(auroc.auroc(*broken, np.array([1, 0, 1]))))


class LabelsTest(parameterized.TestCase):
  @parameterized.parameters(
    ([0, 1, 1],), ([True, False],), (np.array([0.0, 1.0]),)
  )
  def test_both_classes_pass(self, labels):
    auroc.check_labels('capitals', labels)

  @parameterized.parameters(
    ([1, 1, 1], 'both classes are needed, got 3 of class 1'),
    ([False], 'got 1 of class 0'),
    ([0, 1, 2], r'must be 0 or 1, got \[0, 1, 2\]'),
    ([-1, 1], r'got \[-1, 1\]'),
    ([0.5, 1.0], r'got \[0.5, 1.0\]'),
    ([], r'shape \(0,\)'),
    ([[0, 1]], r'shape \(1, 2\)'),
  )
  def test_others_are_refused_by_name(self, labels, message):
    with self.assertRaisesRegex(ValueError, f"task 'capitals'.*{message}"):
      auroc.check_labels('capitals', labels)


class BootstrapTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.enter_context(jax.debug_key_reuse(True))

  @parameterized.parameters(0.5, 0.94)
  def test_quantiles_are_those_of_all_samples_drawn_again(self, level):
    negative, positive = [0.0, 2.0], [1.0, 3.0]
    every = [
      by_pairs([*n, *p], [0, 0, 1, 1])
      for n in itertools.product(negative, repeat=2)
      for p in itertools.product(positive, repeat=2)
    ]
    tail = (1 - level) / 2
    want = np.quantile(every, [tail, 1 - tail], method='inverted_cdf')
    got = auroc.bootstrap_auroc(
      jax.random.key(0),
      jnp.array([1.0, 0.0, 3.0, 2.0]),
      jnp.array([1, 0, 1, 0]),
      draws=2000,
      level=level,
    )
    np.testing.assert_allclose(got, [0.75, *want], atol=1e-6)

  def test_width_is_that_of_the_asymptotic_error(self):
    rng = np.random.default_rng(0)
    labels = rng.random(300) < 0.3
    scores = rng.standard_normal(300) + labels
    won = scores[labels][:, None] > scores[~labels]
    error = np.sqrt(
      won.mean(1).var() / labels.sum() + won.mean(0).var() / (~labels).sum()
    )
    found = auroc.bootstrap_auroc(
      jax.random.key(1),
      jnp.asarray(scores, jnp.float32),
      jnp.asarray(labels),
      draws=1000,
    )
    estimate, low, high = np.asarray(found)
    self.assertAlmostEqual(float(estimate), won.mean(), places=5)
    self.assertAlmostEqual(float(high - low) / (2 * 1.96 * error), 1, delta=0.1)

  def test_groups_are_drawn_whole(self):
    rng = np.random.default_rng(4)
    y = (rng.random(90) < 0.4).astype(np.int32)
    z = (rng.standard_normal(90) + y).astype(np.float32)

    def width(copies, groups):
      # Copies lie apart, and the numbers of their groups are not in order.
      order = np.random.default_rng(5).permutation(90 * copies)
      number = np.random.default_rng(6).permutation(90)
      found = auroc.bootstrap_auroc(
        jax.random.key(4),
        jnp.asarray(np.tile(z, copies)[order]),
        jnp.asarray(np.tile(y, copies)[order]),
        groups=jnp.asarray(np.tile(number, copies)[order]) if groups else None,
        draws=1000,
      )
      found = np.asarray(found)
      self.assertAlmostEqual(float(found[0]), by_pairs(z, y), places=5)
      self.assertBetween(found[0], found[1], found[2])
      return float(found[2] - found[1])

    alone = width(1, False)
    # Not to draw within each class as well is a little wider, if at all.
    whole = width(1, True)
    self.assertAlmostEqual(whole / alone, 1.0, delta=0.1)
    self.assertAlmostEqual(width(4, True) / whole, 1.0, delta=0.1)
    self.assertAlmostEqual(width(4, False) / alone, 1 / 2, delta=0.05)

  def test_padding_is_in_no_group(self):
    rng = np.random.default_rng(7)
    y = rng.integers(0, 2, 60)
    z, group = rng.standard_normal(60) + y, np.arange(60) // 2
    mask = np.arange(60) < 40
    found = [
      auroc.bootstrap_auroc(
        jax.random.key(5),
        jnp.asarray(np.where(mask, z, score), jnp.float32),
        jnp.asarray(np.where(mask, y, label)),
        jnp.asarray(mask),
        # Of none of the others, of one of them.
        jnp.asarray(np.where(mask, group, number)),
        draws=300,
      )
      for score, label, number in ((0.0, 0, 0), (np.nan, 1, 59), (9.0, 1, 25))
    ]
    self.assertAlmostEqual(
      float(found[0][0]), by_pairs(z[:40], y[:40]), places=5
    )
    for other in found[1:]:
      np.testing.assert_array_equal(other, found[0])

  def test_padding_is_never_drawn(self):
    scores = jnp.array([5.0, 1.0, jnp.nan, 6.0, -9.0])
    got = auroc.bootstrap_auroc(
      jax.random.key(2),
      scores,
      jnp.array([1, 0, 1, 1, 1]),
      jnp.array([True, True, False, True, False]),
      draws=300,
    )
    np.testing.assert_array_equal(got, 1)

  def test_one_class_is_nan(self):
    got = auroc.bootstrap_auroc(
      jax.random.key(3), jnp.arange(4.0), jnp.zeros(4, int), draws=5
    )
    self.assertTrue(np.isnan(got).all())

  @parameterized.parameters(
    dict(draws=0), dict(draws=5, level=1.0), dict(draws=5, level=0.0)
  )
  def test_nonsense_is_refused(self, **knobs):
    with self.assertRaisesRegex(ValueError, 'draws must be positive and level'):
      auroc.bootstrap_auroc(
        jax.random.key(0), jnp.arange(2.0), jnp.arange(2), **knobs
      )


if __name__ == '__main__':
  absltest.main()
