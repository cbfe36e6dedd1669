"""A whole LaCy step: sharded equals whole, parts equal one, O13."""

import functools
import importlib
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from configs.lacy import bios, olmo_wiki_pod, wiki
from engine import mesh as mesh_lib
from engine import optim
from lacy import data, experiment
from lm import init as model_init

CALL = 27


def settings(rule='lacy', *, accumulate=1, **model):
  shape = dict(
    vocab_size=32, layers=1, width=16, heads=4, kv_heads=2, mlp_width=24
  )
  return experiment.settings(
    {
      'data': {'context': 12, 'batch_size': 8},
      'model': shape | model,
      'lacy': {'rule': rule, 'reference': 'a run'},
      'optim': {'warmup_steps': 0},
      'run': {'steps': 5, 'seed': 0},
      'accumulate': accumulate,
    }
  )


def batch(seed=0, size=8):
  rng = np.random.default_rng(seed)
  index = np.broadcast_to(np.arange(13), (size, 13))
  cut = rng.integers(3, 9, (size, 1))
  return data.to_batch(
    {
      'tokens': rng.integers(0, CALL, (size, 13)),
      'segments': np.where(index < cut, 1, np.where(index < 11, 2, 0)),
      'positions': np.where(index < cut, index, index - cut),
      'facts': rng.random((size, 13)) < 0.3,
      'reference': rng.random((size, 13)).astype(np.float32),
    }
  )


@functools.cache
def one_step(*sizes, **fields):
  """Parameters and metrics after one step.

  Args:
    *sizes: (axis, size) of a mesh of four devices; one device without them.
    **fields: of `settings`.
  """
  s = settings(**fields)
  devices = jax.devices()[: 4 if sizes else 1]
  config = mesh_lib.MeshConfig(**dict(sizes))
  optimiser, _ = optim.make(s.optim, s.steps)
  init = model_init.train_state(s.model, optimiser)
  with mesh_lib.use(mesh_lib.make(config, devices)) as mesh:
    key = jax.random.key(3)
    shardings = mesh_lib.state_shardings(mesh, jax.eval_shape(init, key))
    state = jax.jit(lambda k: mesh_lib.unbox(init(k)), out_shardings=shardings)(
      key
    )
    step = jax.jit(
      experiment.make_step(s, CALL, optimiser), out_shardings=(shardings, None)
    )
    state, out = step(state, mesh_lib.device_batch(batch(), mesh), key)
    return jax.device_get((state.params, out))


def assert_close(one, other, atol):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=atol), one, other
  )


class StepTest(parameterized.TestCase):
  @parameterized.parameters(
    ({'data': 4}, False),
    ({'data': 2, 'model': 2}, False),
    ({'fsdp': 2, 'model': 2}, True),
  )
  def test_sharded_equals_one_device(self, sizes, scan_layers):
    model = dict(layers=2, scan_layers=scan_layers, remat=scan_layers)
    params, out = one_step(**model)
    params4, out4 = one_step(*sizes.items(), **model)
    np.testing.assert_allclose(
      out['loss'].compute(), out4['loss'].compute(), rtol=1e-6
    )
    self.assertEqual(out['call_share'].total, out4['call_share'].total)
    self.assertGreater(out['call_share'].total, 0)
    # Adam's first step has the size of the rate, whatever the gradient's.
    assert_close(params, params4, 2e-5)

  @parameterized.parameters(('lacy', 4), ('rho', 2), ('ignore_facts', 2))
  def test_accumulated_equals_one_batch(self, rule, parts):
    params, out = one_step(rule=rule)
    params_n, out_n = one_step(rule=rule, accumulate=parts)
    np.testing.assert_allclose(
      out['loss'].compute(), out_n['loss'].compute(), rtol=1e-5
    )
    np.testing.assert_allclose(
      out['call_share'].total, out_n['call_share'].total
    )
    assert_close(params, params_n, 2e-5)

  def test_parts_must_divide(self):
    with self.assertRaisesRegex(ValueError, 'accumulate=3 microbatches'):
      one_step(accumulate=3)

  def test_without_calls_the_call_row_stays(self):
    fields = dict(rule='standard', tied=False)
    s = settings(**fields)
    optimiser, _ = optim.make(s.optim, s.steps)
    init = model_init.train_state(s.model, optimiser)
    state = jax.jit(lambda key: mesh_lib.unbox(init(key)))(jax.random.key(3))
    before = np.asarray(state.params['unembedding'])[CALL]
    params, _ = one_step(**fields)
    # Nothing but weight decay touches it: 1 - rate * decay.
    factor = 1 - s.optim.peak_lr * s.optim.weight_decay
    np.testing.assert_allclose(
      params['unembedding'][CALL], factor * before, rtol=1e-5
    )


