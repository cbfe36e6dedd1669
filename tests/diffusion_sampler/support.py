"""Denoisers in closed form, exact joints, and statistics of a few numbers.

Nothing here uses the modules it helps to test, but for the types they take.

Shapes: B sequences, L answer positions, V words, and the mask is word V.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from flax import struct
from jaxtyping import Array, Int

from diffusion_sampler.sampling import canvas as canvas_lib
from diffusion_sampler.sampling import denoiser as denoiser_lib
from diffusion_sampler.sampling import rules
from diffusion_sampler.sampling import stats as stats_lib

# Instead of a logarithm of zero: a matmul with an identity makes nan of -inf.
NEVER = -100.0
# The logit of the mask's own column: larger than any other, to be left out.
MASK_LOGIT = 9.0


def put(array, dtype=None):
  """On the device, without the program that jnp.asarray compiles a shape."""
  return jax.device_put(np.asarray(array, dtype))


class SamplerTestCase(parameterized.TestCase):
  """Raises where a random key is consumed twice."""

  def setUp(self):
    super().setUp()
    self.enter_context(jax.debug_key_reuse(True))

  def assert_frequencies(self, counts, probabilities):
    """Chi-square at about 3e-5, by Wilson and Hilferty's approximation."""
    counts = np.asarray(counts, float).ravel()
    p = np.asarray(probabilities, float).ravel()
    self.assertAlmostEqual(p.sum(), 1.0, places=5)
    self.assertFalse(counts[p == 0].any())
    counts, expected = counts[p > 0], counts.sum() * p[p > 0]
    if len(expected) == 1:
      return
    self.assertGreater(expected.min(), 5)
    chi2 = ((counts - expected) ** 2 / expected).sum()
    free = len(expected) - 1
    limit = free * (1 - 2 / (9 * free) + 4 * np.sqrt(2 / (9 * free))) ** 3
    self.assertLess(chi2, limit)


def stats_of(probabilities, *, token=None, divergence=None) -> stats_lib.Stats:
  """Of distributions [L, V] or [B, L, V] written down by hand."""
  p = np.asarray(probabilities, np.float64)
  p = p if p.ndim == 3 else p[None]
  ordered = -np.sort(-p, -1)
  token = p.argmax(-1) if token is None else np.asarray(token)
  chosen = np.take_along_axis(p, token[..., None], -1)[..., 0]
  if divergence is None:
    divergence = np.zeros((0, *p.shape[:2]))
  plogp = np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0)
  return stats_lib.Stats(
    token=put(token, np.int32),
    confidence=put(ordered[..., 0], np.float32),
    chosen=put(chosen, np.float32),
    margin=put(ordered[..., 0] - ordered[..., 1], np.float32),
    entropy=put(-plogp.sum(-1), np.float32),
    divergence=put(divergence, np.float32),
    top=put(ordered[..., :1], np.float32),
  )


def confident(confidence) -> stats_lib.Stats:
  """Whose order alone matters: surer by every score where this is larger."""
  sure = np.atleast_2d(np.asarray(confidence, np.float32))
  return stats_lib.Stats(
    token=put(np.zeros(sure.shape, np.int32)),
    confidence=put(sure),
    chosen=put(sure),
    margin=put(sure),
    entropy=put(1.0 - sure),
    divergence=put(np.zeros((0, *sure.shape), np.float32)),
    top=put(sure[..., None]),
  )


def block_of(inside, *, passes=0, begun=0, nfe=0) -> rules.Block:
  """Every row at the same pass of its block."""
  inside = np.atleast_2d(np.asarray(inside, bool))

  def row(value):
    return put(np.broadcast_to(value, inside.shape[:1]), np.int32)

  return rules.Block(
    inside=put(inside),
    passes=row(passes),
    begun=row(begun),
    nfe=row(nfe),
  )


def keys(count: int, seed: int = 0):
  return jax.random.split(jax.random.key(seed), count)


def act(rule, stats, masked, *, inside=None, seed=0, **where):
  """One call of a rule; the whole answer is the block unless said.

  Answers are made longer by what is not eligible, so that calls share shapes,
  and what is compiled for them.
  """
  masked = np.atleast_2d(np.asarray(masked, bool))
  inside = np.ones_like(masked) if inside is None else np.asarray(inside)
  length = masked.shape[1]
  extra = next(w for w in (10, 32, length) if w >= length) - length

  def wide(array, axis=-1):
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, extra)
    return put(np.pad(np.asarray(array), widths))

  top = wide(stats.top, -2)
  stats = jax.tree.map(wide, stats).replace(top=top)
  block = block_of(wide(inside), **where)
  action = _call(rule, stats, wide(masked), block, keys(len(masked), seed))
  return np.asarray(action)[:, :length]


@jax.jit
def _call(rule, stats, masked, block, keys):
  return rule(stats, masked, block, keys)


def chosen_set(action) -> list[int]:
  """Positions that a single row takes."""
  (row,) = np.asarray(action)
  return np.flatnonzero(row).tolist()


