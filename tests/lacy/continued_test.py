"""Training on from a checkpoint, on files of a tiny one, end to end."""

import json
import pathlib
import shutil
import tempfile
from unittest import mock

import jax
import numpy as np
from absl.testing import absltest, parameterized

from configs.lacy import smollm2_continue
from corpora.questions import question, sets
from engine import checkpoint
from engine import mesh as mesh_lib
from lacy import continued
from launch import setup
from lm import lora, transformer
from lm.checkpoints import families, weights
from tests import files
from tests.lacy import support

# Of the tokenizer in peers/tokens.
KNOWN = 420
QUESTIONS = [
  question.Question(
    id=str(i),
    prompt='Where is the lake?',
    answers=('here',),
    choices=('here', 'far away', 'gone')[i % 2 :] + ('here',) * (i % 2),
  )
  for i in range(3)
]


def tiny(folder, **changes):
  """The smoke config on a checkpoint of random weights and 12 documents."""
  folder = pathlib.Path(folder)
  model = dict(
    vocab_size=KNOWN + 5,
    layers=2,
    width=16,
    heads=2,
    kv_heads=1,
    mlp_width=24,
    tied=False,
  )
  config = transformer.TransformerConfig(**(model | {'vocab_size': KNOWN}))
  base = folder / 'base'
  if not base.exists():
    params = support.params(config, 5)
    weights.export(base, families.find('llama'), config, params)
    shutil.copy(files.PEERS / 'tokens' / 'tokenizer.json', base)
    lines = [
      {'title': f't{i}', 'text': f'Town {i} lies in Egypt, founded {1800 + i}.'}
      for i in range(150)
    ]
    (folder / 'docs.jsonl').write_text('\n'.join(map(json.dumps, lines)))
  cfg = smollm2_continue.get_config('smoke').to_dict()
  cfg['init'] = cfg['data']['tokenizer'] = str(base)
  cfg['data']['corpus'] = f'jsonl:{folder}/docs.jsonl'
  cfg['model'] |= model | {'rope_base': 10_000.0, 'norm_eps': config.norm_eps}
  cfg['run'] |= {'steps': 4}
  cfg['mesh'] = {'data': 2, 'fsdp': 2, 'model': 1}
  cfg['lora'] |= {'rank': 2}
  cfg['optim'] |= {'peak_lr': 1e-2}
  for name, value in changes.items():
    section, _, key = name.partition('__')
    if key:
      cfg[section][key] = value
    else:
      cfg[section] = value
  return cfg


def run(cfg, workdir):
  with mock.patch.object(sets, 'load', return_value=QUESTIONS):
    return setup.train(setup.ask(cfg), workdir, progress=False)


class ContinuedTest(parameterized.TestCase):
  """One run with LoRA serves several tests, which leave it as it is."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = pathlib.Path(
      cls.enterClassContext(tempfile.TemporaryDirectory())
    )
    cls.enterClassContext(
      mock.patch.dict('os.environ', {'SOCRATIC_DATA': str(cls.folder)})
    )
    cls.summary = run(tiny(cls.folder, run__save_every=2), cls.folder / 'whole')

  def restored(self, name):
    params, _ = checkpoint.restore_params(self.folder / name)
    return params

  def test_lora_trains_on_from_the_checkpoint_and_freezes_it(self):
    summary = self.summary
    base = weights.load(self.folder / 'base').params
    params = self.restored('whole')
    for name in ('embedding', 'unembedding'):
      np.testing.assert_array_equal(params[name][:KNOWN], base[name])
    mean = np.broadcast_to(base['unembedding'].mean(0), (5, 16))
    # CALL was trained, mask and pad were never met.
    self.assertGreater(np.abs(params['unembedding'][KNOWN] - mean[0]).max(), 0)
    rest = params['layer_1']['query']
    np.testing.assert_array_equal(
      rest['kernel'], base['layer_1']['query']['kernel']
    )
    self.assertGreater(np.abs(rest['lora_b']).max(), 0)
    part = lora.take(params, first_row=KNOWN)
    trained = sum(x.size for x in jax.tree.leaves(part))
    self.assertEqual(summary['parameters_trained'], trained)
    self.assertEqual(summary['csqa_questions'], 3)
    self.assertEqual(summary['before_csqa_questions'], 3)
    self.assertNotEqual(summary['loss_nonfact'], summary['before_loss_nonfact'])

  def test_all_weights_are_trained_with_rank_0(self):
    cfg = tiny(self.folder, lora__rank=0)
    summary = run(cfg, self.folder / 'all')
    self.assertEqual(summary['parameters_trained'], summary['parameters'])
    base = weights.load(cfg['init']).params
    params = self.restored('all')
    self.assertNotIn('lora_a', params['layer_0']['query'])
    for name in ('query', 'out', 'down'):
      moved = (
        params['layer_0'][name]['kernel'] - base['layer_0'][name]['kernel']
      )
      self.assertGreater(np.abs(moved).max(), 0)

  def test_resumed_equals_uninterrupted(self):
    cfg = tiny(self.folder, run__save_every=2)
    # As after a kill: the last checkpoint and the summary are not there.
    shutil.copytree(self.folder / 'whole', self.folder / 'cut')
    shutil.rmtree(self.folder / 'cut' / 'ckpt' / '4')
    (self.folder / 'cut' / 'summary.json').unlink()
    with mock.patch.object(continued.extend, 'load') as load:
      load.side_effect = AssertionError('a resumed run loads no checkpoint')
      with mock.patch.object(continued, '_before', return_value={}):
        run(cfg, self.folder / 'cut')
    jax.tree.map(
      np.testing.assert_array_equal,
      self.restored('cut'),
      self.restored('whole'),
    )

  def test_another_init_is_refused_when_resuming(self):
    cfg = tiny(self.folder, run__save_every=2)
    other = str(self.folder / 'other')
    shutil.copytree(cfg['init'], other)
    cfg['init'] = cfg['data']['tokenizer'] = other
    with self.assertRaisesRegex(ValueError, 'another config .*init was'):
      run(cfg, self.folder / 'whole')

  def test_init_and_tokenizer_must_be_one(self):
    cfg = tiny(self.folder, init='smollm2_135m_instruct')
    with self.assertRaisesRegex(ValueError, 'the same checkpoint'):
      continued.build(cfg).open()

  def test_the_model_must_be_the_checkpoints(self):
    cfg = tiny(self.folder, model__layers=3)
    with self.assertRaisesRegex(ValueError, r'model\.layers must be 2'):
      run(cfg, self.folder / 'refused')

  @parameterized.parameters(0, 4)
  def test_the_config_builds_without_data_at_its_size(self, rank):
    cfg = smollm2_continue.get_config().to_dict()
    cfg['lora']['rank'] = rank
    exp, shapes = continued.build(cfg).abstract()
    key = jax.random.key(0)
    state = mesh_lib.unbox(jax.eval_shape(exp.init, key))
    new, _ = jax.eval_shape(exp.step, state, shapes, key)
    self.assertEqual(jax.tree.map(np.shape, new), jax.tree.map(np.shape, state))
    # SmolLM2-135M and five rows; A and B of four kernels 576 wide and three
    # of the MLP; query and out 576 to 576, key and value 576 to 192.
    size = 134_515_008 + 5 * 576
    size += 30 * rank * (2 * 1152 + 2 * 768 + 3 * (576 + 1536))
    self.assertEqual(sum(x.size for x in jax.tree.leaves(state.params)), size)


if __name__ == '__main__':
  absltest.main()
