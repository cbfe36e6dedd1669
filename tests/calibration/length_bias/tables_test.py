"""Tables: every cell against the function behind it, and what is left out."""

import jax
import numpy as np
import scipy.stats
from absl.testing import absltest, parameterized

from calibration.correctness import lexical, ratings
from calibration.length_bias import tables
from calibration.length_bias import world as length_world

SETTINGS = tables.Settings(draws=50, fewest=20)
# Of both tables, with four estimators each: one program.
COUNT = 800


def world(n, *, seed=0):
  """Scores, values of three real functions and lengths of drawn sentences."""
  drawn = length_world.draw(length_world.World(), n, seed=seed)
  references = [[drawn.reference]] * n
  values = {
    name: lexical.scores(name, drawn.answers, references)
    for name in ('rougel_f1', 'rougel_recall', 'alias')
  }
  return drawn.uncertainties, values, drawn.words


def by_pairs(u, y):
  won = (u[y == 1][:, None] < u[y == 0]) + 0.5 * (
    u[y == 1][:, None] == u[y == 0]
  )
  return won.mean()


class AurocsTest(parameterized.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    rng = np.random.default_rng(0)
    cls.lengths = rng.integers(3, 7, COUNT)
    cls.scores = {
      'a': rng.integers(0, 9, COUNT).astype(float),
      'b': rng.standard_normal(COUNT),
      'less': -cls.lengths.astype(float),
      'tokens': cls.lengths.astype(float),
    }
    full = rng.integers(0, 2, COUNT).astype(float)
    holes = np.where(rng.random(COUNT) < 0.4, np.nan, full)
    rare = np.where(np.arange(COUNT) < 5, 1.0, 0.0)
    never, unknown = np.zeros(COUNT), np.full(COUNT, np.nan)
    # Right where `b` is low, for short answers more than for long ones.
    told = cls.scores['b'] + 0.4 * cls.lengths - 1.8 < 0
    cls.labels = dict(
      full=full,
      holes=holes,
      rare=rare,
      never=never,
      unknown=unknown,
      told=told.astype(float),
    )
    with jax.debug_key_reuse(True):
      cls.found = tables.aurocs(
        jax.random.key(0), cls.scores, cls.labels, cls.lengths, SETTINGS
      )

  @parameterized.product(
    setting=('full', 'holes', 'rare'), name=('a', 'tokens')
  )
  def test_cells_are_the_pairs_of_known_answers(self, setting, name):
    y, u = self.labels[setting], self.scores[name]
    estimate, low, high = self.found[f'{setting}/{name}/auroc']
    self.assertAlmostEqual(estimate, by_pairs(u, y), places=5)
    self.assertBetween(estimate, low, high)
    won = counted = 0.0
    for words in set(self.lengths):
      here = self.lengths == words
      pairs = np.sum(y[here] == 1) * np.sum(y[here] == 0)
      if pairs:
        won += pairs * by_pairs(u[here], y[here])
        counted += pairs
    estimate, low, high = self.found[f'{setting}/{name}/within']
    self.assertAlmostEqual(estimate, won / counted, places=5)
    self.assertBetween(estimate, low, high)
    total = np.sum(y == 1) * np.sum(y == 0)
    self.assertAlmostEqual(
      self.found[f'{setting}/within_share'], counted / total, places=5
    )

  @parameterized.parameters('a', 'b', 'less')
  def test_partial_is_the_auroc_of_residuals_of_ranks(self, name):
    ranks, lengths = map(
      scipy.stats.rankdata, (self.scores[name], self.lengths)
    )
    slope, level = np.polyfit(lengths, ranks, 1)
    left = np.round(ranks - slope * lengths - level, 6)
    want = by_pairs(left, self.labels['told'])
    estimate, low, high = self.found[f'told/{name}/partial']
    self.assertAlmostEqual(estimate, want, delta=2e-3)
    self.assertBetween(estimate, low, high)
    if name == 'b':
      # Uncertainties: who is surer is right.
      self.assertGreater(estimate, 0.9)

  def test_length_is_at_a_half_where_it_is_controlled(self):
    for setting in ('full', 'holes', 'rare'):
      for kind in ('within', 'partial'):
        np.testing.assert_allclose(
          self.found[f'{setting}/tokens/{kind}'], 0.5, atol=1e-6
        )

  def test_few_are_flagged_and_one_class_is_counted_and_left_out(self):
    found = self.found
    self.assertEqual(
      [found[f'{s}/few'] for s in self.labels], [0, 0, 1, 1, 1, 0]
    )
    self.assertEqual(found['omitted'], 2)
    self.assertIn("'never'", found['never/omitted'])
    self.assertIn('both classes are needed', found['never/omitted'])
    self.assertIn("'unknown'", found['unknown/omitted'])
    self.assertEqual(found['rare/correct'], 5)
    self.assertEqual(
      found['holes/known'], np.sum(~np.isnan(self.labels['holes']))
    )
    self.assertNotIn('never/a/auroc', found)

  def test_the_host_door_names_what_is_missing(self):
    with self.assertRaisesRegex(ValueError, "'never'.*800 of class 0 and none"):
      tables.check_setting('never', self.labels['never'])

  @parameterized.parameters(
    (dict(a=np.zeros(3)), {}, r"estimator 'a' must have .* \(4,\)"),
    ({}, dict(s=np.zeros((4, 1))), r"setting 's' must have .*got shape \(4, 1"),
    (dict(a=np.array([0, np.nan, 1, 2])), {}, "'a' must score every answer, 1"),
    ({}, dict(s=np.array([0, 1, 2, np.nan])), "setting 's': labels must be 0"),
    ({}, {}, 'at least one estimator'),
  )
  def test_nonsense_is_refused_by_name(self, scores, labels, message):
    with self.assertRaisesRegex(ValueError, message):
      tables.aurocs(jax.random.key(0), scores, labels, np.arange(4), SETTINGS)

  @parameterized.parameters(
    (dict(draws=0), 'tables.draws must be positive'),
    (dict(bins=-1), 'tables.bins must not be negative'),
    (dict(rate_bins=0), 'tables.rate_bins must be positive'),
    (dict(fewest=0), 'tables.fewest must be positive'),
  )
  def test_settings_check_themselves(self, knobs, message):
    with self.assertRaisesRegex(ValueError, message):
      tables.Settings(**knobs)


class SpecTest(absltest.TestCase):
  def test_areas_of_the_spec(self):
    # Confidences of its set A, and a case with ties, as uncertainties.
    confident = [0.97, 0.92, 0.83, 0.78, 0.66, 0.61, 0.54, 0.43, 0.31, 0.12]
    tied = [0.1, 0.4, 0.35, 0.8, 0.4, 0.4]
    for score, labels, want in (
      (confident, '1110101010', 0.75),
      (tied, '001110', 0.6666667),
    ):
      found = tables.aurocs(
        jax.random.key(0),
        {'u': -np.array(score)},
        {'spec': np.array(list(labels), float)},
        np.arange(len(score)),
        tables.Settings(draws=2),
      )
      self.assertAlmostEqual(found['spec/u/auroc'][0], want, places=6)
      # No two answers are of one length: nothing to compare.
      self.assertNotIn('spec/u/within', found)
      self.assertEqual(found['spec/few'], 1)


class ReportTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.scores, cls.values, cls.words = world(COUNT)
    with jax.debug_key_reuse(True):
      cls.found = tables.report(
        jax.random.key(1),
        cls.scores,
        cls.values,
        cls.words,
        settings=SETTINGS,
        trusted='alias',
      )

  def test_length_is_inflated_as_the_world_says_and_controlled_again(self):
    # At '>', a sentence of six words fails: 3, 4 and 5 pass.
    observed, *_ = self.found['rougel_f1@0.5/length/auroc']
    self.assertAlmostEqual(observed, by_cut(5), delta=0.02)
    self.assertAlmostEqual(
      self.found['rougel_recall@1/length/auroc'][0], 0.5, delta=0.05
    )
    np.testing.assert_allclose(
      self.found['rougel_f1@0.5/length/within'], 0.5, atol=1e-6
    )

  def test_bias_is_what_case_2_says_and_not_case_1(self):
    for name in ('length', 'signal_and_length', 'signal_less_length'):
      cell = f'rougel_f1@0.3/{name}/'
      observed = self.found[f'{cell}bias']
      self.assertGreater(abs(observed), 0.1)
      self.assertAlmostEqual(
        self.found[f'{cell}bias_case2'], observed, delta=0.03
      )
      self.assertLess(abs(self.found[f'{cell}bias_case1']), 0.1)
    self.assertNotIn('alias/length/bias', self.found)

  def test_one_bin_of_lengths_leaves_case_1(self):
    found = tables.biases(
      self.scores,
      {name: self.values[name] for name in ('alias', 'rougel_recall')}
      | {'f1': (self.values['rougel_f1'] > 0.3) * 1.0},
      self.words,
      tables.Settings(rate_bins=1),
      trusted='alias',
    )
    for name in self.scores:
      case1 = found[f'f1/{name}/bias_case1']
      self.assertEqual(found[f'f1/{name}/bias_case2'], case1)
      # Labels that are the truth have no bias.
      self.assertAlmostEqual(found[f'rougel_recall/{name}/bias'], 0)

  def test_the_shape_of_the_paper(self):
    found = self.found
    # Recall agrees with containment throughout, F1 not at all at the end.
    self.assertEqual(found['kappa/rougel_recall@1/alias'], 1)
    self.assertGreater(found['sweep/rougel_f1@0.15'], 0.9)
    self.assertEqual(found['sweep/rougel_f1@0.95'], 0)
    self.assertLess(found['spearman/function/rougel_f1'], -0.2)
    self.assertLess(abs(found['spearman/function/alias']), 0.1)
    self.assertEqual(found['spearman/estimator/length'], 1)

  def test_results_are_flat(self):
    for key, value in self.found.items():
      self.assertIsInstance(key, str)
      if isinstance(value, list):
        self.assertLen(value, 3)
      else:
        self.assertIsInstance(value, int | float | str)

  def test_people_are_swept_against_where_they_agree(self):
    labels = np.tile(self.values['alias'], (2, 1))
    labels[1, :100] = 1 - labels[1, :100]  # they differ: left out
    with jax.debug_key_reuse(True):
      found = tables.report(
        jax.random.key(1),
        self.scores,
        {'alias': self.values['alias']},
        self.words,
        settings=SETTINGS,
        trusted='alias',
        people=ratings.Ratings(['A', 'B'], labels, 0),
      )
    self.assertEqual(found['people/sweep/alias@0.5'], 1)
    self.assertEqual(found['kappa/alias/people/A'], 1)
    self.assertLess(found['kappa/alias/people/B'], 0.9)

  def test_what_is_trusted_must_be_there(self):
    with self.assertRaisesRegex(ValueError, "trusted must be.*alias, got 'j"):
      tables.report(
        jax.random.key(1),
        self.scores,
        self.values,
        self.words,
        settings=SETTINGS,
        trusted='judge',
      )


def by_cut(cut):
  """AUROC of length when right answers of 3 .. cut words of 3 .. 20 pass."""
  words = np.arange(3, 21)
  yes = (words <= cut) * 0.5
  return length_world.pair_area(words, yes, 1 - yes)


if __name__ == '__main__':
  absltest.main()