class Joint:
  """A joint distribution of `length` words, and all that follows from it.

  Attributes:
    p: [V] * length.
    logits: [(V + 1) ** length, length, V + 1], of the best denoiser for every
      answer, hidden words being word V; a word that is not hidden gets itself.
  """

  def __init__(self, p):
    self.p = np.asarray(p, np.float64)
    self.length, self.words = self.p.ndim, self.p.shape[0]
    shape = (self.words + 1,) * self.length
    table = np.full((*shape, self.length, self.words + 1), NEVER)
    for seen in itertools.product(range(self.words + 1), repeat=self.length):
      for k in range(self.length):
        q = self.conditional(seen, k)
        table[seen][k, : self.words] = np.log(np.maximum(q, np.exp(NEVER)))
    table[..., self.words] = MASK_LOGIT
    self.logits = table.reshape(-1, *table.shape[-2:])

  def conditional(self, seen, k) -> np.ndarray:
    """Of word k, given every word of `seen` but those equal to V."""
    if seen[k] < self.words:
      return np.eye(self.words)[seen[k]]
    index = tuple(slice(None) if s == self.words else s for s in seen)
    axis = sum(s == self.words for s in seen[:k])
    rest = self.p[index]
    other = tuple(i for i in range(rest.ndim) if i != axis)
    marginal = rest.sum(other)
    return marginal / marginal.sum()

  def product(self) -> np.ndarray:
    """What writing all words in one pass gives: the marginals' product."""
    out = np.ones(())
    for k in range(self.length):
      marginal = self.p.sum(tuple(i for i in range(self.length) if i != k))
      out = np.multiply.outer(out, marginal)
    return out

  def hidden_loss(self, answer, hidden) -> float:
    """Summed cross-entropy of the hidden words under the best denoiser."""
    seen = [self.words if h else a for a, h in zip(answer, hidden, strict=True)]
    places = [k for k in range(self.length) if hidden[k]]
    return -sum(np.log(self.conditional(seen, k)[answer[k]]) for k in places)

  def denoiser(self, filler: int = 0) -> denoiser_lib.Denoiser:
    """For answers of `length` words and then `filler` that mean nothing."""
    table = jnp.asarray(self.logits, jnp.float32)
    base = (self.words + 1) ** np.arange(self.length)[::-1]

    def logits(tokens):
      answer = tokens[:, tokens.shape[1] - self.length - filler :]
      out = table[(answer[:, : self.length] * base).sum(-1)]
      return jnp.pad(out, ((0, 0), (0, filler), (0, 0)))

    return denoiser_lib.of_logits(logits, self.words + 1)

  def count(self, answers) -> np.ndarray:
    """How often each answer came."""
    answers = np.asarray(answers)[:, : self.length]
    index = np.ravel_multi_index(answers.T, self.p.shape)
    return np.bincount(index, minlength=self.p.size).reshape(self.p.shape)


def agreeing_pair() -> Joint:
  """Section 12.6: two bits that agree with probability .8."""
  return Joint([[0.4, 0.1], [0.1, 0.4]])


def total_variation(p, q) -> float:
  return 0.5 * float(np.abs(np.asarray(p) - np.asarray(q)).sum())


@dataclasses.dataclass(frozen=True)
class Scrambled:
  """A denoiser whose logits look random and depend on every token of a row.

  They are read from a table, so that numpy and JAX agree bit for bit. The mask
  is the last word, and the model would love to write it.
  """

  words: int
  length: int  # of prompt and answer
  scale: float = 2.0
  seed: int = 0
  states: int = 211

  def table(self) -> np.ndarray:
    rng = np.random.default_rng(self.seed)
    shape = (self.states, self.length, self.words + 1)
    out = self.scale * rng.standard_normal(shape)
    out[..., self.words] = MASK_LOGIT
    return out.astype(np.float32)

  def weights(self) -> np.ndarray:
    rng = np.random.default_rng(self.seed + 1)
    return rng.integers(1, self.states, self.length)

  def logits(self, tokens) -> np.ndarray:
    """[T] -> [T, V + 1]."""
    state = int(np.dot(np.asarray(tokens), self.weights())) % self.states
    return self.table()[state]

  def denoiser(self) -> denoiser_lib.Denoiser:
    table, weights = jnp.asarray(self.table()), jnp.asarray(self.weights())

    def logits(tokens):
      return table[(tokens * weights).sum(-1) % self.states]

    return denoiser_lib.of_logits(logits, self.words + 1)


def layout(answer: int, block: int, mask_id: int, **kwargs):
  kwargs = dict(prompt=0) | kwargs
  return canvas_lib.Layout(
    answer=answer, block=block, mask_id=mask_id, **kwargs
  )


class Bernoulli(rules.Reach, struct.PyTreeNode):
  """Writes each position with one probability; the lowest if none was drawn.

  The policy of section 12.6. All its logits are equal.
  """

  probability: float

  def __call__(self, stats, masked, block, key):
    del stats
    eligible = masked & block.inside
    length = masked.shape[-1]
    draws = jax.vmap(lambda k: jax.random.uniform(k, (length,)))(key)
    action = eligible & (draws < self.probability)
    lowest = eligible & (jnp.cumsum(eligible, -1) == 1)
    return jnp.where(action.any(-1, keepdims=True), action, lowest)


class EqualSteps(rules.Reach, struct.PyTreeNode):
  """The reverse process in `steps` equal steps: 1 / (steps - i) each."""

  steps: float

  def __call__(self, stats, masked, block, key):
    del stats
    length = masked.shape[-1]
    draws = jax.vmap(lambda k: jax.random.uniform(k, (length,)))(key)
    chance = 1.0 / (self.steps - block.passes)[:, None]
    return masked & block.inside & (draws < chance)


class Order(rules.Reach, struct.PyTreeNode):
  """Position places[i] at pass i."""

  places: Int[Array, ' L']

  def __call__(self, stats, masked, block, key):
    del stats, key
    place = self.places[block.passes]
    here = jnp.arange(masked.shape[-1]) == place[:, None]
    return masked & block.inside & here


class Nothing(rules.Reach, struct.PyTreeNode):
  """Never writes."""

  def __call__(self, stats, masked, block, key):
    del stats, block, key
    return jnp.zeros_like(masked)
