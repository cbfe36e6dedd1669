"""A recording of a known world through the whole comparison, and figures."""

import json
import pathlib
import tempfile
from unittest import mock

import jax
import numpy as np
from absl.testing import absltest

from configs.probes import eight_b_pod, smollm2_tasks
from engine import options
from engine.runs import manifest as manifest_lib
from probes import claims as claims_lib
from probes import experiment, plots, worlds
from probes.recording import store

NAMES = ('capital', 'addition_1', 'opposites')
TOKENS = ('last_prompt', 'last_answer')


def record(folder, wanted, *, right=None):
  """Writes activations of worlds where a model's would be.

  At the last answer token all tasks share one truth, before it none.
  """
  manifest_lib.begin(folder, wanted.manifest())
  size = dict(tasks=3, train=100, test=20, width=24, rank=2, apart=8.0)
  made = {
    'last_prompt': worlds.World(shared=0.0, specific=4.0, **size),
    'last_answer': worlds.World(shared=4.0, specific=0.0, **size),
  }
  drawn = {
    token: worlds.draw(jax.random.key(2), world)
    for token, world in made.items()
  }
  for t, name in enumerate(wanted.tasks):
    labels = np.array(drawn['last_prompt'].y[t])
    if right is not None and t in right:
      labels = (np.arange(120) < right[t] * 120).astype(np.float32)
    store.write(
      store.shard(folder, name, 0),
      store.Answers(
        ids=np.array([f'{name}-{i}' for i in range(120)]),
        groups=np.array([f'g{i // 4}' for i in range(120)]),
        prompts=np.array(['What is it?'] * 120),
        answers=np.array(['one', 'three'])[np.arange(120) % 2],
        labels=labels,
        tokens=np.ones(120, np.int32),
        grader=np.array(['exact'] * 120),
      ),
      {
        f'L0.resid_post.{token}': np.asarray(samples.x[t])
        for token, samples in drawn.items()
      },
    )


class ExperimentTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    self.folder = pathlib.Path(temporary.name)

  def config(self):
    cfg = smollm2_tasks.get_config('smoke').to_dict()
    cfg['record'] |= dict(
      tasks=NAMES, questions=120, file=120, layers=(0,), tokens=TOKENS
    ) | dict(folder=str(self.folder / 'recorded'))
    return cfg

  def wanted(self, cfg):
    return options.section(cfg['record'], 'record', experiment.record.Recording)

  def test_geometry_of_each_token_is_found(self):
    cfg = self.config()
    record(self.folder / 'recorded', self.wanted(cfg))
    with mock.patch.object(
      experiment.record, 'open_model', side_effect=AssertionError
    ):
      found = (
        experiment.build(cfg).open().final['test'](None, jax.random.key(0))
      )
    self.assertEqual(found['tasks'], 3)
    self.assertAlmostEqual(found['right/capital'], 0.5)
    own, shared = 'resid_post.last_prompt', 'resid_post.last_answer'
    self.assertEqual(found[f'{own}/site'], 'L0.resid_post.last_prompt')
    for group in (own, shared):
      self.assertGreater(found[f'{group}/ridge/own'], 0.9)
      self.assertGreater(found[f'{group}/clusters/task_accuracy'], 0.95)
    self.assertLess(abs(found[f'{own}/ridge/transfer'] - 0.5), 0.15)
    self.assertGreater(found[f'{shared}/ridge/transfer'], 0.9)
    self.assertLess(found[f'{own}/mixture/tasks_pooled'], 0.7)
    self.assertGreater(found[f'{shared}/mixture/tasks_pooled'], 0.9)
    # Right answers are all longer here, and questions say nothing.
    self.assertEqual(found['length/capital'], 1.0)
    self.assertEqual(found['text'], 0.5)
    self._claims(found)
    self._figures(found)

  def _claims(self, found):
    summary = {k: v for k, v in found.items() if np.ndim(v) == 0}
    claims = claims_lib.claims({'x': [summary, summary]})
    name = (
      'x: resid_post.last_prompt: not another task (own less transfer, > 0)'
    )
    mean, low, high = claims[name]
    self.assertAlmostEqual(
      mean,
      summary['resid_post.last_prompt/ridge/own']
      - summary['resid_post.last_prompt/ridge/transfer'],
      places=5,
    )
    self.assertEqual((low, high), (mean, mean))
    keys = {key for key, _, _ in experiment.COLUMNS}
    # Supports of 50 features are not to be had from 24.
    missing = {key.rpartition('/')[2] for key in keys - set(summary)}
    self.assertEqual(missing, {'jaccard@50', 'chance@50'})

  def _figures(self, found):
    run = self.folder / 'run'
    (run / 'evals').mkdir(parents=True)
    arrays = {k: v for k, v in found.items() if np.ndim(v)}
    np.savez(run / 'evals' / 'test-final.npz', **arrays)
    summary = {k: v for k, v in found.items() if np.ndim(v) == 0}
    (run / 'summary.json').write_text(json.dumps(summary))
    paths = plots.draw(run)
    self.assertLen(paths, 1 + 2 * len(plots.FIGURES))
    for path in paths:
      self.assertGreater(path.stat().st_size, 5000)
    self.assertIn('L0.resid_post.last_prompt', plots.show(run, colour=False))

  def test_groups_are_never_split(self):
    cfg = self.config()
    wanted = self.wanted(cfg)
    record(self.folder / 'recorded', wanted)
    splits = experiment.Splits(wanted, list(NAMES), 0.4, seed=1)
    samples = splits.load('L0.resid_post.last_prompt')
    group = np.arange(120) // 4
    for t in range(3):
      test = np.asarray(samples.test[t])
      self.assertEmpty(set(group[test]) & set(group[~test]))
      # Thirty groups of four; the same ones in every task.
      self.assertBetween(test.sum(), 24, 72)
      np.testing.assert_array_equal(test, samples.test[0])
    np.testing.assert_array_equal(samples.train, ~samples.test)
    other = experiment.Splits(wanted, list(NAMES), 0.4, seed=2)
    again = other.load('L0.resid_post.last_prompt')
    self.assertGreater(int((again.test != samples.test).sum()), 20)

  def test_tasks_of_one_kind_of_answer_are_left_out(self):
    cfg = self.config()
    wanted = self.wanted(cfg)
    record(self.folder / 'recorded', wanted, right={1: 0.05})
    names, figures = experiment.graded(wanted, 0.15, 0.85, 0)
    self.assertEqual(names, ['capital', 'opposites'])
    self.assertAlmostEqual(figures['right/addition_1'], 0.05)
    with self.assertRaisesRegex(ValueError, 'two tasks at least.*came 0'):
      experiment.graded(wanted, 0.6, 0.7, 0)

  def test_activations_that_are_not_finite_are_named(self):
    cfg = self.config()
    wanted = self.wanted(cfg)
    record(self.folder / 'recorded', wanted)
    path = store.shard(self.folder / 'recorded', 'opposites', 0)
    site = 'L0.resid_post.last_prompt'
    x = store.activations(self.folder / 'recorded', 'opposites', site)
    x[7, 3] = np.nan
    said = store.answers(self.folder / 'recorded', 'opposites')
    store.write(path, said, {site: x})
    splits = experiment.Splits(wanted, list(NAMES), 0.4, seed=0)
    with self.assertRaisesRegex(
      ValueError, f'opposites at {site}: .* answer 7 has nan in feature 3'
    ):
      splits.load(site)

  def test_fields_that_are_not_known(self):
    cfg = self.config()
    cfg['probes']['ridge'] = 1
    with self.assertRaisesRegex(ValueError, 'probes.ridge is not a key'):
      experiment.build(cfg).open()

  def test_pod_sized_model_is_described(self):
    exp, batch = experiment.build(eight_b_pod.get_config().to_dict()).abstract()
    self.assertIsNone(batch)
    state = jax.eval_shape(exp.init, jax.random.key(0))
    sizes = [np.prod(x.shape) for x in jax.tree.leaves(state.params)]
    self.assertBetween(sum(sizes), 7.5e9, 8.5e9)


if __name__ == '__main__':
  absltest.main()
