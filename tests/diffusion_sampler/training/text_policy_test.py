"""A policy on a text model: a round on a mesh, a checkpoint, a pod's cost."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from absl.testing import absltest, parameterized

from configs.diffusion_sampler import llada_8b_gsm8k_pod
from diffusion_sampler.evaluation import text
from diffusion_sampler.training import text_policy
from engine import checkpoint, optim
from engine import experiment as experiment_lib
from engine import mesh as mesh_lib
from launch import setup
from lm import transformer
from lm.checkpoints import families
from tests import files

TOKENS = files.ROOT / 'tests' / 'lm' / 'peers' / 'tokens'
# Two rows more than the tokenizer of the peer has; the last is the mask.
VOCAB = 422


def tiny(**changes) -> dict:
  """The smoke config, smaller still; `section__key` changes a key."""
  cfg = llada_8b_gsm8k_pod.get_config('smoke').to_dict()
  cfg['data'] |= dict(answer=4, batch_size=4, prompt=33, test_records=3)
  cfg['model'] |= dict(width=16, mlp_width=24, dtype='float32')
  cfg['policy'] |= dict(width=8, mlp_width=12, time_features=4)
  cfg['grpo'] |= dict(group=2, expert_block=2)
  cfg['sampling'] |= dict(
    batch=4,
    samplers=({'rule': 'policy'}, {'rule': 'threshold'}),
    blocks=(2,),
  )
  cfg |= {'block': 2, 'param_dtype': 'float32'}
  for name, value in changes.items():
    section, _, key = name.partition('__')
    if key:
      cfg[section][key] = value
    else:
      cfg[section] = value
  return cfg


def parity(answers, rows):
  """A reward that a random model gets about half the time."""
  return (np.asarray(answers).sum(-1) + np.asarray(rows)) % 2 == 0


def round_on(mesh, devices, **changes):
  """(metrics, parameters before and after) of one round."""
  s = text_policy.settings(tiny(**changes))
  optimiser, _ = optim.make(s.policy.optim, 10)
  init = text_policy.make_init(s, optimiser)
  step = text_policy.make_step(s, parity, optimiser)
  codec = text.codec(s.data)
  batch = text.prompts(s.data, codec, text.read(s.data, 'train')[:4])
  mesh = mesh_lib.make(mesh_lib.MeshConfig(**mesh), jax.devices()[:devices])
  with mesh_lib.use(mesh):
    boxed = jax.eval_shape(init, jax.random.key(1))
    shardings = mesh_lib.state_shardings(mesh, boxed)
    state = jax.jit(
      lambda key: mesh_lib.unbox(init(key)), out_shardings=shardings
    )(jax.random.key(1))
    placed = mesh_lib.device_batch(batch, mesh)
    after, logged = jax.jit(step, out_shardings=(shardings, None))(
      state, placed, jax.random.key(2)
    )
    return jax.device_get((logged, state.params, after.params))


class RoundTest(parameterized.TestCase):
  def test_four_devices_make_the_round_of_one(self):
    changes = dict(grpo__experts=(0.5,), model__scan_layers=False)
    one, before, after = round_on(dict(data=1), 1, **changes)
    four, _, after_four = round_on(dict(data=2, fsdp=2), 4, **changes)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6),
      one,
      four,
    )
    # Something was learned: some were right, not all.
    self.assertGreater(float(one['grad_norm']), 0)
    self.assertBetween(float(one['accuracy'].compute()), 0.1, 0.9)
    self.assertEqual(float(one['accuracy'].count), 4 * 2)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
      after['policy'],
      after_four['policy'],
    )
    moved = np.abs(
      after['policy']['head']['kernel'] - before['policy']['head']['kernel']
    )
    self.assertGreater(moved.max(), 0)
    jax.tree.map(
      np.testing.assert_array_equal, after['denoiser'], before['denoiser']
    )

  def test_only_the_policy_has_moments_and_is_float32(self):
    cfg = tiny(param_dtype='bfloat16')
    exp, _ = text_policy.build(cfg).abstract()
    state = mesh_lib.unbox(jax.eval_shape(exp.init, jax.random.key(0)))
    sizes = {
      name: sum(x.size for x in jax.tree.leaves(part))
      for name, part in state.params.items()
    }
    # Two moments and two counts.
    moments = sum(x.size for x in jax.tree.leaves(state.opt_state))
    self.assertEqual(moments, 2 * sizes['policy'] + 2)
    kinds = {
      name: {x.dtype.name for x in jax.tree.leaves(part)}
      for name, part in state.params.items()
    }
    self.assertEqual(kinds, {'policy': {'float32'}, 'denoiser': {'bfloat16'}})

  def test_flops_are_those_of_every_matmul(self):
    cfg = tiny(grpo__experts=(0.5,))
    # 4 prompts of 3 rollouts, 4 passes, 37 positions, width 16, 2 layers.
    layer = 4 * 16 * 16 + 3 * 16 * 24
    sequence = 37 * 2 * (2 * layer + 2 * 37 * 16 * 2) + 4 * 2 * 16 * 261
    self.assertEqual(text_policy.build(cfg).flops(), 4 * 3 * 4 * sequence)


def llada(folder: pathlib.Path, kind: str = 'LLaDA') -> dict[str, np.ndarray]:
  """A folder as LLaDA's: weights in bfloat16, a tokenizer that can chat."""
  folder.mkdir()
  family = families.find(kind)
  config = transformer.TransformerConfig(
    vocab_size=VOCAB, layers=2, width=16, heads=2, mlp_width=24, tied=False
  )
  rng = np.random.default_rng(0)
  tensors = {}
  for row in families.rows(family, config, 'hf'):
    value = rng.standard_normal(row.shape, np.float32)
    theirs = row.kind.theirs(value, row.heads).astype(jnp.bfloat16)
    tensors[row.name] = np.ascontiguousarray(theirs)
  safetensors.numpy.save_file(tensors, folder / 'model.safetensors')
  names = dict(
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=2,
    intermediate_size=24,
    tie_word_embeddings=False,
  )
  data = {family.keys.get(name, name): x for name, x in names.items()}
  data |= dict(
    model_type=kind,
    vocab_size=VOCAB,
    rope_theta=5e5,
    rms_norm_eps=1e-5,
  )
  if kind == 'LLaDA':
    data |= dict(vocab_size=VOCAB - 1, embedding_size=VOCAB)
  (folder / 'config.json').write_text(json.dumps(data))
  for name in ('tokenizer.json', 'tokenizer_config.json'):
    shutil.copy(TOKENS / name, folder)
  return tensors


class CheckpointTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )

  def config(self, **changes) -> dict:
    base = str(self.folder / 'base')
    cfg = tiny(denoiser=base, param_dtype='bfloat16')
    cfg['data'] |= dict(
      tokenizer=base, template='chat', mask_id=VOCAB - 1, eos_id=0
    )
    cfg['model'] |= dict(vocab_size=VOCAB, dtype='bfloat16')
    # Nothing that it writes is right: speed alone is rewarded, and the bias
    # makes some rows faster than others.
    cfg['grpo'] |= dict(reward='additive', group=4)
    cfg['policy'] |= dict(bias=0.5)
    cfg['sampling'] |= dict(
      samplers=({'rule': 'policy'}, {'rule': 'threshold', 'threshold': 2})
    )
    cfg['mesh'] = dict(data=2, fsdp=2, model=1)
    for name, value in changes.items():
      section, _, key = name.partition('__')
      if key:
        cfg[section][key] = value
      else:
        cfg[section] = value
    return cfg

  def test_a_run_on_a_checkpoint_leaves_it_as_it_was(self):
    tensors = llada(self.folder / 'base')
    summary = setup.train(
      setup.ask(self.config()), self.folder / 'run', progress=False
    )
    params, _ = checkpoint.restore_params(self.folder / 'run')
    frozen = params['denoiser']
    name = 'model.transformer.{}.weight'.format
    np.testing.assert_array_equal(frozen['embedding'], tensors[name('wte')])
    np.testing.assert_array_equal(
      frozen['unembedding'], tensors[name('ff_out')]
    )
    for layer in range(2):
      theirs = tensors[name(f'blocks.{layer}.up_proj')]
      ours = frozen['layers']['block']['up']['kernel'][layer]
      np.testing.assert_array_equal(ours, theirs.T)
    self.assertEqual(frozen['embedding'].dtype, jnp.bfloat16)
    lines = (self.folder / 'run' / 'metrics.jsonl').read_text().splitlines()
    self.assertGreater(json.loads(lines[0])['train/grad_norm'], 0)
    # Nothing passes that threshold: a pass a token.
    self.assertEqual(summary['threshold(threshold=2)@2/nfe'], 4)
    self.assertBetween(summary['policy@2/nfe'], 2, 4)
    with np.load(self.folder / 'run' / 'evals' / 'test-final.npz') as found:
      self.assertEqual(found['order'].shape, (2, 3, 4))
      self.assertEqual(found['correct'].shape, (2, 3))
      self.assertEqual(found['texts'].shape, (2, 3))
      self.assertEqual(found['pieces'].shape, found['order'].shape)
      before = ''.join(found['prompt_pieces'][0])
      self.assertIn('What is ', before)

  @parameterized.parameters(
    ('LLaDA', dict(model__layers=3), r'model\.layers must be 2'),
    ('LLaDA', dict(model__vocab_size=VOCAB + 1), 'vocab_size must be 422'),
    ('LLaDA', dict(shifted=True), 'shifted must be False for a llada'),
    ('Dream', dict(model__qkv_bias=True), 'shifted must be True for a dream'),
    ('llama', {}, 'must be a masked-diffusion model, got a llama'),
  )
  def test_another_checkpoint_is_refused(self, kind, changes, message):
    llada(self.folder / 'base', kind)
    s = text_policy.settings(self.config(**changes))
    with self.assertRaisesRegex(ValueError, message):
      text_policy.load(s, {}, {'denoiser': {}})

  def adapted(self, experiment=text_policy.ADAPTED) -> dict:
    """A run as `adapt_denoiser` leaves one; its parameters."""
    workdir = self.folder / 'base'
    workdir.mkdir()
    model = self.config()['model']
    model.pop('dtype')
    (workdir / 'config.json').write_text(
      json.dumps({'experiment': experiment, 'model': model})
    )
    (workdir / 'summary.json').write_text('{}')
    params = transformer.Transformer(
      transformer.TransformerConfig(**model)
    ).init(jax.random.key(7), jnp.zeros((1, 2), jnp.int32))['params']
    params = mesh_lib.unbox(params)
    state = experiment_lib.TrainState(
      step=jnp.int32(1), params=params, opt_state={}
    )
    with checkpoint.Checkpoints(workdir) as saved:
      saved.save(1, state, {}, wait=True)
    return params

  def test_a_run_that_adapted_a_causal_model_is_a_denoiser(self):
    params = self.adapted()
    s = text_policy.settings(self.config(shifted=True))
    here = jax.sharding.SingleDeviceSharding(jax.devices()[1])
    there = jax.tree.map(lambda _: here, params)
    got = text_policy.load(s, {'policy': 1}, {'denoiser': there})
    self.assertEqual(got['policy'], 1)
    for ours, theirs in zip(
      jax.tree.leaves(got['denoiser']), jax.tree.leaves(params), strict=True
    ):
      np.testing.assert_array_equal(ours, theirs.astype(jnp.bfloat16))
      self.assertEqual(ours.sharding, here)

  @parameterized.parameters(
    (dict(shifted=True), 'x.y', 'must be a run of .* got one of x.y'),
    ({}, text_policy.ADAPTED, 'shifted must be True for a run'),
    (
      dict(shifted=True, model__layers=3),
      text_policy.ADAPTED,
      r'model\.layers must be 2, as in the run',
    ),
  )
  def test_another_run_is_refused(self, changes, experiment, message):
    self.adapted(experiment)
    s = text_policy.settings(self.config(**changes))
    with self.assertRaisesRegex(ValueError, message):
      text_policy.load(s, {}, {'denoiser': {}})

  @parameterized.parameters(
    (dict(data__mask_id=261), 'data.mask_id=261 must lie in the vocabulary'),
    (dict(param_dtype='float16'), 'param_dtype must be float32 or bfloat16'),
    (dict(model__fused=True), 'model.fused=False'),
    (dict(denoiser=''), 'denoiser must name a checkpoint'),
    (
      dict(
        model__vocab_size=261, data__mask_id=260, data__tokenizer=str(TOKENS)
      ),
      'at least the 420 of data.tokenizer',
    ),
  )
  def test_build_refuses(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      text_policy.build(tiny(**changes)).open()

  def test_a_batch_of_the_test_must_divide(self):
    s = text_policy.settings(tiny(sampling__batch=3))
    codec = text.codec(s.data)
    questions = text.read(s.data, 'test')
    grade = text.Grader(codec=codec, mask_id=257, questions=questions)
    arrays = text.prompts(s.data, codec, questions)
    mesh = mesh_lib.make(mesh_lib.MeshConfig(data=4))
    params = {'policy': {}, 'denoiser': {}}
    with (
      mesh_lib.use(mesh),
      self.assertRaisesRegex(ValueError, 'sampling.batch=3 must divide'),
    ):
      text_policy.evaluate_samplers(s, params, arrays, grade, jax.random.key(0))


class PodTest(absltest.TestCase):
  def test_dry_run_fits_eight_devices(self):
    config = 'configs/diffusion_sampler/llada_8b_gsm8k_pod.py'
    done = subprocess.run(
      [
        *(sys.executable, '-m', 'launch.train', '--dry_run', '--devices=8'),
        f'--config={config}',
      ],
      cwd=files.ROOT,
      env=os.environ | {'JAX_PLATFORMS': 'cpu'},
      capture_output=True,
      text=True,
      timeout=300,
    )
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertIn("mesh: {'data': 1, 'fsdp': 8, 'model': 1}", done.stdout)
    # Counted from the shapes of LLaDA-8B, and the policy of the paper.
    size = 32 * (4 * 4096**2 + 3 * 4096 * 12_288 + 2 * 4096)
    size += 2 * 126_464 * 4096 + 4096
    self.assertIn(f'parameters: {size + 331_265:,}', done.stdout)
    # In bfloat16 over eight; the policy and two moments in float32 on each.
    found = re.search(r'state: ([\d.]+) GB a device', done.stdout)
    state = (2 * size / 8 + 3 * 4 * 331_265) / 1e9
    self.assertAlmostEqual(float(found[1]), state, places=3)
    found = re.search(r'([\d.]+) GB temporaries', done.stdout)
    self.assertLess(float(found[1]), 60)

  def test_full_diffusion_is_steered(self):
    cfg = llada_8b_gsm8k_pod.get_config('full').to_dict()
    s = text_policy.settings(cfg)
    self.assertEqual(s.data.layout(s.block).blocks, 1)
    self.assertEqual(s.policy.grpo.size, 9)
    self.assertEqual(s.policy.grpo.expert_block, 32)

  def test_no_questions_say_which_key_to_set(self):
    cfg = tiny(data__questions='tfds:gsm8k')
    with (
      tempfile.TemporaryDirectory() as folder,
      mock.patch.dict(os.environ, {'TFDS_DATA_DIR': folder}),
      self.assertRaisesRegex(FileNotFoundError, 'config.data.questions=jsonl'),
    ):
      text_policy.build(cfg).open()


if __name__ == '__main__':
  absltest.main()
