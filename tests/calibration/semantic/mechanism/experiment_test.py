"""The mechanism at toy size: what is measured, claims, runs that go on."""

import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from calibration.semantic.mechanism import claims as mechanism_claims
from calibration.semantic.mechanism import data, experiment, measure, plots
from engine import checkpoint, loop
from engine import mesh as mesh_lib
from tests.calibration.semantic.mechanism import support


class TiltsTest(absltest.TestCase):
  def test_measured_is_the_formula_where_levels_are_even(self):
    # Two levels of 20 questions; the top one is class 1, then class 0.
    low = np.tile([0.2, 0.6, 0.2], (20, 1))
    high = np.tile([0.9, 0.06, 0.04], (20, 1))
    truth = np.concatenate(
      [
        np.tile([[0.5, 0.3, 0.2], [0.1, 0.7, 0.2]], (10, 1)),
        np.tile([[0.7, 0.3, 0.0]], (20, 1)),
      ]
    )
    pi = jnp.asarray(np.concatenate([low, high]), jnp.float32)
    got = measure.tilts(pi, jnp.asarray(truth, jnp.float32), 2)
    np.testing.assert_allclose(
      got['tilt_fitted'],
      [0.0 - np.log(0.6 / 0.4), np.log(0.7 / 0.3) - np.log(0.9 / 0.1)],
      atol=1e-3,
    )
    want = 0.5 * (
      0.5 * np.log(0.5 / 0.6)
      + 0.5 * np.log(0.5 / 0.4)
      + 0.7 * np.log(0.7 / 0.9)
      + 0.3 * np.log(0.3 / 0.1)
    )
    self.assertAlmostEqual(float(got['gap_measured']), want, places=5)
    self.assertAlmostEqual(float(got['gap_formula']), want, places=5)
    self.assertAlmostEqual(float(got['slope']), 0.15, places=5)
    self.assertAlmostEqual(float(got['slope_formula']), 0.15, places=5)

  def test_a_model_that_is_the_truth_has_nothing_to_gain(self):
    s = support.settings()
    f = data.facts(s.world, 0)
    seen = measure.view(
      s.model,
      s.world,
      f,
      0,
      measure.MeasureConfig(ways=4, levels=2, draws=2),
    )
    seen = seen._replace(probs=lambda params, prompts: seen.truth)
    got = measure.calibration(seen, None, jax.random.key(0))
    for name in ('gap_signed', 'smece_exact', 'gap_measured', 'slope'):
      self.assertAlmostEqual(got[name], 0.0, delta=1e-3, msg=name)
    self.assertAlmostEqual(got['accuracy_exact'], got['accuracy_best'])
    self.assertEqual(got['conf'].shape, (16,))
    self.assertEqual(int(seen.held_out.sum()), 4)  # one entity, four ways


class ClaimsTest(absltest.TestCase):
  def test_interval_draws_the_points_that_it_always_drew(self):
    x, y = np.arange(12.0) * 7 % 12, np.arange(12.0) ** 2 % 13
    # As recorded before the shared bootstrap.
    self.assertEqual(
      mechanism_claims.interval(x, y), [0.532649, -0.107552, 0.907572]
    )

  def test_numbers_by_hand(self):
    direct = dict(smece=0.03, null=0.02, kl_lora=0.01, accuracy_exact=0.5)
    direct |= {'at_00002/smece': 0.2, 'at_00010/smece': 0.03}
    direct |= {'at_00002/kl_lora': 0.5, 'at_00010/kl_lora': 0.01}
    np.testing.assert_array_equal(
      mechanism_claims.path(direct, 'smece'), [0.2, 0.03]
    )
    chain = direct | {'kl_lora': 0.41}
    reward = dict(accuracy_exact=0.6, gap_signed=0.3, smece=0.3, null=0.01)
    summaries = {
      'direct': [direct, direct],
      'direct_measured': [direct, direct | {'smece': 0.05}],
      'chain_measured': [chain, chain],
      'reward': [reward, reward],
    }
    got = mechanism_claims.claims(summaries)
    for name, want in (
      (
        'i_direct: smECE of the worst checkpoint',
        [0.2] * 3,
      ),
      (
        'i_direct: smECE less its null floor at the end (about 0)',
        [0.02, 0.01, 0.03],
      ),
      ('iii_reward: accuracy gained (about 0)', [0.1] * 3),
      ('iv: KL gap of LoRA, chain less direct (> 0)', [0.4] * 3),
      ('v: Spearman of KL gap and smECE, direct (> 0)', [1.0] * 3),
    ):
      np.testing.assert_allclose(got[name], want, atol=1e-6, err_msg=name)
    # What no run has is no claim.
    self.assertNotIn('i_chain: accuracy that noise allows', got)


