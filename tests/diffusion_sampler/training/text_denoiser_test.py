"""A causal checkpoint becomes a denoiser: loss, mask, gaps, end to end."""

import functools
import json
import math
import pathlib
import shutil
import tempfile
from types import SimpleNamespace
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl.testing import absltest, parameterized

from configs.diffusion_sampler import adapt_smollm2
from diffusion_sampler.evaluation import evaluate, fill_in
from diffusion_sampler.training import masking, text_denoiser
from engine import checkpoint
from engine import mesh as mesh_lib
from launch import setup
from lm import init as model_init
from lm import transformer
from lm.checkpoints import families, weights
from tests import files

# Of the tokenizer in peers/tokens.
KNOWN = 420
MASK = KNOWN + 1
MODEL = dict(
  vocab_size=KNOWN + 5,
  layers=2,
  width=16,
  heads=2,
  kv_heads=1,
  mlp_width=24,
  rope_base=10_000.0,
  tied=False,
)
CONFIG = transformer.TransformerConfig(**MODEL)


@functools.partial(jax.jit, static_argnums=0)
def params_of(config, seed=0):
  boxed = transformer.Transformer(config).init(
    jax.random.key(seed), jnp.zeros((1, 2), jnp.int32)
  )['params']
  return jax.tree.map(lambda p: 3 * p, mesh_lib.unbox(boxed))


@functools.partial(jax.jit, static_argnames='causal')
def hidden_of(params, tokens, causal=True):
  """Last hidden states of one text."""
  model = transformer.Transformer(CONFIG)
  out = model.apply({'params': params}, tokens[None], causal=causal)
  return out.hidden[0]


def batch_of():
  """Two documents and padding in a record; one document in the other."""
  rng = np.random.default_rng(0)
  return {
    'tokens': rng.integers(0, KNOWN, (2, 8)),
    'segments': np.array([[1, 1, 1, 2, 2, 2, 0, 0], [1] * 8], np.uint16),
    'positions': np.array([[0, 1, 2, 0, 1, 2, 0, 0], [*range(8)]], np.int32),
  }


class LossTest(parameterized.TestCase):
  def test_the_share_grows_to_one(self):
    got = [float(text_denoiser.share(s, 4)) for s in (0, 1, 3, 4, 9)]
    self.assertEqual(got, [0.0, 0.25, 0.75, 1.0, 1.0])
    self.assertEqual(float(text_denoiser.share(0, 0)), 1.0)

  def test_what_may_be_hidden_has_its_own_document_before_it(self):
    np.testing.assert_array_equal(
      text_denoiser.hideable(batch_of()),
      [[0, 1, 1, 0, 1, 1, 0, 0], [0] + [1] * 7],
    )

  @parameterized.parameters(0.0, 1.0)
  def test_all_hidden_is_predicted_from_the_token_before(self, opened):
    """By a plain forward pass of each document alone."""
    params, batch = params_of(CONFIG), batch_of()
    with mock.patch.object(masking, 'times', lambda key, n: jnp.ones(n)):
      got = jax.jit(text_denoiser.denoising_loss, static_argnums=(0, 1, 6))(
        CONFIG,
        MASK,
        jnp.float32(opened),
        params,
        batch,
        jax.random.key(1),
        masking.Noise(),
      )
    want, count = 0.0, 0
    table = np.asarray(transformer.unembedding(params), np.float64)
    for record, (begin, end) in ((0, (0, 3)), (0, (3, 6)), (1, (0, 8))):
      tokens = batch['tokens'][record, begin:end]
      noisy = np.where(np.arange(end - begin) == 0, tokens, MASK)
      hidden = hidden_of(params, noisy, causal=not opened)
      logits = np.asarray(hidden, np.float64) @ table.T
      logits[:, MASK] = -np.inf
      for at in range(1, end - begin):
        row = logits[at - 1]
        peak = row.max()
        lse = peak + math.log(np.exp(row - peak).sum())
        want += lse - row[tokens[at]]
        count += 1
    self.assertEqual(float(got.count), count)
    np.testing.assert_allclose(got.total, want, rtol=1e-5)

  def test_half_open_lets_some_later_positions_through(self):
    """A later token has an influence exactly where its pair is open."""
    # Small, so that no attention rounds to 0.
    params = jax.tree.map(lambda p: np.asarray(p) / 6, params_of(CONFIG))
    tokens = np.arange(12)[None] * 7
    draw = np.random.default_rng(3).random((12, 12))

    @jax.jit
    @jax.jacobian
    def slopes_of(embedding, opened):
      changed = params | {'embedding': embedding}
      out = transformer.Transformer(CONFIG).apply(
        {'params': changed}, jnp.asarray(tokens), opened=opened, capture=(1,)
      )
      return out.captured[0][0].sum(-1)

    def influence(share):
      slopes = np.asarray(slopes_of(params['embedding'], draw < share))
      return np.abs(slopes[:, tokens[0]]).sum(-1) > 0  # [query, key]

    later = np.triu(np.ones((12, 12), bool), 1)
    for share in (0.0, 0.4, 1.0):
      seen = influence(share)
      np.testing.assert_array_equal(
        seen, ~later | np.asarray(draw < share), str(share)
      )

  def test_opened_needs_a_causal_pass(self):
    with self.assertRaisesRegex(ValueError, 'opened: of a causal pass'):
      transformer.Transformer(CONFIG).apply(
        {'params': params_of(CONFIG)},
        jnp.zeros((1, 3), jnp.int32),
        causal=False,
        opened=jnp.ones((3, 3), bool),
      )


