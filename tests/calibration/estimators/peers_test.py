"""Ours beside what lm-polygraph 0.7.0 and uqlm 0.6.7 gave for the same input.

The recipe of the input is `estimator_peers.inputs(0)`; the numbers are
`estimator_peers.theirs` of it, with numpy 2.4.6, to seven digits.
"""

import numpy as np
from absl.testing import absltest

from benchmarks import estimator_peers

THEIRS = {
  'EigValLaplacian': '1.810745 1.985667 1.98306 1.970034 1.916585 1.782621',
  'EigValLaplacian contra': (
    '1.278108 1.427945 1.405829 1.48646 1.341048 1.336776'
  ),
  'DegMat': '0.4502418 0.5052786 0.5014607 0.494024 0.4843505 0.4464172',
  'DegMat contra': '0.1984788 0.2989755 0.2808101 0.313635 0.2454147 0.2406829',
  'Eccentricity': '1.415114 1.732135 1.732141 1.414256 1.732294 1.732295',
  'Eccentricity contra': (
    '1.000488 1.414512 1.414258 1.414805 1.000089 1.414336'
  ),
  'NumSemSets': '1 3 3 2 1 1',
  'LexicalSimilarity': (
    '-0.2871429 -0.14 -0.1804762 -0.1574603 -0.1983333 -0.2574603'
  ),
  'KernelLanguageEntropy': (
    '0.7602937 0.8331279 0.8231245 0.8304012 0.8002927 0.7798086'
  ),
  'TokenSAR': '0.4229466 0.3443565 1.01094 0.481416 0.6822169 0.5813465',
  'SentenceSAR': '-4.740394 -3.851423 -6.578718 -5.386142 -5.832693 -5.773817',
  'SAR': '-6.643837 -6.770014 -7.117 -6.856311 -6.966032 -6.919253',
  'MonteCarloNormalizedSequenceEntropy': (
    '0.7640079 0.8490889 0.5804594 0.8809305 0.6513781 0.7705565'
  ),
  'MaximumSequenceProbability': (
    '0.4229466 0.929073 1.825271 3.904976 4.009501 2.852792'
  ),
  'CocoaMSP': '0.2227159 0.4119458 1.165741 2.077405 1.675389 1.681062',
  'CocoaPPL': '0.2227159 0.1373153 0.5828706 0.3462342 0.2792316 0.3362123',
  'CocoaMTE': '0.9388426 0.8243198 1.194305 0.8133483 0.8098769 1.293765',
  'PTrue': '0.6586719 0.2312774 0.3372732 0.1788957 0.5667868 0.3935946',
  'Verbalized1S': '0.64 0.3 1 0.99 0.38 0.89',
  'uqlm min_probability': (
    '0.6551136 0.5664437 0.2168728 0.1680691 0.1783417 0.3447298'
  ),
  'uqlm sequence_probability': (
    '0.6551136 0.7336736 0.4014648 0.521613 0.5126048 0.5652097'
  ),
}
# A sum of the input, by which a changed recipe is told from a wrong estimator.
SUM = 807.5745623


class PeersTest(absltest.TestCase):
  def test_the_recipe_is_the_recorded_one(self):
    given = estimator_peers.inputs(0)
    total = sum(
      v.sum() for v in given.values() if isinstance(v, np.ndarray)
    ) + sum(
      len(text) for row in [*given['texts'], *given['replies']] for text in row
    )
    self.assertAlmostEqual(float(total), SUM, places=5)

  def test_every_estimator_has_the_peers_numbers(self):
    found = estimator_peers.ours(estimator_peers.inputs(0))
    self.assertEqual(set(found), set(THEIRS))
    for name, want in THEIRS.items():
      with self.subTest(name):
        want = np.array(want.split(), float)
        np.testing.assert_allclose(found[name], want, rtol=2e-5, atol=2e-5)

  def test_a_missing_peer_is_named_with_the_command_that_brings_it(self):
    said = estimator_peers.missing()
    if said:
      self.assertRegex(said, 'no comparison with .*pip install --no-deps')


if __name__ == '__main__':
  absltest.main()
