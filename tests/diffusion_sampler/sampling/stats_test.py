"""Five numbers a position, in blocks of words, against whole softmaxes."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

from diffusion_sampler.sampling import stats
from tests import files
from tests.diffusion_sampler import support

# Section 12.1; the last word is the mask.
SIX = [
  [0.97, 0.02, 0.01],
  [0.50, 0.49, 0.01],
  [0.90, 0.05, 0.05],
  [0.60, 0.20, 0.20],
  [0.80, 0.19, 0.01],
  [0.34, 0.33, 0.33],
]


def softmax(logits, mask_id):
  """Whole, in float64, without the mask's column."""
  z = np.asarray(logits, np.float64)
  z[..., mask_id] = -np.inf
  e = np.exp(z - z.max(-1, keepdims=True))
  return e / e.sum(-1, keepdims=True)


compiled = functools.partial(
  jax.jit, static_argnames=('mask_id', 'temperature', 'tops', 'block')
)(stats.stats)


def of_logits(logits, mask_id, before=None, **kwargs):
  """The logits themselves for hidden states, with an identity."""
  logits = np.asarray(logits, np.float32)
  if before is not None:
    kwargs['before'] = np.asarray(before, np.float32)
  eye = np.eye(logits.shape[-1], dtype=np.float32)
  out = compiled(logits, eye, mask_id, **kwargs)
  return jax.tree.map(np.asarray, out)


def of_probabilities(rows, before=None, **kwargs):
  """One row of distributions, with a column for the mask behind them."""

  def logits(rows):
    z = np.log(np.asarray(rows, np.float64))[None]
    return np.concatenate([z, np.full((*z.shape[:2], 1), 3.0)], -1)

  if before is not None:
    before = logits(before)
  return of_logits(logits(rows), len(rows[0]), before, **kwargs)


