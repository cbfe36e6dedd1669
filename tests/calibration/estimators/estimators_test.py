"""Estimators against hand counts, float64 loops and a peer's numbers."""

import math

import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration.estimators import (
  multi,
  names,
  probe,
  single,
  table,
)
from engine.stats import auroc

# Section 9: four samples of one token each, the first two mean the same.
SAMPLES = np.log(np.array([[[0.3], [0.2], [0.1], [0.05]]], np.float32))
ONES = np.ones((1, 4), np.int32)
CLUSTERS = np.array([[1, 1, 7, 3]], np.int32)


def padded(rows, fill=np.nan):
  """[N, L] and lengths of lists that differ in length."""
  out = np.full((len(rows), max(map(len, rows)) + 1), fill, np.float32)
  for row, values in zip(out, rows, strict=True):
    row[: len(values)] = values
  return out, np.array([len(row) for row in rows])


def oracle(by_length=False, masses='normalised', unique=None, clusters=None):
  if unique is None:
    unique = ONES > 0
  return float(
    np.asarray(
      multi.semantic_entropy(
        SAMPLES,
        ONES,
        CLUSTERS if clusters is None else clusters,
        unique,
        by_length=by_length,
        masses=masses,
      )
    )[0]
  )


class SingleTest(absltest.TestCase):
  def test_numbers_of_the_spec_with_padding_that_is_nan(self):
    logp, lengths = padded([np.log([0.5, 0.8, 0.9]), np.log([0.25, 0.5])])
    np.testing.assert_allclose(
      single.negative_sequence_probability(logp, lengths),
      [-0.36, -0.125],
      rtol=1e-6,
    )
    np.testing.assert_allclose(
      single.negative_log_probability(logp, lengths),
      [1.0216512, -math.log(0.125)],
      rtol=1e-6,
    )
    np.testing.assert_allclose(
      single.perplexity(logp, lengths), [1.4057211, 2.8284271], rtol=1e-6
    )
    np.testing.assert_allclose(
      -np.asarray(single.mean_logprob(logp, lengths))[0], 0.3405504, rtol=1e-6
    )

  def test_mean_token_entropy_of_the_spec(self):
    rows = ((0.5, 0.5), (0.9, 0.1), (1.0,))
    entropies = [-sum(p * math.log(p) for p in row) for row in rows]
    found = single.mean_token_entropy(*padded([entropies]))
    self.assertAlmostEqual(float(np.asarray(found)[0]), 0.3394101, places=6)

  def test_logarithm_keeps_the_order_that_underflow_loses(self):
    logp, lengths = padded([[-60.0] * 2, [-60.0] * 3, [-1.0]])
    nsp = single.negative_sequence_probability(logp, lengths)
    self.assertEqual(*np.asarray(nsp)[:2])
    nll = single.negative_log_probability(logp, lengths)
    np.testing.assert_array_equal(np.argsort(nll), [2, 0, 1])

  def test_the_least_probable_token_behind_padding_that_is_nan(self):
    logp, lengths = padded([np.log([0.5, 0.1, 0.9]), np.log([0.25])])
    np.testing.assert_allclose(
      single.max_token_surprisal(logp, lengths),
      [math.log(10), math.log(4)],
      rtol=1e-6,
    )

  def test_an_answer_without_tokens_is_certain(self):
    logp, lengths = padded([[], [-1.0]])
    found = single.max_token_surprisal(logp, lengths)
    self.assertEqual(float(np.asarray(found)[0]), 0)
    self.assertEqual(float(np.asarray(single.perplexity(logp, lengths))[0]), 1)
    self.assertEqual(
      float(np.asarray(single.mean_token_entropy(-logp, lengths))[0]), 0
    )


