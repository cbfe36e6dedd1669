"""Decoding with stale keys: where it is exact, and where not, just as stale."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.sampling import cached, decode, denoiser, rules
from diffusion_sampler.sampling import canvas as canvas_lib
from lm import transformer
from tests.lm import two_way_support as support

MASK = 10
FIELDS = ('answer', 'order', 'nfe', 'failed')
CACHES = cached.MODES[1:]


def layout(prompt=3, answer=8, block=3, eos_id=None):
  return canvas_lib.Layout(
    prompt=prompt, answer=answer, block=block, mask_id=MASK, eos_id=eos_id
  )


def rows(lay, seed=2, batch=4):
  """Prompts, which of them are there, and answers of which some is given.

  Row 1 has its first block and a part of the next, row 2 its last position:
  rows enter blocks at different times, and not all the same ones.
  """
  rng = np.random.default_rng(seed)
  prompts = rng.integers(0, MASK, (batch, lay.prompt))
  padding = np.arange(batch) % max(lay.prompt, 1)
  present = np.arange(lay.prompt) >= padding[:, None]
  given = np.full((batch, lay.answer), MASK)
  given[1, : lay.answer // 2 + 1] = rng.integers(0, MASK, lay.answer // 2 + 1)
  given[2, -1] = 4
  return tuple(map(jnp.asarray, (prompts, present, given)))


def row_of(out, row):
  return jax.tree.map(lambda a: a[row : row + 1], out)


def deaf(params, layer):
  """With a layer in which no position feels another."""
  out = jax.tree.map(jnp.zeros_like, params[layer]['out'])
  return params | {layer: params[layer] | {'out': out}}


def row_keys(batch=4):
  return jax.random.split(jax.random.key(7), batch)


STATIC = ('config', 'lay', 'rule', 'temperature', 'shifted', 'mode')


@functools.partial(jax.jit, static_argnames=STATIC)
def sample(
  config, params, lay, data, keys, limit=2.0, *, rule=None, mode=None, **more
):
  """With a cache, or without where there is no mode.

  By threshold `limit`, not compiled in, where there is no rule; of two, it
  takes one position a pass.
  """
  rule = rule or rules.Threshold(threshold=limit)
  prompts, present, given = data
  more |= dict(given=given, prompt_present=present)
  if mode is not None:
    return cached.sample(
      config, params, rule, lay, prompts, keys, mode=mode, **more
    )
  shifted = more.pop('shifted', False)
  model = denoiser.of_transformer(config, params, shifted=shifted)
  return decode.sample(model, rule, lay, prompts, keys, **more)


def by_hand(config, params, lay, row, threshold, mode, shifted):
  """One row by rule 'threshold', with whole passes that hold columns still."""
  prompt, present, given = map(np.asarray, row)
  tokens = np.concatenate([prompt, given])
  there = np.concatenate([present, np.ones(lay.answer, bool)]).astype(np.int32)
  where = np.maximum(np.cumsum(there) - 1, 0)[None], there[None]
  table = np.asarray(transformer.unembedding(params), np.float64)
  order = np.where(given == MASK, -2, -1)
  nfe = 0
  column = np.arange(len(tokens))
  for start in range(lay.prompt, len(tokens), lay.block):
    end = min(start + lay.block, len(tokens))
    kept, stale = None, np.zeros(len(tokens), bool)
    while (tokens[start:end] == MASK).any():
      if kept is None:
        kept = support.inputs(config, params, tokens[None], *where)
      last = end if mode == 'dual' else len(tokens)
      hidden = support.stale_hidden(
        config, params, tokens[None], *where, kept, stale[None]
      )
      stale = (column < start - shifted) | (column >= last)
      seen = np.asarray(hidden[0, start - shifted : end - shifted], np.float64)
      z = seen @ table.T
      z[:, MASK] = -np.inf
      p = np.exp(z - z.max(-1, keepdims=True))
      p /= p.sum(-1, keepdims=True)
      masked = tokens[start:end] == MASK
      confidence = np.where(masked, p.max(-1), -1.0)
      chosen = confidence >= threshold
      if not chosen.any():
        chosen[confidence.argmax()] = True
      tokens[start:end][chosen] = p.argmax(-1)[chosen]
      order[start - lay.prompt : end - lay.prompt][chosen] = nfe
      nfe += 1
      answer = tokens[lay.prompt :]
      decided = answer[: np.argmax(answer == MASK)]
      if MASK in answer and lay.eos_id in decided:
        order[answer == MASK] = -3
        answer[answer == MASK] = lay.eos_id
  return tokens[lay.prompt :], order, nfe


class CachedTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.enter_context(jax.debug_key_reuse(True))

  def assert_same(self, got, want):
    for name in FIELDS:
      np.testing.assert_array_equal(
        getattr(got, name), getattr(want, name), name
      )

  @parameterized.product(mode=CACHES, shifted=(False, True))
  def test_equals_whole_passes_whose_stale_columns_are_held(
    self, mode, shifted
  ):
    lay, data = layout(eos_id=5), rows(layout())
    config, params = support.small(tied=False)
    settings = dict(mode=mode, shifted=shifted)
    out = sample(config, params, lay, data, row_keys(), 0.8, **settings)
    self.assertGreater(int(out.nfe.max()), lay.blocks)
    exact = sample(config, params, lay, data, row_keys(), 0.8, shifted=shifted)
    self.assertTrue((out.answer != exact.answer).any())
    for row in range(4):
      one = [a[row] for a in data]
      answer, order, nfe = by_hand(config, params, lay, one, 0.8, **settings)
      np.testing.assert_array_equal(out.answer[row], answer)
      np.testing.assert_array_equal(out.order[row], order)
      self.assertEqual(out.nfe[row], nfe)

  @parameterized.product(mode=CACHES, shifted=(False, True))
  def test_exact_where_a_block_takes_one_pass(self, mode, shifted):
    """That is the one in which it is read whole."""
    lay = layout(eos_id=5)
    args = (*support.small(tied=False), lay, rows(lay), row_keys(), 0.0)
    want = sample(*args, shifted=shifted)
    self.assertLessEqual(int(want.nfe.max()), lay.blocks)
    self.assert_same(sample(*args, mode=mode, shifted=shifted), want)

  def test_exact_where_a_block_is_one_position(self):
    lay = layout(answer=4, block=1)
    args = (*support.small(tied=False), lay, rows(lay), row_keys())
    want = sample(*args, temperature=0.8)
    self.assert_same(sample(*args, mode='dual', temperature=0.8), want)

  @parameterized.product(mode=CACHES, shifted=(False, True))
  def test_exact_where_positions_feel_one_another_once(self, mode, shifted):
    """In the last layer: a key depends on its own token, and that is fixed."""
    lay = layout(eos_id=5)
    config, params = support.small(tied=False)
    args = (config, deaf(params, 'layer_0'), lay, rows(lay), row_keys())
    want = sample(*args, shifted=shifted)
    self.assertGreater(int(want.nfe.max()), lay.blocks)
    self.assert_same(sample(*args, mode=mode, shifted=shifted), want)

  def test_prefix_draws_the_tokens_that_are_drawn_without_a_cache(self):
    lay = layout(eos_id=5)
    config, params = support.small(tied=False)
    args = (config, deaf(params, 'layer_0'), lay, rows(lay), row_keys(), 0.8)
    want = sample(*args, temperature=1.0)
    self.assertTrue((want.answer != sample(*args).answer).any())
    self.assert_same(sample(*args, mode='prefix', temperature=1.0), want)

  @parameterized.parameters(*CACHES)
  def test_exact_where_positions_do_not_feel_one_another(self, mode):
    """And divergences reach back within the block."""
    config, params = support.small(tied=False, scan_layers=True)
    params = params | {'layers': deaf(params['layers'], 'block')}
    lay = layout(block=4)
    args = (config, params, lay, rows(lay), row_keys())
    rule = rules.Klass(confidence=0.3, divergence=0.01, passes=1, steps=4)
    want = sample(*args, rule=rule)
    self.assertLess(int(want.nfe[0]), 8)  # some were settled
    self.assert_same(sample(*args, rule=rule, mode=mode), want)

  def test_exact_where_everything_runs_again(self):
    """One block and no prompt but the column that predicts the first one."""
    lay = layout(prompt=1, answer=6, block=9)
    args = (*support.small(tied=False), lay, rows(lay), row_keys())
    want = sample(*args, shifted=True)
    self.assertEqual(int(want.nfe.max()), 6)
    self.assert_same(sample(*args, shifted=True, mode='dual'), want)

  def test_prefix_is_exact_in_the_first_block_where_nothing_precedes_it(self):
    lay = layout(eos_id=5)
    prompts, present, given = rows(lay)
    data = prompts, jnp.zeros_like(present), given
    args = (*support.small(tied=False), lay, data, row_keys())
    want, got = sample(*args), sample(*args, mode='prefix')
    self.assertTrue((got.answer != want.answer).any())
    for name in ('answer', 'order'):
      np.testing.assert_array_equal(
        getattr(got, name)[:, :3], getattr(want, name)[:, :3]
      )

  def test_both_modes_are_one_where_nothing_is_behind_the_block(self):
    lay = layout(eos_id=5)
    prompts, present, given = rows(lay)
    given = jnp.full_like(given, 3).at[:, -2:].set(MASK)
    data = prompts, present, given
    args = (*support.small(tied=False), lay, data, row_keys())
    prefix, dual = (sample(*args, mode=mode) for mode in CACHES)
    self.assertEqual(dual.nfe.max(), 2)
    self.assert_same(prefix, dual)

  @parameterized.parameters(*CACHES)
  def test_a_row_depends_on_no_other(self, mode):
    """Drawn tokens too, and where another row gives nan."""
    lay = layout(eos_id=5)
    config, params = support.small(tied=False)
    poisoned = params['embedding'].at[9].set(jnp.nan)
    params = params | {'embedding': poisoned}
    prompts, present, given = rows(lay)
    prompts = jnp.where(prompts == 9, 8, prompts).at[3, -1].set(9)
    given = jnp.where(given == 9, 8, given)
    data, keys = (prompts, present, given), row_keys()
    settings = dict(mode=mode, temperature=1.0)
    out = sample(config, params, lay, data, keys, 0.8, **settings)
    # Another may draw that token, and fail as well.
    self.assertTrue(out.failed[3])
    self.assertFalse(out.failed[:3].all())
    self.assertGreater(len(set(out.nfe.tolist())), 2)
    for row in range(4):
      here = slice(row, row + 1)
      # The others have nothing to do.
      done = jnp.where((jnp.arange(4) == row)[:, None], given, 3)
      data = prompts, present, done
      alone = sample(config, params, lay, data, keys, 0.8, **settings)
      self.assert_same(row_of(alone, row), row_of(out, row))
      if mode == 'dual':
        data = prompts[here], present[here], given[here]
        one = sample(config, params, lay, data, keys[here], 0.8, **settings)
        self.assert_same(one, row_of(out, row))

  @parameterized.parameters(
    dict(mode='triple', words='none, prefix, dual'),
    dict(mode='dual', prompt=0, shifted=True, words='prompt'),
  )
  def test_what_cannot_be_is_refused(self, words, prompt=3, **settings):
    lay = layout(prompt=prompt)
    args = (*support.small(tied=False), lay, rows(lay), row_keys())
    with self.assertRaisesRegex(ValueError, words):
      sample(*args, **settings)


class StaleTest(absltest.TestCase):
  def test_what_was_written_in_the_block_moves_the_rest(self):
    """How far a partial pass is from a whole one, in probability."""
    config, params = support.small(tied=False)
    lay = layout()
    prompts, present, given = rows(lay)
    before = jnp.concatenate([prompts, given], 1)
    there = jnp.concatenate([present, given > -1], 1).astype(jnp.int32)
    where = jnp.maximum(jnp.cumsum(there, -1) - 1, 0), there
    after = before.at[:, 4].set(5)  # in the first block, columns 3 to 5
    kept = support.inputs(config, params, before, *where)
    column = jnp.arange(11)
    p = {}
    for name, stale in dict(
      whole=column < 0,
      prefix=column < 3,
      dual=(column < 3) | (column > 5),
    ).items():
      hidden = support.stale_hidden(
        config, params, after, *where, kept, jnp.tile(stale, (4, 1))
      )
      z = hidden[:, 3:6] @ transformer.unembedding(params).T
      p[name] = np.asarray(jax.nn.softmax(z[..., :MASK]))
    for mode in CACHES:
      difference = np.abs(p[mode] - p['whole']).max()
      self.assertTrue(1e-3 < difference < 1.0, difference)
    agreement = (p['dual'].argmax(-1) == p['whole'].argmax(-1)).mean()
    self.assertGreater(agreement, 0.5)


if __name__ == '__main__':
  absltest.main()
