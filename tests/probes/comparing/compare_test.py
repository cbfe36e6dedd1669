"""Comparisons: padding counts for nothing, and the figures by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from probes import worlds
from probes.comparing import compare, mixtures

SETTINGS = compare.Settings(
  ridge_lambdas=3,
  sparse_lambdas=6,
  folds=2,
  supports=(4,),
  draws=20,
)
# Samples of each task, padded to the most.
SIZES = np.array([48, 60, 39])


def padded():
  """Tasks of different sizes; zeros, and no side, where a task has ended."""
  world = worlds.World(
    shared=2.0, specific=2.0, tasks=3, train=40, test=20, width=24, rank=2
  )
  samples = worlds.draw(jax.random.key(0), world)
  at = jnp.arange(60)
  there = at < SIZES[:, None]
  # Pairs of a right and a wrong answer, of which every third is held out.
  held = at // 2 % 3 == 2
  return mixtures.Samples(
    x=jnp.where(there[..., None], samples.x, 0.0),
    y=jnp.where(there, samples.y, 0.0),
    train=there & ~held,
    test=there & held,
    group=jnp.where(there, at // 2, 0),
  )


class PaddingTest(absltest.TestCase):
  def test_what_stands_there_changes_no_number(self):
    samples = padded()
    pad = ~(samples.train | samples.test)
    self.assertEqual(int(pad.sum()), 180 - SIZES.sum())
    garbage = 1e6 * jax.random.normal(jax.random.key(1), samples.x.shape)
    other = samples._replace(
      x=jnp.where(pad[..., None], garbage, samples.x),
      # A number that no sample has.
      group=jnp.where(pad, 59, samples.group),
    )
    names = ('short', 'long', 'shortest')
    want, got = (
      compare.numbers(
        compare.compare(jax.random.key(2), s, SETTINGS, seed=3), names
      )
      for s in (samples, other)
    )
    self.assertEqual(want.keys(), got.keys())
    for name, value in want.items():
      self.assertTrue(np.isfinite(value), name)
      self.assertAlmostEqual(got[name], value, places=5, msg=name)


class FitTest(parameterized.TestCase):
  @parameterized.parameters(
    ('ridge', 0.125), ('ridge', 40.0), ('sparse', 0.05), ('sparse', 9.0)
  )
  def test_a_given_lambda_is_the_slope_of_the_loss(self, kind, at):
    samples, _ = compare.shared_basis(padded())
    settings = dataclasses.replace(SETTINGS, **{f'{kind}_at': at})
    chosen = compare.fit(samples, kind, settings, 0)
    self.assertTrue(np.isnan(chosen.score).all())
    for t in range(3):
      lam = float(chosen.path.lambdas[t, 0, chosen.at[t]])
      self.assertEqual(lam, float(np.float32(at)))
      use = np.asarray(samples.train[t])
      x = np.asarray(samples.x[t], np.float64)[use]
      y = np.asarray(samples.y[t], np.float64)[use]
      w, b = np.asarray(chosen.w[t], np.float64), float(chosen.b[t])
      off = 1 / (1 + np.exp(-x @ w - b)) - y
      self.assertAlmostEqual(off.mean(), 0.0, places=5)
      slope = -x.T @ off / len(x)
      if kind == 'ridge':
        np.testing.assert_allclose(slope, at * w, atol=1e-5)
        self.assertGreater(np.abs(w).max(), 1e-3)
      else:
        on = w != 0
        self.assertEqual(on.any(), at < 1)
        np.testing.assert_allclose(slope[on], at * np.sign(w[on]), atol=1e-4)
        self.assertLess(np.abs(slope).max(), at + 1e-4)


class SettingsTest(parameterized.TestCase):
  @parameterized.parameters(
    (dict(ridge_at=-0.1), 'probes.ridge_at must be a lambda.*got -0.1'),
    (dict(sparse_at=-2.0), 'probes.sparse_at must be a lambda.*got -2.0'),
    (dict(folds=1), 'probes.folds must be at least 2, got 1'),
    (dict(supports=(5, 0)), r'probes.supports must be positive, got \(5, 0\)'),
  )
  def test_nonsense_is_refused(self, wrong, message):
    with self.assertRaisesRegex(ValueError, message):
      compare.Settings(**wrong)

  def test_penalties_are_those_of_their_kind(self):
    settings = compare.Settings(ridge_lambdas=3, sparse_lambdas=5)
    self.assertEqual(compare.Settings(supports=()).supports, ())
    for kind, share, count in (('ridge', 0.0, 3), ('sparse', 1.0, 5)):
      penalty = settings.penalty(kind)
      self.assertEqual((penalty.share, penalty.lambdas), (share, count))


def by_hand():
  """What `compare` could have found of three probes with five weights."""
  nan = np.nan
  area = np.array([[0.9, 0.6, 0.4], [0.5, 0.8, 0.7], [0.55, 0.65, 0.7]])
  cosine = np.array([[1, 0.2, -0.4], [0.2, 1, 0.5], [-0.4, 0.5, 1]])
  # The last probe has no weights.
  lost = np.array([[1, 0.3, nan], [0.3, 1, nan], [nan, nan, nan]])
  off = 1 - np.eye(3)
  ridge = {
    'w': np.ones((3, 5)),
    'gap': 1e-6,
    'kkt': 1e-5,
    'score': np.array([0.9, 0.6, 0.6]),
    'transfer': np.stack([area, area - 0.1, area + 0.05], -1),
    'cosine': cosine,
    'cosine_raw': cosine / 2,
    'mahalanobis': lost,
    'span': np.array([0.1, nan, 0.3]),
    'brier': 0.1 * np.eye(3) + 0.3 * off,
    'brier_recalibrated': 0.2 * np.eye(3) + 0.25 * off,
    'by_cosine': np.array([0.5, 0.1, 0.8]),
    'by_mahalanobis': np.array([0.6, 0.2, 0.9]),
  }
  sparse = ridge | {
    'transfer': np.full((3, 3, 3), 0.4),
    'cosine': lost * 0 + nan,
    'cosine_raw': lost,
    'jaccard@4': lost,
    'overlap@4': 2 * lost,
    'chance@4': lost / 3,
    'p@4': np.array([[nan, 0.01, 0.2], [0.04, nan, 0.3], [0.06, 0.9, nan]]),
    'size@4': np.array([4, 4, 1]),
  }
  return {
    f'{kind}/{name}': jnp.array(value)
    for kind, found in (('ridge', ridge), ('sparse', sparse))
    for name, value in found.items()
  }


class NumbersTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.got = compare.numbers(by_hand(), ('a', 'b', 'c'))

  def check(self, want):
    for name, value in want.items():
      self.assertAlmostEqual(self.got[name], value, places=5, msg=name)

  def test_all_are_plain_numbers(self):
    self.assertEqual(set(map(type, self.got.values())), {float})

  def test_transfer_is_over_pairs_of_two_tasks(self):
    self.check(
      {
        'ridge/own': 0.8,
        'ridge/transfer': 3.4 / 6,
        'ridge/transfer_lowest': 0.4,
        'ridge/transfer_highest': 0.7,
        'ridge/recovered': (3.4 / 6 - 0.5) / 0.3,
        'ridge/score': 0.7,
        'ridge/gap': 1e-6,
        'ridge/kkt': 1e-5,
        'sparse/own': 0.4,
      }
    )

  def test_own_intervals_are_by_the_name_of_the_task(self):
    for task, own in (('a', 0.9), ('b', 0.8), ('c', 0.7)):
      self.check(
        {
          f'ridge/own/{task}': own,
          f'ridge/own_low/{task}': own - 0.1,
          f'ridge/own_high/{task}': own + 0.05,
        }
      )

  def test_nothing_is_recovered_of_what_is_not_there(self):
    self.assertTrue(np.isnan(self.got['sparse/recovered']))

  def test_cosines(self):
    self.check(
      {
        'ridge/cosine': 0.1,
        'ridge/cosine_raw': 0.05,
        'ridge/cosine_size': 1.1 / 3,
        'ridge/by_cosine': 0.5,
        'ridge/by_cosine_low': 0.1,
        'ridge/by_cosine_high': 0.8,
        'ridge/by_mahalanobis_high': 0.9,
        # 1 / sqrt(3), and (3 - 1) / 5.
        'cosine_of_best_axis': 0.577350,
        'span_of_random': 0.4,
        # E|cos| in five dimensions is 3 / 8.
        'cosine_of_random': 0.375,
      }
    )

  def test_a_probe_without_weights_is_in_no_mean(self):
    self.check(
      {'ridge/mahalanobis': 0.3, 'ridge/span': 0.2, 'sparse/cosine_raw': 0.3}
    )
    self.assertTrue(np.isnan(self.got['sparse/cosine']))

  def test_brier_is_of_own_and_of_others(self):
    self.check(
      {
        'ridge/brier_own': 0.1,
        'ridge/brier_transfer': 0.3,
        'ridge/brier_recalibrated_own': 0.2,
        'ridge/brier_recalibrated_transfer': 0.25,
      }
    )

  def test_supports(self):
    self.check(
      {
        'sparse/jaccard@4': 0.3,
        'sparse/overlap@4': 0.6,
        'sparse/chance@4': 0.1,
        'sparse/size@4': 3.0,
        'sparse/above_chance@4': 2 / 6,
      }
    )

  def test_names_must_be_as_many_as_tasks(self):
    with self.assertRaises(ValueError):
      compare.numbers(by_hand(), ('a', 'b'))


if __name__ == '__main__':
  absltest.main()
