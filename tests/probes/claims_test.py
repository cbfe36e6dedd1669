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
    cls.experiment = simulated.build(cfg.to_dict())
    test = cls.experiment.open().final['test']
    found = test(None, jax.random.key(0))
    cls.summary = {k: v for k, v in found.items() if np.ndim(v) == 0}

  def test_all_but_those_of_text_are_there(self):
    found = claims.claims({'own': [self.summary]})
    prefix = 'own: truth: '
    self.assertEqual({name[: len(prefix)] for name in found}, {prefix})
    there = {name[len(prefix) :] for name in found}
    self.assertEqual(set(claims.CLAIMS) - there, OF_TEXT)

  def test_columns_are_there(self):
    keys = {key for key, _, _ in self.experiment.columns}
    self.assertContainsSubset(keys, self.summary)

  def test_margins_by_hand(self):
    s = {
      key.removeprefix('truth/'): value for key, value in self.summary.items()
    }
    # The other seed's probes are a tenth worse at their own tasks.
    worse = self.summary | {
      f'truth/{key}': s[key] - 0.1 for key in ('ridge/own', 'mixture/own')
    }
    found = claims.claims({'own': [self.summary, worse]})
    across = s['ridge/own'] - s['ridge/transfer']
    combined = max(
      s['mixture/probes_stacked'],
      s['mixture/probes_gated'],
      s['mixture/probes_routed'],
    )
    for name, by_hand in (
      (
        'not another task (own less transfer, > 0)',
        (across - 0.05, across - 0.1, across),
      ),
      (
        'nor combined probes (best of three less own, < 0)',
        (
          combined - s['mixture/own'] + 0.05,
          combined - s['mixture/own'],
          combined - s['mixture/own'] + 0.1,
        ),
      ),
      (
        'supports at chance (Jaccard of 50 less chance, about 0)',
        [s['sparse/jaccard@50'] - s['sparse/chance@50']] * 3,
      ),
      (
        'one support costs AUROC (own less one of 50, > 0)',
        [s['mixture/own_support_50'] - s['mixture/bound/one_support_50']] * 3,
      ),
    ):
      np.testing.assert_allclose(
        found[f'own: truth: {name}'], by_hand, atol=2e-6, err_msg=name
      )


class MissingTest(absltest.TestCase):
  def test_what_is_undefined_or_not_there_is_no_claim(self):
    of = 'tasks are told apart linearly (task accuracy, about 1)'
    run = {'a/clusters/task_accuracy': 0.75, 'a/ridge/cosine': 'undefined'}
    run |= {'a/ridge/recovered': float('nan'), 'b/ridge/own': 1.0}
    self.assertEqual(claims.groups(run), ['a'])
    self.assertEqual(claims.claims({'x': [run]}), {f'x: a: {of}': [0.75] * 3})

  def test_an_answer_is_beside_the_baseline_that_has_read_it(self):
    better = 'better than the text it has read (own less TF-IDF, > 0)'
    run = {'text': 0.5, 'text_and_answer': 0.75}
    for group in ('r.last_prompt', 'r.last_answer'):
      run |= {f'{group}/ridge/own': 0.875, f'{group}/clusters/task_accuracy': 1}
    found = claims.claims({'x': [run]})
    for group, margin in (('r.last_prompt', 0.375), ('r.last_answer', 0.125)):
      self.assertEqual(found[f'x: {group}: {better}'], [margin] * 3)


if __name__ == '__main__':
  absltest.main()