class ConfigTest(parameterized.TestCase):
  @parameterized.parameters(
    (wiki, '', 3.34e6),
    (bios, '', 0.164e6),
    (olmo_wiki_pod, '', 334e6),
    (olmo_wiki_pod, '1b', 1.27e9),
  )
  def test_builds_without_data_at_its_size(self, config, arg, parameters):
    cfg = config.get_config(arg).to_dict()
    exp, shapes = experiment.build(cfg).abstract()
    key = jax.random.key(0)
    state = mesh_lib.unbox(jax.eval_shape(exp.init, key))
    size = sum(x.size for x in jax.tree.leaves(state.params))
    self.assertAlmostEqual(size / parameters, 1.0, delta=0.01)
    new, out = jax.eval_shape(exp.step, state, shapes, key)
    self.assertEqual(
      jax.tree.map(jnp.shape, new), jax.tree.map(jnp.shape, state)
    )
    self.assertIn('call_share', out)
    s = experiment.settings(cfg)
    self.assertEqual(s.model.parameters(), size)

  @parameterized.parameters('', '1b')
  def test_the_pod_config_fits_a_slice(self, arg):
    cfg = olmo_wiki_pod.get_config(arg).to_dict()
    exp, _ = experiment.build(cfg).abstract()
    mesh = jax.sharding.AbstractMesh((4, 4, 1), mesh_lib.AXES)
    boxed = jax.eval_shape(exp.init, jax.random.key(0))
    mesh_lib.state_shardings(mesh, boxed)  # raises where it does not divide

  def test_flops_are_those_of_the_spec(self):
    cfg = olmo_wiki_pod.get_config('').to_dict()
    flops = experiment.build(cfg).flops() * cfg['run']['steps']
    tokens = cfg['run']['steps'] * 128 * 1024
    # 6 N D, and attention on top: a tenth at most at this width.
    self.assertBetween(flops / (6 * 336e6 * tokens), 1.0, 1.15)

  def test_what_a_rule_needs_is_asked_for(self):
    cfg = bios.get_config('smoke').to_dict()
    cfg['lacy']['rule'] = 'rho'
    with self.assertRaisesRegex(ValueError, 'config.lacy.reference'):
      experiment.build(cfg).open()
    cfg['lacy']['reference'] = 'no/such/run'
    exp = experiment.build(cfg).open()
    with self.assertRaisesRegex(FileNotFoundError, 'finished run'):
      exp.train_data()

  def test_a_vocabulary_larger_than_the_model_is_refused(self):
    cfg = bios.get_config('smoke').to_dict()
    cfg['model']['vocab_size'] = 100
    with self.assertRaisesRegex(ValueError, 'config.model.vocab_size'):
      experiment.build(cfg).open()

  def test_every_config_names_an_experiment(self):
    folder = pathlib.Path(wiki.__file__).parent
    for path in folder.glob('[!_]*.py'):
      module = importlib.import_module(f'configs.lacy.{path.stem}')
      for arg in ('', 'smoke'):
        cfg = module.get_config(arg)
        self.assertTrue(importlib.import_module(cfg.experiment).build)


if __name__ == '__main__':
  absltest.main()