class MultiTest(parameterized.TestCase):
  def test_monte_carlo_entropy_of_the_spec(self):
    args = SAMPLES, ONES
    found = multi.monte_carlo_entropy(*args)
    self.assertAlmostEqual(float(np.asarray(found)[0]), 2.0279320, places=6)
    real = np.array([[True, True, False, True]])
    found = multi.monte_carlo_entropy(*args, real)
    self.assertAlmostEqual(
      float(np.asarray(found)[0]), -math.log(0.3 * 0.2 * 0.05) / 3, places=6
    )

  def test_monte_carlo_entropy_by_length_leaves_out_empty_samples(self):
    logp = np.full((1, 3, 2), np.nan, np.float32)
    logp[0, 0], logp[0, 1, 0] = (-1, -3), -5
    found = multi.monte_carlo_entropy(
      logp, np.array([[2, 1, 0]]), by_length=True
    )
    self.assertAlmostEqual(float(np.asarray(found)[0]), (2 + 5) / 2, places=6)
    found = multi.monte_carlo_entropy(logp, np.zeros((1, 3), int))
    self.assertEqual(float(np.asarray(found)[0]), 0)

  def test_naive_entropy_of_the_spec_repeated_samples_included(self):
    args = SAMPLES, ONES
    found = multi.naive_entropy(*args)
    self.assertAlmostEqual(float(np.asarray(found)[0]), 1.0631245, places=6)
    # Without the third sample, whose term is .1 log 10.
    real = np.array([[True, True, False, True]])
    self.assertAlmostEqual(
      float(np.asarray(multi.naive_entropy(*args, real))[0]),
      1.0631245 - 0.1 * math.log(10),
      places=6,
    )

  def test_log_naive_entropy_where_no_float32_is_small_enough(self):
    logp = np.full((2, 2, 3), -50.0, np.float32)
    logp[1] = -49.0
    lengths = np.full((2, 2), 3)
    found = multi.log_naive_entropy(logp, lengths)
    # Two samples of -3 c nats: log(2 * exp(-3 c) * 3 c).
    want = [math.log(2 * 3 * c) - 3 * c for c in (50, 49)]
    np.testing.assert_allclose(found, want, rtol=1e-6)
    np.testing.assert_array_equal(multi.naive_entropy(logp, lengths), 0)

  def test_certain_samples_have_no_naive_entropy(self):
    found = multi.naive_entropy(
      np.zeros((1, 2, 3), np.float32), np.full((1, 2), 3)
    )
    self.assertEqual(float(np.asarray(found)[0]), 0)
    # Softmaxes round to a little more than 1.
    found = multi.naive_entropy(
      np.full((1, 2, 3), 1e-7, np.float32), np.full((1, 2), 3)
    )
    self.assertEqual(float(np.asarray(found)[0]), 0)

  @parameterized.parameters(
    ('raw', 0.7266187),
    ('normalised', 0.6870921),
    ('count', 1.0397208),
    # lm-polygraph 0.7.0, SemanticEntropy, its defaults.
    ('sampled', 1.6711529),
  )
  def test_semantic_entropy_of_the_spec(self, masses, want):
    self.assertAlmostEqual(oracle(masses=masses), want, places=6)

  def test_frequencies_do_not_look_at_probabilities_or_uniqueness(self):
    once = np.array([[True, False, True, True]])
    self.assertEqual(
      oracle(masses='count', unique=once), oracle(masses='count')
    )

  def test_a_repeated_sample_adds_no_mass(self):
    once = np.array([[True, False, True, True]])
    p = np.array([0.3, 0.1, 0.05])
    p /= p.sum()
    self.assertAlmostEqual(
      oracle(unique=once), -np.sum(p * np.log(p)), places=6
    )

  def test_one_token_is_its_own_mean(self):
    self.assertAlmostEqual(oracle(by_length=True), oracle(), places=6)

  def test_names_of_clusters_do_not_matter_and_negative_ones_are_padding(self):
    self.assertEqual(
      oracle(clusters=np.array([[5, 5, 0, 900]])), oracle(clusters=CLUSTERS)
    )
    p = np.array([0.5, 0.05]) / 0.55
    self.assertAlmostEqual(
      oracle(clusters=np.array([[1, 1, -1, 3]])),
      -np.sum(p * np.log(p)),
      places=6,
    )
    for masses in multi.MASSES:
      self.assertEqual(oracle(clusters=np.full((1, 4), -1), masses=masses), 0)

  @parameterized.product(by_length=[True, False], masses=multi.MASSES)
  def test_equals_a_float64_loop(self, by_length, masses):
    rng = np.random.default_rng(0)
    n, s, t = 7, 6, 5
    logp = np.log(rng.random((n, s, t)))
    lengths = rng.integers(1, t + 1, (n, s))
    clusters = rng.integers(-1, 3, (n, s))
    unique = rng.random((n, s)) < 0.7
    for row, once in zip(clusters, unique, strict=True):
      for c in set(row):  # the first of equals is always unique
        once[list(row).index(c)] = True
    want = []
    for i in range(n):
      mass, votes = {}, {}
      for j in range(s):
        if clusters[i, j] < 0:
          continue
        mean_or_sum = np.mean if by_length else np.sum
        p = math.exp(mean_or_sum(logp[i, j, : lengths[i, j]]))
        if unique[i, j]:
          mass[clusters[i, j]] = mass.get(clusters[i, j], 0) + p
        votes[clusters[i, j]] = votes.get(clusters[i, j], 0) + 1
      total = sum(votes.values())
      if masses == 'sampled':
        each = [-votes[c] * math.log(mass[c]) for c in mass]
        want.append(sum(each) / total)
        continue
      found = list((votes if masses == 'count' else mass).values())
      over = 1 if masses == 'raw' else sum(found)
      want.append(-sum(m / over * math.log(m / over) for m in found))
    got = multi.semantic_entropy(
      logp.astype(np.float32),
      lengths,
      clusters,
      unique,
      by_length=by_length,
      masses=masses,
    )
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)

  def test_long_samples_do_not_underflow(self):
    # exp(-300) is 0 in float32; shares of 1 : 1 are still a bit.
    found = multi.semantic_entropy(
      np.full((1, 2, 3), -100.0, np.float32),
      np.full((1, 2), 3),
      np.array([[0, 1]]),
      np.ones((1, 2), bool),
      by_length=False,
    )
    self.assertAlmostEqual(float(np.asarray(found)[0]), math.log(2), places=6)

  def test_another_name_is_refused(self):
    with self.assertRaisesRegex(ValueError, 'masses must be one of normalised'):
      oracle(masses='mean')


