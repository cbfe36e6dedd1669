"""What holds of decoding whatever the rule, its limits, and bad input."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.sampling import decode, rules
from diffusion_sampler.sampling import denoiser as denoiser_lib
from tests.diffusion_sampler import support

PROMPT, ANSWER, WORDS = 2, 8, 5
MASK, END = WORDS, 0
MODEL = support.Scrambled(words=WORDS, length=PROMPT + ANSWER)
# One of every kind. The schedules are longer than a block, and some of their
# passes may write nothing.
EVERY = {
  'random': rules.Random(count=2),
  'top_k': rules.TopK(count=1, by='entropy'),
  'left_to_right': rules.LeftToRight(count=2),
  'threshold': rules.Threshold(threshold=0.5),
  'factor': rules.Factor(factor=1.2),
  'entropy_bounded': rules.EntropyBounded(bound=0.8),
  'klass': rules.Klass(confidence=0.3, divergence=2.0, passes=1, steps=3),
  'llada': rules.LladaSchedule(steps=3),
  'dream': rules.DreamSchedule(steps=5, noise=0.5),
  'ancestral': rules.Ancestral(steps=5),
}
MAY_PAUSE = ('dream', 'ancestral')
DRAWS_TOKENS = ('random', 'threshold')  # the others take the best


def prompts(batch, seed=0):
  rng = np.random.default_rng(seed)
  return jnp.asarray(rng.integers(0, WORDS, (batch, PROMPT)))


def partly(batch, seed=0):
  """Answers given in part: nothing in the first rows, all in the last."""
  rng = np.random.default_rng(seed)
  given = rng.integers(1, WORDS, (batch, ANSWER))
  share = np.linspace(0.7, 0.0, batch)[:, None]
  hidden = rng.random((batch, ANSWER)) < share
  hidden[:2], hidden[-1] = True, False
  return jnp.asarray(np.where(hidden, MASK, given))


def layout(block, **kwargs):
  return support.layout(ANSWER, block, MASK, prompt=PROMPT, **kwargs)


@functools.partial(jax.jit, static_argnames=('lay', 'temperature'))
def run(rule, prompts, keys, given=None, *, lay, temperature=0.0):
  return decode.sample(
    MODEL.denoiser(),
    rule,
    lay,
    prompts,
    keys,
    given=given,
    temperature=temperature,
  )


def play(rule, block, *, batch=6, seed=0, temperature=0.0, **kwargs):
  # A rule's numbers as arrays that outlive the call. Given as Python's own, one
  # run in thousands went as if the threshold were another number.
  out = run(
    jax.tree.map(jnp.float32, rule),
    prompts(batch),
    support.keys(batch, seed),
    lay=layout(block, **kwargs),
    temperature=temperature,
  )
  return jax.tree.map(np.asarray, out)


def sample(denoiser, rule, lay, prompts, *, temperature=0.0, **kwargs):
  """Compiled for a denoiser of a test's own."""

  @jax.jit
  def run(prompts, keys, kwargs):
    return decode.sample(
      denoiser, rule, lay, prompts, keys, temperature=temperature, **kwargs
    )

  out = run(prompts, support.keys(len(prompts)), kwargs)
  return jax.tree.map(np.asarray, out)