class SoftmaxTest(support.SamplerTestCase):
  @parameterized.parameters(3, 1024)
  def test_equals_a_whole_softmax(self, block):
    rng = np.random.default_rng(0)
    hidden, old = rng.standard_normal((2, 2, 5, 7)).astype(np.float32)
    hidden[1] *= 15  # one row is flat, one is sharp
    table = rng.standard_normal((23, 7)).astype(np.float32)
    mask_id = 4
    out = compiled(
      hidden,
      table,
      mask_id,
      before=old,
      tops=5,
      block=block,
    )
    wide = table.astype(np.float64).T
    p = softmax(hidden.astype(np.float64) @ wide, mask_id)
    q = softmax(old.astype(np.float64) @ wide, mask_id)
    ordered = -np.sort(-p, -1)
    log = np.log(np.maximum(p, 1e-300))
    kl = (p * (log - np.log(np.maximum(q, 1e-300)))).sum(-1)
    np.testing.assert_array_equal(out.token, p.argmax(-1))
    close = dict(rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(out.confidence, ordered[..., 0], **close)
    np.testing.assert_array_equal(out.chosen, out.confidence)
    np.testing.assert_allclose(
      out.margin, ordered[..., 0] - ordered[..., 1], **close
    )
    np.testing.assert_allclose(out.entropy, -(p * log).sum(-1), **close)
    self.assertEqual(out.divergence.shape, (1, 2, 5))
    np.testing.assert_allclose(out.divergence[0], kl, **close)
    np.testing.assert_allclose(out.top, ordered[..., :5], **close)

  @parameterized.parameters((1, 1), (2, 5), (1024, 5))
  def test_numbers_of_the_spec(self, block, tops):
    moved = [[0.905, 0.05, 0.045], [0.7, 0.2, 0.1], [0.9, 0.05, 0.05]]
    before = [*SIX, *[[0.9, 0.05, 0.05]] * 3]
    now = [*SIX, *moved]
    out = of_probabilities(now, before=before, tops=tops, block=block)
    close = dict(atol=2e-6)
    np.testing.assert_allclose(
      out.confidence[0, :6], [0.97, 0.50, 0.90, 0.60, 0.80, 0.34], **close
    )
    np.testing.assert_allclose(
      out.margin[0, :6], [0.95, 0.01, 0.85, 0.40, 0.61, 0.01], **close
    )
    np.testing.assert_allclose(
      out.entropy[0, :6],
      [0.153838, 0.742167, 0.394398, 0.950271, 0.540105, 1.098513],
      **close,
    )
    np.testing.assert_allclose(
      out.divergence[0, 0], [0] * 6 + [0.000273, 0.170653, 0], **close
    )
    # More are asked for than there are words: there are no others.
    words = np.pad(now, ((0, 0), (0, 2)))
    np.testing.assert_allclose(out.top[0], words[:, :tops], **close)

  def test_without_an_earlier_pass_there_is_no_divergence(self):
    self.assertEqual(of_probabilities(SIX).divergence.shape, (0, 1, 6))

  def test_narrow_hidden_states_give_wide_statistics(self):
    rng = np.random.default_rng(1)
    hidden = jnp.asarray(rng.standard_normal((2, 3, 16)), jnp.bfloat16)
    table = jnp.asarray(rng.standard_normal((31, 16)), jnp.float32)
    out = compiled(hidden, table, 30, before=hidden, block=7)
    narrow = np.asarray(table.astype(jnp.bfloat16), np.float64)
    p = softmax(np.asarray(hidden, np.float64) @ narrow.T, 30)
    self.assertEqual(out.confidence.dtype, jnp.float32)
    np.testing.assert_allclose(out.confidence, p.max(-1), rtol=1e-4)
    np.testing.assert_allclose(out.divergence, 0, atol=1e-5)


class ExtremesTest(support.SamplerTestCase):
  @parameterized.parameters(3, 1024)
  def test_equals_go_to_the_lowest_id(self, block):
    # The mask is among the equals where it comes first.
    logits = np.zeros((1, 4, 11))
    logits[0, 1, [3, 6, 7]] = 2.0
    logits[0, 2, [10, 9, 5]] = 1.0
    logits[0, 3, [0, 2]] = 1.0
    out = of_logits(logits, 0, block=block)
    self.assertEqual(out.token[0].tolist(), [1, 3, 5, 2])
    # Margins of equals are nothing, but for the mask.
    np.testing.assert_allclose(out.margin[0, :3], 0, atol=1e-7)
    self.assertGreater(out.margin[0, 3], 0.1)

  @parameterized.parameters((2, 0, 0.0), (2, 5, 1.0), (1024, 2, 1.0))
  def test_the_mask_is_never_chosen(self, block, mask_id, temperature):
    logits = np.random.default_rng(0).standard_normal((60, 5, 6))
    logits[..., mask_id] = 1e4
    out = of_logits(
      logits,
      mask_id,
      block=block,
      keys=support.keys(60),
      temperature=temperature,
    )
    self.assertFalse((np.asarray(out.token) == mask_id).any())
    self.assertLen(set(np.asarray(out.token).ravel().tolist()), 5)
    p = softmax(logits, mask_id)
    np.testing.assert_allclose(out.confidence, p.max(-1), rtol=1e-5)

  def test_the_only_word_is_certain(self):
    for mask_id in (0, 1):
      out = of_logits([[[4.0, -2.0]]], mask_id, block=1)
      self.assertEqual(int(out.token[0, 0]), 1 - mask_id)
      for name, want in dict(confidence=1, margin=1, entropy=0).items():
        self.assertEqual(float(getattr(out, name)[0, 0]), want)

  def test_certainty_is_finite(self):
    logits = np.full((1, 2, 6), -3e4)
    logits[0, 0, 2], logits[0, 1, 4] = 3e4, 3e4
    out = of_logits(logits, 5, before=logits, block=2)
    self.assertEqual(out.token[0].tolist(), [2, 4])
    np.testing.assert_array_equal(out.margin, 1)
    np.testing.assert_array_equal(out.entropy, 0)
    np.testing.assert_array_equal(out.divergence, 0)

  def test_nan_stays_in_its_row(self):
    logits = np.random.default_rng(0).standard_normal((3, 2, 5))
    want = of_logits(logits, 4, block=2)
    logits[1, 0, 3] = np.nan
    out = of_logits(logits, 4, block=2)
    self.assertTrue(np.isnan(out.confidence[1, 0]))
    for name in ('token', 'confidence', 'margin', 'entropy'):
      got, expected = getattr(out, name), getattr(want, name)
      np.testing.assert_array_equal(got[0], expected[0])
      np.testing.assert_array_equal(got[2], expected[2])


class DrawTest(support.SamplerTestCase):
  @parameterized.parameters((2, 0.6), (1024, 2.0))
  def test_frequencies_follow_the_softmax(self, block, temperature):
    count, mask_id = 20_000, 3
    logits = np.random.default_rng(2).standard_normal((2, 6))
    logits[:, mask_id] = 2.5
    out = of_logits(
      np.broadcast_to(logits, (count, 2, 6)),
      mask_id,
      keys=support.keys(count, seed=5),
      temperature=temperature,
      block=block,
    )
    token = np.asarray(out.token)
    sharp = softmax(logits / temperature, mask_id)
    # Both positions at once: they are drawn independently.
    pairs = np.bincount(token[:, 0] * 6 + token[:, 1], minlength=36)
    self.assert_frequencies(pairs, np.multiply.outer(*sharp))
    # What is reported is of the distribution without temperature.
    p = softmax(logits, mask_id)
    np.testing.assert_allclose(
      out.confidence, np.broadcast_to(p.max(-1), (count, 2)), rtol=1e-5
    )
    np.testing.assert_allclose(
      out.chosen,
      np.take_along_axis(p[None], token[..., None], -1)[..., 0],
      rtol=1e-5,
    )

  def test_rare_words_are_drawn_as_often_as_they_should(self):
    # 50,000 words share .01. Noise from one float32 uniform ends at 15.9, draws
    # them .0056 of the time, and .0026 with these keys.
    rare, share = 50_000, 0.01
    p = np.full(rare + 2, share / rare)
    p[0] = 1 - share
    out = compiled(
      np.ones((6, 64, 1), np.float32),
      np.log(p)[:, None].astype(np.float32),
      rare + 1,
      keys=support.keys(6, seed=4),
      temperature=1.0,
    )
    self.assertAlmostEqual(
      np.mean(np.asarray(out.token) > 0), share, delta=0.003
    )

  def test_no_draw_cuts_the_tail(self):
    for path in sorted((files.ROOT / 'diffusion_sampler').rglob('*.py')):
      lines = [
        line
        for line in path.read_text().splitlines()
        if re.search(r'random\.(gumbel|categorical)', line)
        and "mode='high'" not in line
      ]
      self.assertEmpty(lines, path)

  def test_a_row_draws_by_its_own_key(self):
    logits = np.random.default_rng(0).standard_normal((9, 3, 9))
    logits[4:] = logits[4]
    options = dict(temperature=1.0, block=4)
    both = of_logits(logits, 8, keys=support.keys(9), **options)
    back = of_logits(logits[::-1], 8, keys=support.keys(9)[::-1], **options)
    np.testing.assert_array_equal(both.token, back.token[::-1])
    self.assertGreater(len(np.unique(both.token[4:], axis=0)), 2)


class MemoryTest(support.SamplerTestCase):
  def test_the_logits_are_never_whole(self):
    words, length, width = 126_464, 256, 4

    def run(hidden, table, keys, before):
      return stats.stats(
        hidden,
        table,
        126_336,
        keys=keys,
        temperature=1.0,
        before=before,
      )

    hidden = jnp.zeros((1, length, width))
    arguments = hidden, jnp.zeros((words, width)), support.keys(1), hidden
    compiled = jax.jit(run).lower(*arguments).compile()
    temporaries = compiled.memory_analysis().temp_size_in_bytes
    self.assertGreater(temporaries, 0)
    self.assertLess(temporaries, 4 * length * words / 5)


if __name__ == '__main__':
  absltest.main()
