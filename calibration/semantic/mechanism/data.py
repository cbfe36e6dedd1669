"""A world of facts whose answers have probabilities that are known exactly.

An entity is a name of m syllables, its attribute one of K values. Which value a
text gives is a matter of chance,

  P(. | entity) = row s_0 = 0 of M[1, f_1] M[2, f_2] ... M[m, f_m],

M[j, f] a permutation with probability 1 - noise[j, f] and a skewed draw with
the rest. So the frequencies of values are skewed, differ by entity, and have a
most frequent one that no model can beat: noise of labels is all that is left.

Questions and answers are put in several ways (prompts, openings, two words a
value); B reads the value alone. In the style `chain` an answer spells the
states s_1 .. s_{m-1} of the product before its value: each is drawn, and
together they decide the value. Distributions of values are those of `direct`.
Texts are token ids, padded with 0. The world is ours, after section 7.1 of
docs/papers/semantic_calibration.md.

Shapes: E entities, Q ways to ask, P tokens of a prompt, R openings (or chains)
of at most T - 1 tokens before the value, K values of S words each, B questions.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int

STYLES = ('direct', 'chain')
# Ways of a direct answer: '', 'is', 'it is', 'I think', and how frequent.
_OPENINGS = ((), (1,), (0, 1), (2, 3))
_OPENING_SHARES = (0.4, 0.3, 0.2, 0.1)
_FILLERS = 4
WORD_SHARES = (0.7, 0.3)
WAYS = 4
# Of the Dirichlet draws in M: most of their mass lies on one or two values.
_SKEW = 0.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
  """Sizes of a world.

  `syllables` to choose from at each of `length` places of a name, `values` of
  the attribute, `noise` the most that a step strays with (each draws its own
  from 0 to that), `style` of answers.
  """

  syllables: int = 8
  length: int = 3
  values: int = 6
  noise: float = 0.4
  style: str = 'direct'

  def __post_init__(self):
    if self.style not in STYLES:
      raise ValueError(
        f'world.style must be one of {", ".join(STYLES)}, got {self.style!r}'
      )
    if self.syllables < 1 or self.length < 1 or self.values < 2:
      raise ValueError(
        'world.syllables and world.length must be positive and world.values '
        f'at least 2, got {self.syllables}, {self.length}, {self.values}'
      )
    if not 0.0 <= self.noise <= 1.0:
      raise ValueError(f'world.noise must lie in [0, 1], got {self.noise}')

  @property
  def entities(self) -> int:
    return self.syllables**self.length

  @property
  def prompt(self) -> int:
    """Tokens of a question: a word, the name, a word."""
    return self.length + 2

  @property
  def answer(self) -> int:
    """Tokens of the longest answer."""
    longest = max(map(len, _OPENINGS))
    return 1 + (longest if self.style == 'direct' else self.length - 1)


class Tokens(NamedTuple):
  """Where the ids of each kind begin; 0 is padding."""

  syllable: int
  before: int
  after: int
  filler: int
  state: int
  word: int
  size: int


def tokens(world: World) -> Tokens:
  """Ids are the same for both styles."""
  counts = (
    1,
    world.syllables,
    WAYS,
    WAYS,
    _FILLERS,
    world.values,
    world.values * len(WORD_SHARES),
  )
  return Tokens(*(int(n) for n in np.cumsum(counts)))


class Facts(struct.PyTreeNode):
  """All of a world.

  Attributes:
    names: syllables of every entity.
    steps: M, the transition at each place by syllable.
    probs: P(value | entity).
  """

  names: Int[Array, 'E m']
  steps: Float[Array, 'm F K K']
  probs: Float[Array, 'E K']


def facts(world: World, seed: int) -> Facts:
  """The world of a seed."""
  rng = np.random.default_rng(seed)
  k, shape = world.values, (world.length, world.syllables)
  moves = np.stack([rng.permutation(k) for _ in range(np.prod(shape))])
  sure = np.eye(k)[moves].reshape(*shape, k, k)
  noise = rng.uniform(0.0, world.noise, (*shape, 1, 1))
  stray = rng.dirichlet(np.full(k, _SKEW), (*shape, k))
  steps = (1.0 - noise) * sure + noise * stray
  grid = np.meshgrid(
    *[np.arange(world.syllables)] * world.length, indexing='ij'
  )
  names = np.stack(grid, -1).reshape(-1, world.length)
  probs = np.broadcast_to(np.eye(k)[0], (len(names), k))
  for place in range(world.length):
    probs = np.einsum('es,est->et', probs, steps[place, names[:, place]])
  return Facts(
    names=jnp.asarray(names),
    steps=jnp.asarray(steps, jnp.float32),
    probs=jnp.asarray(probs, jnp.float32),
  )


def prompts(
  world: World, f: Facts, entity: Int[Array, ' B'], way: Int[Array, ' B']
) -> Int[Array, 'B P']:
  """Questions about entities, each put in one of `WAYS`."""
  at = tokens(world)
  name = at.syllable + f.names[entity]
  before, after = at.before + way[:, None], at.after + way[:, None]
  return jnp.concatenate([before, name, after], axis=1)


class Leads(NamedTuple):
  """Everything an answer may say before its value.

  Attributes:
    tokens: padded.
    length: tokens that are none of padding.
  """

  tokens: Int[Array, 'R T-1']
  length: Int[Array, ' R']


def leads(world: World) -> Leads:
  """Openings of the direct style, all chains of the other."""
  at = tokens(world)
  if world.style == 'chain':
    grid = [np.arange(world.values)] * (world.length - 1)
    rows = np.stack(np.meshgrid(*grid, indexing='ij'), -1)
    rows = at.state + rows.reshape(-1, world.length - 1)
    return Leads(jnp.asarray(rows), jnp.full(len(rows), world.length - 1))
  rows = np.zeros((len(_OPENINGS), world.answer - 1), np.int64)
  for row, opening in zip(rows, _OPENINGS, strict=True):
    row[: len(opening)] = at.filler + np.array(opening, int)
  return Leads(jnp.asarray(rows), jnp.array([len(o) for o in _OPENINGS]))


def classes(world: World, answer: Int[Array, 'B T']) -> Int[Array, ' B']:
  """B: the value that an answer gives first, whatever words surround it.

  K, a class of its own, where it gives none.
  """
  at = tokens(world)
  value = (answer - at.word) // len(WORD_SHARES)
  gives = (answer >= at.word) & (answer < at.size)
  first = jnp.argmax(gives, axis=1)[:, None]
  found = jnp.take_along_axis(value, first, axis=1)[:, 0]
  return jnp.where(gives.any(axis=1), found, world.values)


def _say(world, before, value, key):
  """Answers [B, T]: what comes before, then a word for the value."""
  at = tokens(world)
  word = jax.random.categorical(
    key, jnp.log(jnp.array(WORD_SHARES)), shape=value.shape
  )
  said = at.word + value * len(WORD_SHARES) + word
  padded = jnp.pad(before.tokens, ((0, 0), (0, 1)))
  here = jnp.arange(world.answer) == before.length[:, None]
  return jnp.where(here, said[:, None], padded)


def draw(
  world: World, f: Facts, entity: Int[Array, ' B'], key: Array
) -> Int[Array, 'B T']:
  """An answer for each, as texts of this world give it.

  `key` is consumed here.
  """
  *step_keys, lead_key, word_key = jax.random.split(key, world.length + 2)
  if world.style == 'chain':
    state, states = jnp.zeros_like(entity), []
    for place, step_key in enumerate(step_keys):
      row = f.steps[place, f.names[entity, place], state]
      state = jax.random.categorical(step_key, jnp.log(row))
      states.append(state)
    spelt = tokens(world).state + jnp.stack(states, 1)[:, :-1]
    length = jnp.full(entity.shape, world.length - 1)
    return _say(world, Leads(spelt, length), state, word_key)
  value = jax.random.categorical(step_keys[0], jnp.log(f.probs[entity]))
  way = jax.random.categorical(
    lead_key, jnp.log(jnp.array(_OPENING_SHARES)), shape=entity.shape
  )
  every = leads(world)
  before = Leads(every.tokens[way], every.length[way])
  return _say(world, before, value, word_key)


def counted(world: World, answer: Int[Array, 'B T']) -> Float[Array, 'B T']:
  """1 up to the first value, 0 after it: an answer ends there."""
  at = tokens(world)
  values = jnp.cumsum((answer >= at.word) & (answer < at.size), axis=1)
  before = jnp.pad(values[:, :-1], ((0, 0), (1, 0)))
  return (before == 0).astype(jnp.float32)


def value_probs(
  score_fn, world: World, prompt: Int[Array, 'B P']
) -> Float[Array, 'B C']:
  """pi_x, exactly: the model's mass on each value, summed over all answers.

  All leads and all words are enumerated, a pass for each lead. The last of
  C = K + 1 columns has what is left, answers that this world does not know.

  Args:
    score_fn: tokens [B, T] to logits [B, T, V], causal.
    world: of the answers.
    prompt: questions.
  """
  at, width = tokens(world), prompt.shape[1]
  shape = (len(prompt), world.values, len(WORD_SHARES))

  def one(total, lead):
    row, length = lead
    ahead = jnp.broadcast_to(row, (len(prompt), row.size))
    scores = score_fn(jnp.concatenate([prompt, ahead], axis=1))
    logp = jax.nn.log_softmax(scores.astype(jnp.float32))[:, width - 1 :]
    said = logp[:, jnp.arange(row.size), row]
    said = jnp.where(jnp.arange(row.size) < length, said, 0.0).sum(1)
    words = logp[:, length, at.word : at.size].reshape(shape)
    return total + jnp.exp(said[:, None] + jax.nn.logsumexp(words, -1)), None

  none = jnp.zeros(shape[:2])
  total, _ = jax.lax.scan(one, none, leads(world))
  rest = jnp.maximum(1.0 - total.sum(1, keepdims=True), 0.0)
  return jnp.concatenate([total, rest], axis=1)