class SamplerTestCase(support.SamplerTestCase):
  def assert_same(self, one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


class EveryRuleTest(SamplerTestCase):
  @parameterized.parameters(*EVERY)
  def test_each_pass_and_each_row_by_itself(self, name):
    """Blocks of 3, 3 and 2, and an answer may end."""
    batch, lay = 5, layout(3, eos_id=END)
    given, prompt, keys = partly(batch), prompts(batch), support.keys(batch)
    rule, temperature = EVERY[name], 0.7 if name in DRAWS_TOKENS else 0.0
    whole = run(rule, prompt, keys, given, lay=lay, temperature=temperature)
    frames = []
    model = MODEL.denoiser()

    def hidden(tokens, present):
      jax.debug.callback(
        lambda t: frames.append(np.asarray(t)[0]), tokens, ordered=True
      )
      return model.hidden(tokens, present)

    @jax.jit
    def watched(prompt, key, given):
      return decode.sample(
        model._replace(hidden=hidden),
        rule,
        lay,
        prompt,
        key,
        given=given,
        temperature=temperature,
      )

    for row in range(batch):
      at = slice(row, row + 1)
      frames.clear()
      alone = watched(prompt[at], keys[at], given[at])
      jax.effects_barrier()
      here = jax.tree.map(lambda a, at=at: a[at], whole)
      self.assert_same(alone, here)
      self.check_passes(name, frames, np.asarray(given[row]), alone, lay)

  def check_passes(self, name, frames, given, out, lay):
    answer, order = np.asarray(out.answer[0]), np.asarray(out.order[0])
    nfe = int(out.nfe[0])
    self.assertLen(frames, nfe)
    self.assertLessEqual(nfe, ANSWER)
    states = [frame[PROMPT:] for frame in frames] + [answer]
    np.testing.assert_array_equal(states[0], given)
    for i, (now, then) in enumerate(itertools.pairwise(states)):
      masked = now == MASK
      self.assertTrue(masked.any())  # a pass is not spent on nothing
      np.testing.assert_array_equal(then[~masked], now[~masked])
      self.assertLessEqual((then == MASK).sum(), masked.sum())
      # What the order says was written now was, in one block, the first.
      wrote = np.flatnonzero(order == i)
      filled = order == -3 if i == nfe - 1 else np.zeros(ANSWER, bool)
      changed = np.flatnonzero((now != then) & ~filled)
      self.assertEqual(changed.tolist(), wrote.tolist())
      self.assertTrue((answer[filled] == END).all())
      if name not in MAY_PAUSE:
        self.assertNotEmpty(wrote)
      if len(wrote):
        first = np.flatnonzero(masked)[0] // lay.block
        self.assertEqual(set(wrote // lay.block), {first})
    np.testing.assert_array_equal(order == -1, given != MASK)
    self.assertFalse((order == -2).any())
    self.assertFalse((answer == MASK).any())

  def test_same_seed_same_answers(self):
    one, again, other = (
      play(rules.Random(), 8, seed=seed, temperature=1.0) for seed in (1, 1, 2)
    )
    self.assert_same(one, again)
    self.assertFalse(np.array_equal(one.answer, other.answer))
    self.assertFalse(np.array_equal(one.order, other.order))

  def test_a_key_is_not_consumed_twice(self):
    # The check itself is awake: both uses of one key are seen.
    key = jax.random.key(0)
    jax.random.uniform(key)
    with self.assertRaises(jax.errors.KeyReuseError):
      jax.random.uniform(key)


class LimitTest(SamplerTestCase):
  @parameterized.parameters((8, 1), (3, 3))
  def test_all_at_once_is_one_pass_a_block(self, block, blocks):
    want = play(rules.Threshold(threshold=0.0), block)
    self.assertEqual(set(want.nfe.tolist()), {blocks})
    self.assertEqual(want.order[0].tolist(), [i // block for i in range(8)])
    self.assert_same(play(rules.Threshold(threshold=-1.0), block), want)
    for rule in (
      rules.Factor(factor=1e9),
      rules.EntropyBounded(bound=1e9),
    ):
      self.assert_same(play(rule, block), want)

  def test_one_at_a_time(self):
    want = play(rules.TopK(count=1), 4)
    self.assertEqual(set(want.nfe.tolist()), {ANSWER})
    for row in want.order:
      self.assertEqual(sorted(row.tolist()), list(range(ANSWER)))
    for rule in (rules.Threshold(threshold=1.1), rules.Factor(factor=0.0)):
      self.assert_same(play(rule, 4), want)
    self.assert_same(
      play(rules.EntropyBounded(bound=-1.0), 4),
      play(rules.TopK(by='entropy'), 4),
    )

  def test_full_diffusion_crosses_blocks_and_blocks_do_not(self):
    full = play(rules.TopK(count=1), 8)
    self.assertTrue((full.order[:, 4:].min(-1) < 4).any())
    half = play(rules.TopK(count=1), 4)
    self.assertTrue((half.order[:, :4].max(-1) == 3).all())
    self.assertTrue((half.order[:, 4:].min(-1) == 4).all())
    # A block longer than the answer is the answer.
    self.assert_same(play(rules.TopK(count=1), 11), full)

  def test_temperature_zero_is_the_best_token(self):
    out = play(rules.Threshold(threshold=0.0), 8)
    for row, prompt in enumerate(np.asarray(prompts(6))):
      z = MODEL.logits([*prompt, *[MASK] * ANSWER])[PROMPT:, :WORDS]
      self.assertEqual(out.answer[row].tolist(), z.argmax(-1).tolist())


class DenoiserTest(SamplerTestCase):
  def test_shifted_predicts_the_next_token(self):
    # Column i says i: the answer at P, P + 1, ... says P - 1, P, ...
    def logits(tokens):
      columns = jnp.arange(tokens.shape[1])
      return jnp.broadcast_to(
        9.0 * jax.nn.one_hot(columns, 7), (*tokens.shape, 7)
      )

    for shifted, want in ((False, [2, 3, 4]), (True, [1, 2, 3])):
      model = denoiser_lib.of_logits(logits, 7)._replace(shifted=shifted)
      lay = support.layout(3, 3, 6, prompt=2)
      out = sample(model, rules.TopK(count=2), lay, jnp.zeros((1, 2), int))
      self.assertEqual(out.answer.tolist(), [want])

  def test_padding_of_prompts_is_named_to_the_denoiser(self):
    # Says how many columns are there.
    def hidden(tokens, present):
      count = present.sum(-1)[:, None]
      return jnp.broadcast_to(
        9.0 * jax.nn.one_hot(count, 9), (*tokens.shape, 9)
      )

    out = sample(
      denoiser_lib.Denoiser(hidden, jnp.eye(9)),
      rules.Threshold(threshold=0.0),
      support.layout(2, 2, 8, prompt=3),
      jnp.zeros((2, 3), int),
      prompt_present=jnp.array([[False, True, True], [True, True, True]]),
    )
    self.assertEqual(out.answer.tolist(), [[4, 4], [5, 5]])


class BadInputTest(SamplerTestCase):
  def test_nothing_to_do_is_no_pass(self):
    given = jnp.array([[1, 2, 3, 4, 1, 2, 3, 4]] * 2)
    out = run(
      rules.TopK(), prompts(2), support.keys(2), given, lay=layout(4, eos_id=3)
    )
    np.testing.assert_array_equal(out.answer, given)
    self.assertEqual(out.nfe.tolist(), [0, 0])
    np.testing.assert_array_equal(out.order, np.full((2, 8), -1))

  def test_a_prompt_of_masks_is_left_alone(self):
    full = jnp.full((2, PROMPT), MASK)
    out = run(rules.TopK(count=3), full, support.keys(2), lay=layout(8))
    z = MODEL.logits([MASK] * (PROMPT + ANSWER))[PROMPT:, :WORDS]
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    first = sorted(range(ANSWER), key=lambda k: -p[k].max())[:3]
    self.assertEqual(sorted(np.flatnonzero(out.order[0] == 0)), sorted(first))
    self.assertEqual(out.nfe.tolist(), [3, 3])
    self.assertFalse((np.asarray(out.answer) == MASK).any())

  def test_nan_fails_its_own_row(self):
    model = MODEL.denoiser()

    def hidden(tokens, present):
      # Row 1 gives nan once half of its answer is written.
      masks = (tokens[:, PROMPT:] == MASK).sum(-1)
      bad = (jnp.arange(4) == 1) & (masks <= ANSWER // 2)
      out = model.hidden(tokens, present)
      return jnp.where(bad[:, None, None], jnp.nan, out)

    sound, broken = (
      sample(
        denoiser, rules.TopK(count=2), layout(8), prompts(4), temperature=1.0
      )
      for denoiser in (model, model._replace(hidden=hidden))
    )
    self.assertEqual(broken.failed.tolist(), [False, True, False, False])
    self.assertFalse(sound.failed.any())
    others = np.array([0, 2, 3])
    self.assert_same(
      *(jax.tree.map(lambda a: a[others], x) for x in (broken, sound))
    )
    # Two passes were good, the third was not.
    self.assertEqual(broken.nfe[1], 3)
    self.assertEqual((broken.answer[1] == MASK).sum(), 4)
    known = broken.answer[1] != MASK
    np.testing.assert_array_equal(
      broken.answer[1][known], sound.answer[1][known]
    )

  @parameterized.parameters(WORDS + 1, 10_000, -1)
  def test_a_mask_outside_of_the_vocabulary(self, mask_id):
    lay = support.layout(ANSWER, 4, mask_id, prompt=PROMPT)
    with self.assertRaisesRegex(
      ValueError, rf'mask_id={mask_id} .* of 6.*--config\.sampling\.mask_id'
    ):
      run(rules.TopK(), prompts(1), support.keys(1), lay=lay)

  def test_a_shifted_denoiser_needs_a_prompt(self):
    model = MODEL.denoiser()._replace(shifted=True)
    lay = support.layout(PROMPT + ANSWER, 4, MASK)
    with self.assertRaisesRegex(ValueError, 'needs a prompt'):
      sample(model, rules.TopK(), lay, jnp.zeros((1, 0), int))

  @parameterized.parameters(3, 11)
  def test_a_rule_that_never_writes_ends(self, block):
    out = play(support.Nothing(), block)
    self.assertEqual(out.nfe.tolist(), [ANSWER] * 6)
    self.assertTrue((out.answer == MASK).all())


if __name__ == '__main__':
  absltest.main()
