"""Claims of a whole summary: all are there, with values by hand."""

import jax
import numpy as np
from absl.testing import absltest

from configs.probes import worlds
from probes import claims, simulated

# No text was read where activations are drawn from a formula.
OF_TEXT = {
  'better than the text it has read (own less TF-IDF, > 0)',
  'better than the answer length (own less length, > 0)',
}


class SimulatedTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cfg = worlds.get_config('smoke')
    cfg.world.width = 64
    cfg.probes.supports = (50,)
    cfg.probes.sparse_lambdas = 8
    test = simulated.build(cfg.to_dict()).final['test']
    found = test(None, jax.random.key(0))
    cls.summary = {k: v for k, v in found.items() if np.ndim(v) == 0}

  def test_all_but_those_of_text_are_there(self):
    found = claims.claims({'own': [self.summary]})
    prefix = 'own: truth: '
    self.assertEqual({name[: len(prefix)] for name in found}, {prefix})
    found = {name[len(prefix) :] for name in found}
    self.assertEqual(set(claims.CLAIMS) - found, OF_TEXT)


if __name__ == '__main__':
  absltest.main()