def answers(n=5, s=3, t=4, seed=0):
  """On the host: only `estimate` is compiled."""
  rng = np.random.default_rng(seed)

  def logp(*shape):
    return np.log(rng.random(shape)).astype(np.float32)

  return table.Answers(
    logprobs=logp(n, t),
    entropies=-logp(n, t),
    lengths=rng.integers(1, t + 1, n),
    characters=rng.integers(1, 90, n),
    sample_logprobs=logp(n, s, t + 1),
    sample_lengths=rng.integers(1, t + 2, (n, s)),
    clusters=rng.integers(0, s, (n, s)),
    unique=np.ones((n, s), bool),
    similarity=rng.random((n, s, s)).astype(np.float32),
    lexical=rng.random((n, s, s)).astype(np.float32),
    with_greedy=rng.random((n, s)).astype(np.float32),
    relevance=rng.random((n, t)).astype(np.float32),
    sample_relevance=rng.random((n, s, t + 1)).astype(np.float32),
  )


class TableTest(parameterized.TestCase):
  def test_all_but_the_probes_come_at_once_in_the_order_of_ranks(self):
    given = answers()
    table.check(given)
    found = table.estimate(given)
    self.assertEqual(
      set(found)
      | {'probe_rouge', 'probe_judge', 'probe_alias'}
      | {'p_true', 'verbal_1s', 'verbal_2s'},
      set(names.NAMES),
    )
    np.testing.assert_array_equal(
      np.argsort(found['nsp']),
      np.argsort(
        single.negative_sequence_probability(given.logprobs, given.lengths)
      ),
    )
    np.testing.assert_array_equal(
      np.argsort(found['naive']),
      np.argsort(
        multi.naive_entropy(given.sample_logprobs, given.sample_lengths)
      ),
    )
    np.testing.assert_array_equal(found['tokens'], given.lengths)
    for name, by_length in (('se_norm', True), ('se_raw', False)):
      want = multi.semantic_entropy(
        given.sample_logprobs,
        given.sample_lengths,
        given.clusters,
        given.unique,
        by_length=by_length,
      )
      np.testing.assert_allclose(found[name], want, rtol=1e-5)

  def test_what_is_no_sample_counts_nowhere(self):
    given = answers(s=4)
    there = np.where(np.arange(4) < 3, given.clusters, -1)
    found = table.estimate(given.replace(clusters=there))
    want = table.estimate(
      given.replace(
        sample_logprobs=given.sample_logprobs[:, :3],
        sample_lengths=given.sample_lengths[:, :3],
        clusters=given.clusters[:, :3],
        unique=given.unique[:, :3],
        similarity=given.similarity[:, :3, :3],
        lexical=given.lexical[:, :3, :3],
        with_greedy=given.with_greedy[:, :3],
        sample_relevance=given.sample_relevance[:, :3],
      )
    )
    for name, value in want.items():
      np.testing.assert_allclose(found[name], value, rtol=3e-5, err_msg=name)

  def test_equal_samples_are_certain_by_everything_that_compares_them(self):
    given = answers(s=3)
    alike = np.ones((5, 3, 3), np.float32)
    found = table.estimate(
      given.replace(
        clusters=np.zeros((5, 3), int),
        similarity=alike,
        lexical=alike,
        with_greedy=alike[:, 0],
      )
    )
    for name, want in {
      'sets': 1, 'eigv': 1, 'deg': 0, 'ecc': 0, 'lexical': -1,
      'cocoa_msp': 0, 'cocoa_ppl': 0, 'cocoa_mte': 0,
    }.items():  # fmt: skip
      np.testing.assert_allclose(found[name], want, atol=1e-3, err_msg=name)

  def test_one_sample_gives_numbers_and_agrees_with_itself(self):
    given = answers(s=1)
    found = table.estimate(
      given.replace(similarity=np.ones((5, 1, 1), np.float32))
    )
    for name, value in found.items():
      self.assertTrue(np.isfinite(value).all(), name)
    for name, want in (('sets', 1), ('eigv', 1), ('deg', 0), ('lexical', -1)):
      np.testing.assert_allclose(found[name], want, atol=1e-6, err_msg=name)

  def test_answers_without_tokens_give_numbers(self):
    given = answers()
    found = table.estimate(
      given.replace(
        lengths=np.zeros(5, int), sample_lengths=np.zeros((5, 3), int)
      )
    )
    for name, value in found.items():
      # No sample is likelier than another: Eq. 7 has 1 log 1, on a log scale.
      want = np.isneginf if name == 'naive' else np.isfinite
      self.assertTrue(want(value).all(), name)

  @parameterized.parameters(
    (dict(lengths=np.full(5, 5)), r'answers.logprobs must lie in \[0, 4\]'),
    (dict(unique=np.ones((5, 2), bool)), r'unique must have shape \(5, 3\)'),
    (dict(logprobs=np.ones((5, 4))), 'not positive within the lengths'),
    (dict(entropies=np.full((5, 4), jnp.nan)), 'entropies must be finite'),
    (
      dict(sample_logprobs=np.full((5, 3, 5), -np.inf, np.float32)),
      'answers.sample_logprobs must be finite',
    ),
    (dict(lexical=np.zeros((5, 2, 2))), r'lexical must have shape \(5, 3, 3\)'),
    (
      dict(similarity=np.full((5, 3, 3), -1)),
      r'similarity must be finite and in \[0, 1\], got -1 and 44 more; cut',
    ),
    (dict(relevance=np.full((5, 4), np.inf)), 'relevance must be finite'),
  )
  def test_nonsense_is_refused_by_name(self, change, message):
    with self.assertRaisesRegex(ValueError, message):
      table.check(answers().replace(**change))