class GapsTest(absltest.TestCase):
  def test_documents_that_are_long_enough_in_order(self):
    split = SimpleNamespace(
      starts=np.array([0, 6, 9, 16, 22]), tokens=np.arange(22, dtype=np.uint16)
    )
    found = fill_in.gaps(split, prompt=3, gap=2, after=1, count=2)
    np.testing.assert_array_equal(found['prompt'], [[0, 1, 2], [9, 10, 11]])
    np.testing.assert_array_equal(found['answer'], [[3, 4, 5], [12, 13, 14]])
    np.testing.assert_array_equal(found['hidden'], [[1, 1, 0]] * 2)
    with self.assertRaisesRegex(ValueError, 'at most .* got 7 in the longest'):
      fill_in.gaps(split, prompt=3, gap=2, after=3, count=2)

  def test_figures_of_what_was_written(self):
    """One token a pass, by hand, and its likelihood read from the left."""
    params, causal = params_of(CONFIG), params_of(CONFIG, seed=1)
    rng = np.random.default_rng(1)
    found = {
      'prompt': rng.integers(0, KNOWN, (3, 4)).astype(np.int32),
      'answer': rng.integers(0, KNOWN, (3, 4)).astype(np.int32),
      'hidden': np.array([[1, 1, 0, 0]] * 3, bool),
    }
    wanted, likely = [], []
    for prompt, answer in zip(found['prompt'], found['answer'], strict=True):
      tokens = np.concatenate([prompt, answer])
      for at in (4, 5):
        tokens[4:6][at - 4 :] = MASK
        hidden = np.asarray(hidden_of(params, tokens, causal=False))
        logits = hidden[at - 1] @ np.asarray(params['unembedding']).T
        logits[MASK] = -np.inf
        tokens[at] = logits.argmax()
      wanted.append(tokens[4:])
      hidden = np.asarray(hidden_of(causal, tokens), np.float64)
      logits = hidden @ np.asarray(causal['unembedding']).T
      logits[:, MASK] = -np.inf
      logp = logits - logits.max(-1, keepdims=True)
      logp -= np.log(np.exp(logp).sum(-1, keepdims=True))
      likely.append(-np.mean([logp[at - 1, tokens[at]] for at in range(4, 8)]))
    # Let one be right.
    found['answer'][0, 0] = wanted[0][0]
    name = 'left_to_right(count=1)'
    mesh = mesh_lib.make(mesh_lib.MeshConfig(data=1), jax.devices()[:1])
    with mesh_lib.use(mesh):
      got = fill_in.evaluate_gaps(
        CONFIG,
        params,
        causal,
        evaluate.SamplingConfig(
          samplers=({'rule': 'left_to_right', 'count': 1},), batch=2, frames=3
        ),
        found,
        MASK,
        jax.random.key(0),
      )
    np.testing.assert_array_equal(got['answers'][0], wanted)
    self.assertEqual(got['nfe'], 2.0)
    right = np.array(wanted)[:, :2] == found['answer'][:, :2]
    self.assertGreaterEqual(right.sum(), 1)
    self.assertAlmostEqual(got['accuracy'], right.mean())
    np.testing.assert_allclose(got[f'{name}@4/nll'], np.mean(likely), rtol=1e-4)