class PlotsTest(absltest.TestCase):
  def test_levels_are_tenths_in_the_order_of_confidence(self):
    conf = np.linspace(1.0, 0.0, 20)
    got = plots.levels(conf, conf**2)
    by_hand = np.arange(20)[::2] / 19
    np.testing.assert_allclose(got[0], by_hand + 0.5 / 19)
    np.testing.assert_allclose(
      got[1], (by_hand**2 + (by_hand + 1 / 19) ** 2) / 2
    )


class ExperimentTest(parameterized.TestCase):
  """One short run, and what goes on from it."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
    cls.cfg = support.tiny_config()
    cls.summary = loop.run(
      experiment.build(cls.cfg).open(),
      loop.RunConfig(**cls.cfg['run']),
      cls.folder,
      full_config=cls.cfg,
      progress=False,
    )

  def test_every_checkpoint_is_measured(self):
    cfg = self.cfg | {'start': self.folder}
    test = measure.build(cfg).open().final['test']
    with mesh_lib.use(mesh_lib.make(mesh_lib.MeshConfig())):
      found = test(None, jax.random.key(7))
    np.testing.assert_array_equal(found['step'], [2, 4])
    for key in ('confidence', 'accuracy_exact', 'smece_exact', 'loss'):
      # Measured again, from files; labels and probes have other keys.
      self.assertAlmostEqual(found[key], self.summary[key], places=5)
      self.assertEqual(found[key], found[f'at/{key}'][1])
      self.assertEqual(found[f'at_00002/{key}'], found[f'at/{key}'][0])
    self.assertLess(found['loss'], found['at_00002/loss'])
    self.assertLess(found['at_00002/loss'], found['untrained/loss'])
    self.assertAlmostEqual(
      found['ce_lora'], found['entropy'] + found['kl_lora'], places=5
    )
    scalars = {k: v for k, v in found.items() if not np.ndim(v)}
    claims = mechanism_claims.claims({'direct_measured': [scalars]})
    self.assertTrue(any(name.startswith('i_direct') for name in claims))
    self.assertTrue(any(name.startswith('v: ') for name in claims))

  @parameterized.parameters(*experiment.KINDS)
  def test_tuning_begins_where_training_ended(self, kind):
    cfg = support.tiny_config() | {'start': self.folder}
    cfg['learn'] |= {'kind': kind}
    made = experiment.build(cfg).open()
    shapes = jax.eval_shape(made.init, jax.random.key(0))
    where = jax.tree.map(
      lambda _: jax.local_devices()[0], mesh_lib.unbox(shapes.params)
    )
    params = made.load(None, where)
    with checkpoint.Checkpoints(self.folder, keep=None) as checkpoints:
      saved = checkpoints.restore_anything(4)['params']
    jax.tree.map(np.testing.assert_array_equal, params, dict(saved))
    batch = next(iter(made.train_data()))
    group = 1 if kind == 'cross_entropy' else 4
    self.assertLen(batch['entity'], 16 // group)
    state, metrics = jax.eval_shape(
      made.step, mesh_lib.unbox(shapes), batch, jax.random.key(0)
    )
    self.assertEqual(
      jax.tree.structure(state), jax.tree.structure(mesh_lib.unbox(shapes))
    )
    self.assertEqual('reward' in metrics, group > 1)

  def test_measuring_needs_a_run(self):
    cfg = support.tiny_config() | {'start': '/nowhere'}
    with self.assertRaisesRegex(FileNotFoundError, 'change --config.start'):
      measure.build(cfg).open()


if __name__ == '__main__':
  absltest.main()