class ProbeTest(parameterized.TestCase):
  def test_finds_a_direction_and_says_wrong_where_it_is_low(self):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 6))
    y = (x[:, 2] + 0.3 * rng.standard_normal(200) > 0).astype(float)
    wrong = probe.out_of_fold(x, y, probe=probe.Probe(), seed=0)
    found = auroc.auroc(jnp.asarray(np.float32(-wrong)), jnp.asarray(y))
    self.assertGreater(float(found), 0.95)

  def test_no_answer_is_predicted_by_a_probe_that_saw_its_group(self):
    # A group's states are its own direction, and its labels are coins: what
    # can be predicted is only what was seen.
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(60), 4)
    x = 9 * np.eye(60)[group]
    y = rng.integers(0, 2, 60)[group].astype(float)
    blind = probe.out_of_fold(x, y, group, probe=probe.Probe(), seed=0)
    seen = probe.out_of_fold(x, y, probe=probe.Probe(), seed=0)

    def area(wrong):
      return float(auroc.auroc(jnp.asarray(np.float32(-wrong)), jnp.asarray(y)))

    self.assertGreater(area(seen), 0.95)
    self.assertLess(area(blind), 0.6)

  def test_unknown_labels_are_predicted_and_never_fitted_on(self):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((80, 3))
    y = (x[:, 0] > 0).astype(float)
    y[7] = np.nan
    x[7] = [-500.0, 0, 0]
    far = probe.out_of_fold(x, y, probe=probe.Probe(), seed=0)
    self.assertGreater(far[7], 0.99)
    # Had it been fitted on, where it lies would matter to others.
    x[7] = [500.0, 0, 0]
    other = probe.out_of_fold(x, y, probe=probe.Probe(), seed=0)
    self.assertLess(other[7], 0.01)
    np.testing.assert_array_equal(np.delete(far, 7), np.delete(other, 7))

  @parameterized.parameters(
    (np.zeros((4, 2)), [0, 1, 2, 1], 'labels of a probe must be 0, 1 or NaN'),
    (np.zeros((4, 2)), [0, 1, 1], r'got \(4, 2\), \(3,\)'),
    (np.zeros((6, 2)), [0, 0, 0, 0, 0, 1], 'answers of both classes'),
    (np.full((6, 2), np.nan), [0, 1, 0, 1, 0, 1], 'must be finite'),
  )
  def test_nonsense_is_refused(self, states, labels, message):
    with self.assertRaisesRegex(ValueError, message):
      probe.out_of_fold(states, labels, probe=probe.Probe(folds=3), seed=0)

  def test_fewer_groups_than_folds_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'probe.folds=5 needs as many'):
      probe.out_of_fold(
        np.zeros((6, 2)),
        [0, 1] * 3,
        [0, 0, 1, 1, 2, 2],
        probe=probe.Probe(),
        seed=0,
      )

  def test_settings_check_themselves(self):
    with self.assertRaisesRegex(ValueError, 'probe.folds must be at least 2'):
      probe.Probe(folds=1)
    with self.assertRaisesRegex(ValueError, 'probe.tolerance must be positive'):
      probe.Probe(tolerance=0.0)


if __name__ == '__main__':
  absltest.main()