def tiny(folder, **changes):
  """The smoke config on a checkpoint of random weights and 150 documents."""
  base = folder / 'base'
  if not base.exists():
    config = transformer.TransformerConfig(**(MODEL | {'vocab_size': KNOWN}))
    weights.export(base, families.find('llama'), config, params_of(config))
    shutil.copy(files.PEERS / 'tokens' / 'tokenizer.json', base)
    lines = [
      {'title': f't{i}', 'text': f'Town {i} lies in Egypt, founded {1800 + i}.'}
      for i in range(150)
    ]
    (folder / 'docs.jsonl').write_text('\n'.join(map(json.dumps, lines)))
  cfg = adapt_smollm2.get_config('smoke').to_dict()
  cfg['init'] = str(base)
  cfg['data'] |= {
    'corpus': f'jsonl:{folder}/docs.jsonl',
    'prompt': 4,
    'batch_size': 8,
  }
  cfg['model'] |= MODEL | {'norm_eps': CONFIG.norm_eps, 'scan_layers': False}
  cfg['optim'] |= {'peak_lr': 1e-2}
  cfg['run'] |= {'steps': 8}
  cfg['anneal'] = 2
  cfg['mesh'] = {'data': 2, 'fsdp': 2, 'model': 1}
  for name, value in changes.items():
    section, _, key = name.partition('__')
    if key:
      cfg[section][key] = value
    else:
      cfg[section] = value
  return cfg


class EndToEndTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )
    self.enter_context(
      mock.patch.dict('os.environ', {'SOCRATIC_DATA': str(self.folder)})
    )

  def test_learns_to_denoise_what_it_could_not(self):
    cfg = tiny(self.folder)
    summary = setup.train(setup.ask(cfg), self.folder / 'run', progress=False)
    self.assertLess(summary['nll_bound'], summary['before_nll_bound'] - 0.5)
    self.assertIn('threshold(threshold=0.9)@8/nll', summary)
    self.assertGreater(summary['text_nll'], 0)
    made = np.load(self.folder / 'run' / 'evals' / 'test-final.npz')
    self.assertEqual(made['pieces'].shape, made['answers'].shape)
    base = weights.load(cfg['init']).params
    params, _ = checkpoint.restore_params(self.folder / 'run')
    moved = params['embedding'][:KNOWN] - base['embedding']
    self.assertGreater(np.abs(moved).max(), 0)

  def test_microbatches_change_nothing_but_the_draw(self):
    """With everything hidden there is no draw: the same step."""
    rng = np.random.default_rng(2)
    # The second half has more to predict than the first.
    batch = {name: np.repeat(a, 2, 0) for name, a in batch_of().items()}
    batch['tokens'] = rng.integers(0, KNOWN, batch['tokens'].shape)
    found = []
    with mock.patch.object(masking, 'times', lambda key, n: jnp.ones(n)):
      for accumulate in (1, 2):
        cfg = tiny(self.folder, accumulate=accumulate, anneal=0)
        s = text_denoiser.settings(cfg)
        descent = optax.sgd(1.0)
        state = model_init.train_state(s.model, descent)(jax.random.key(0))
        step = text_denoiser.make_step(s, MASK, descent)
        state = mesh_lib.unbox(state)
        found.append(jax.jit(step)(state, batch, jax.random.key(1)))
    (one, said), (other, also) = found
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
      one.params,
      other.params,
    )
    self.assertEqual(said['tokens'], also['tokens'])
    self.assertEqual(said['opened'], 1.0)

  @parameterized.parameters(
    (dict(init=''), 'init must name a causal checkpoint'),
    (dict(anneal=-1), 'anneal must not be negative'),
    (dict(accumulate=0), 'accumulate must be at least 1'),
    (dict(data__gap=0), 'data.gap must be at least 1'),
    (dict(model__vocab_size=430), 'model.vocab_size=430 must be 425'),
    (dict(data__prompt=4000), 'at most the tokens of a test document'),
  )
  def test_what_does_not_fit_is_named(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      text_denoiser.build(tiny(self.folder, **changes)).open()


if __name__ == '__main__':
  absltest.main()
