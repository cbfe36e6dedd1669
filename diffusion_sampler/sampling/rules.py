"""Unmasking rules: which masked positions to write at a pass.

Every rule is `rule(stats, masked, block, key) -> action` and decides each row
independently. It chooses among the eligible positions, which are masked and in
the row's current block. It takes at least one position if any is eligible
(except that a pass of Dream's schedules may write nothing), and breaks ties by
the lowest index. Section 3 of docs/papers/diffusion_sampler.md gives the source
of each rule.

A row leaves a block after as many passes as the block has positions, so a
schedule has at most that many steps, even if its `steps` is larger.

Shapes: B sequences, L answer positions, h earlier passes.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key

from diffusion_sampler.sampling import stats as stats_lib
from lm import inference

SCORES = ('confidence', 'margin', 'entropy')
# The token whose probability a bound reads, see `confidence`.
OF = ('best', 'drawn')
# The rank of a position that is not eligible, larger than any count.
LAST = 2**30
# The least value of a rule's field, and the known values of a rule's field.
_LEAST = {'count': 1, 'steps': 1, 'passes': 1, 'noise': 0}
_KNOWN = {'by': SCORES, 'of': OF}


class Block(struct.PyTreeNode):
  """The current block of each row.

  Attributes:
    inside: whether a position is in the row's current block.
    passes: number of passes that the row has spent on this block.
    begun: number of masks in the block when the row entered it.
    nfe: number of passes that the row has spent in total.
  """

  inside: Bool[Array, 'B L']
  passes: Int[Array, ' B']
  begun: Int[Array, ' B']
  nfe: Int[Array, ' B']


class Reach:
  """The optional statistics that a rule needs; none by default.

  Attributes:
    passes: number of earlier passes in `stats.divergence`.
    tops: number of probabilities in `stats.top`.
  """

  passes = 0
  tops = 1


Rule = Callable[
  [stats_lib.Stats, Bool[Array, 'B L'], Block, Key[Array, ' B']],
  Bool[Array, 'B L'],
]


def score(stats: stats_lib.Stats, by: str) -> Float[Array, 'B L']:
  """The denoiser's certainty by the score named `by`; larger is more certain.

  'confidence' is the probability of the token that would be written.
  """
  if by == 'entropy':
    return -stats.entropy
  return stats.chosen if by == 'confidence' else stats.margin


def confidence(stats: stats_lib.Stats, of: str) -> Float[Array, 'B L']:
  """The probability that a bound on confidence reads.

  'best' is the largest probability. 'drawn' is the probability of the token
  that would be written (Fast-dLLM). They differ only with a temperature above
  0: then a bound on 'best' accepts an unlikely draw at a position where the
  model is certain.
  """
  return stats.confidence if of == 'best' else stats.chosen


def better(
  score_BL: Float[Array, 'B L'], eligible_BL: Bool[Array, 'B L']
) -> Bool[Array, 'B L L']:
  """[b, k, j]: whether j is eligible and ranks before k.

  Ties go to the lowest index. Comparing all pairs is faster than sorting on
  every device, for the few hundred positions of an answer.
  """
  index_L = jnp.arange(score_BL.shape[-1])
  mine, theirs = score_BL[:, :, None], score_BL[:, None, :]
  earlier_LL = index_L[None, :] < index_L[:, None]
  first = (theirs > mine) | ((theirs == mine) & earlier_LL)
  return first & eligible_BL[:, None, :]


def rank(score_BL, eligible_BL) -> Int[Array, 'B L']:
  """The rank among eligible positions; the best is 0, ineligible ones LAST."""
  place_BL = better(score_BL, eligible_BL).sum(-1)
  return jnp.where(eligible_BL, place_BL, LAST)


def first(
  score_BL, eligible_BL, count: int | Int[Array, ' B']
) -> Bool[Array, 'B L']:
  """The `count` best eligible positions; `count` may differ by row."""
  if isinstance(count, int) and count == 1:
    return best(score_BL, eligible_BL)
  count_B1 = jnp.asarray(count).reshape(-1, 1)
  return rank(score_BL, eligible_BL) < count_B1


def best(score_BL, eligible_BL) -> Bool[Array, 'B L']:
  """The best eligible position, without comparing all pairs."""
  score_BL = jnp.maximum(score_BL, jnp.finfo(score_BL.dtype).min)
  at_B = inference.argmax(jnp.where(eligible_BL, score_BL, -jnp.inf))
  return eligible_BL & (jnp.arange(score_BL.shape[-1]) == at_B[:, None])


def at_least_one(action_BL, score_BL, eligible_BL) -> Bool[Array, 'B L']:
  """`action_BL`, or the best eligible position in a row without an action."""
  best_BL = best(score_BL, eligible_BL)
  return jnp.where(action_BL.any(-1, keepdims=True), action_BL, best_BL)


def draws(keys: Key[Array, ' B'], length: int, draw=jax.random.uniform):
  """Random numbers [B, L]; each row depends on its own key alone."""
  return jax.vmap(lambda key: draw(key, (length,)))(keys)


class Checked(Reach):
  """A rule that checks its fields; a name means the same in every rule."""

  def __post_init__(self):
    for field in dataclasses.fields(self):
      name, value = field.name, getattr(self, field.name)
      if name in _LEAST and not value >= _LEAST[name]:
        raise ValueError(
          f'rule.{name} must be at least {_LEAST[name]}, got {value!r}'
        )
      if name in _KNOWN and value not in _KNOWN[name]:
        raise ValueError(
          f'rule.{name} must be one of {", ".join(_KNOWN[name])}, got {value!r}'
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Random(Checked):
  """`count` eligible positions, drawn uniformly."""

  count: int = 1

  def __call__(self, stats, masked, block, key):
    del stats
    noise_BL = draws(key, masked.shape[-1])
    return first(noise_BL, masked & block.inside, self.count)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TopK(Checked):
  """The `count` positions where the denoiser is most certain.

  By confidence: LLaDA's low-confidence remasking with a constant count. By
  margin: Kim et al. 2025. By entropy: Dream's option of that name.
  """

  count: int = 1
  by: str = 'confidence'

  def __call__(self, stats, masked, block, key):
    del key
    return first(score(stats, self.by), masked & block.inside, self.count)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeftToRight(Checked):
  """The first `count` eligible positions; ours, for diagnosis."""

  count: int = 1

  def __call__(self, stats, masked, block, key):
    del stats, key
    order_L = -jnp.arange(masked.shape[-1], dtype=jnp.float32)
    order_BL = jnp.broadcast_to(order_L, masked.shape)
    return first(order_BL, masked & block.inside, self.count)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Threshold(Checked):
  """Every position with confidence of at least `threshold` (Fast-dLLM).

  If there is none, the most confident position; so a threshold above 1 takes
  one position at every pass. `of`: see `confidence`.
  """

  threshold: float = 0.9
  of: str = 'best'

  def __call__(self, stats, masked, block, key):
    del key
    eligible = masked & block.inside
    sure_BL = confidence(stats, self.of)
    return at_least_one(
      eligible & (sure_BL >= self.threshold), sure_BL, eligible
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Factor(Checked):
  """The largest prefix by confidence with (j + 1)(1 - c_(j)) < `factor`.

  Fast-dLLM's other rule. Every j of the prefix must satisfy the inequality, the
  last one included (one public copy takes the whole prefix if only its last
  position fails). `of`: which probability c is, see `confidence`.
  """

  factor: float = 1.0
  of: str = 'best'

  def __call__(self, stats, masked, block, key):
    del key
    eligible = masked & block.inside
    sure_BL = confidence(stats, self.of)
    rank_BL = rank(sure_BL, eligible)
    fits = (rank_BL + 2) * (1.0 - sure_BL) < self.factor
    failed_BL = jnp.where(eligible & ~fits, rank_BL, LAST)
    count_B = jnp.maximum(failed_BL.min(-1), 1)
    return eligible & (rank_BL < count_B[:, None])


@dataclasses.dataclass(frozen=True, kw_only=True)
class EntropyBounded(Checked):
  """The largest prefix whose entropies exceed their maximum by `bound` at most.

  EB-Sampler (Ben-Hamu et al. 2025): the sum of entropies minus the largest one
  bounds the mutual information within the set. The first position always
  qualifies.
  """

  bound: float = 0.1
  by: str = 'entropy'

  def __call__(self, stats, masked, block, key):
    del key
    eligible = masked & block.inside
    own_LL = jnp.eye(masked.shape[-1], dtype=bool)
    prefix_BLL = better(score(stats, self.by), eligible) | own_LL
    entropy_BLL = jnp.where(prefix_BLL, stats.entropy[:, None, :], 0.0)
    excess_BL = entropy_BLL.sum(-1) - entropy_BLL.max(-1)
    alone_BL = prefix_BLL.sum(-1) == 1
    # The excess never decreases along the order, so this set is a prefix.
    return eligible & (alone_BL | (excess_BL <= self.bound))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Klass(Checked):
  """Positions that are confident and stable (KLASS, NeurIPS 2025).

  A position qualifies if its best token has a probability above `confidence`
  and its distribution changed by less than `divergence` nats in each of the
  last `passes` passes. If none qualifies, the rule is `LladaSchedule`.
  """

  confidence: float = 0.6
  divergence: float = 0.015
  passes: int = 2
  steps: int = 32

  def __call__(self, stats, masked, block, key):
    if stats.divergence.shape[0] < self.passes:
      raise ValueError(
        f'Klass(passes={self.passes}) needs as many divergences, came '
        f'{stats.divergence.shape[0]}'
      )
    eligible = masked & block.inside
    settled = (stats.divergence[: self.passes] < self.divergence).all(0)
    # Divergences from before the row entered this block do not count.
    settled &= (block.passes >= self.passes)[:, None]
    ready = eligible & settled & (stats.confidence > self.confidence)
    others = LladaSchedule(steps=self.steps)(stats, masked, block, key)
    return jnp.where(ready.any(-1, keepdims=True), ready, others)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LladaSchedule(Checked):
  """LLaDA's fixed schedule: a block in `steps` passes, most certain first.

  Of m masks, pass i writes floor(m / steps), plus one if i < m mod steps, but
  at least one.
  """

  steps: int
  by: str = 'confidence'

  def __call__(self, stats, masked, block, key):
    del key
    more_B = block.passes < block.begun % self.steps
    count_B = jnp.maximum(block.begun // self.steps + more_B, 1)
    return first(score(stats, self.by), masked & block.inside, count_B)


def _kept_share(block: Block, steps: int) -> Float[Array, ' B']:
  """s / t on Dream's grid linspace(1, 1e-3, steps + 1); 0 at the last pass.

  The grid has at most as many steps as the row's block has positions.
  """
  steps_B = jnp.clip(block.inside.sum(-1), 1, steps)
  at_B = jnp.minimum(block.passes, steps_B - 1)
  t_B, s_B = (1.0 - (1.0 - 1e-3) * (at_B + i) / steps_B for i in (0, 1))
  return jnp.where(at_B == steps_B - 1, 0.0, s_B / t_B)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DreamSchedule(Checked):
  """Dream's timesteps: floor(m (1 - s / t)) of m masks, all at the last pass.

  A pass may write nothing. A block with fewer than `steps` positions takes as
  many steps as it has positions. With `noise` above 0, the set is drawn without
  replacement from softmax(score / noise) (Dream's alg_temp).
  """

  steps: int
  by: str = 'confidence'
  noise: float = 0.0

  def __call__(self, stats, masked, block, key):
    eligible = masked & block.inside
    left_B = eligible.sum(-1)
    share_B = 1.0 - _kept_share(block, self.steps)
    # The margin corrects rounding: 10 * (1 - 0.9) is 0.99999 in float32.
    count_B = jnp.floor(left_B * share_B + 1e-4).astype(jnp.int32)
    score_BL = score(stats, self.by)
    if self.noise > 0:
      gumbel_BL = draws(key, masked.shape[-1], stats_lib.gumbel)
      score_BL = score_BL / self.noise + gumbel_BL
    return first(score_BL, eligible, count_B)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ancestral(Checked):
  """Dream's 'origin', the reverse process itself, on Dream's grid.

  Each masked position is written with probability 1 - s / t, whatever the
  denoiser's confidence. All are written at the last pass: `steps`, or the
  number of positions of the block if that is smaller.
  """

  steps: int

  def __call__(self, stats, masked, block, key):
    del stats
    noise_BL = draws(key, masked.shape[-1])
    kept_B1 = _kept_share(block, self.steps)[:, None]
    return masked & block.inside & (noise_BL >= kept_B1)


KINDS = {
  'random': Random,
  'top_k': TopK,
  'left_to_right': LeftToRight,
  'threshold': Threshold,
  'factor': Factor,
  'entropy_bounded': EntropyBounded,
  'klass': Klass,
  'llada': LladaSchedule,
  'dream': DreamSchedule,
  'ancestral': Ancestral,
}


# Fields that JAX traces, so that a sweep over them compiles once.
_TRACED = {
  Threshold: ('threshold',),
  Factor: ('factor',),
  EntropyBounded: ('bound',),
}
for _kind in KINDS.values():
  _data = _TRACED.get(_kind, ())
  jax.tree_util.register_dataclass(
    _kind,
    data_fields=list(_data),
    meta_fields=[
      f.name for f in dataclasses.fields(_kind) if f.name not in _data
    ],
  )
