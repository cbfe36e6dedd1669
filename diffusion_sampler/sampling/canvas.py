"""The answer being written: what is masked, where each row is, what is next.

One transition serves decoding and training rollouts alike (sections 2.4, 4):
rows go through their blocks from left to right, each at its own pace, and a
token once written never changes.

Shapes: B sequences, P prompt columns, L answer positions, T = P + L.
"""

import dataclasses

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Int

from diffusion_sampler.sampling import rules
from diffusion_sampler.sampling import stats as stats_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
  """What does not change while decoding.

  Attributes:
    prompt: P.
    answer: L.
    block: positions of a block; L or more is full diffusion. Where it does not
      divide L the last block is shorter.
    mask_id: a token of the vocabulary.
    eos_id: ends an answer: a row stops once it is written and nothing before
      it is masked; what is masked behind it becomes it. None: never.
  """

  prompt: int
  answer: int
  block: int
  mask_id: int
  eos_id: int | None = None

  def __post_init__(self):
    for name in ('answer', 'block'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'sampling.{name} must be at least 1, got {getattr(self, name)}'
        )
    if self.prompt < 0:
      raise ValueError(f'prompt must not be negative, got {self.prompt}')

  @property
  def blocks(self) -> int:
    """How many there are."""
    return -(-self.answer // self.block)

  @property
  def most_passes(self) -> int:
    """A row is never looked at more often."""
    return self.answer

  def check(self, vocab_size: int) -> None:
    """Raises ValueError where the vocabulary has no such mask."""
    if not 0 <= self.mask_id < vocab_size:
      raise ValueError(
        f'mask_id={self.mask_id} must lie in the vocabulary of {vocab_size}; '
        'a masked-diffusion model has a token for the mask: name it by '
        '--config.sampling.mask_id'
      )


class Canvas(struct.PyTreeNode):
  """Rows in the middle of decoding.

  Attributes:
    tokens: prompt and answer.
    block: number of the current block; `layout.blocks` where a row is done.
    passes: spent on it.
    begun: its masks when it was entered.
    nfe: passes spent altogether.
    order: the pass, from 0, in which each position was written; -1 where it
      was given, -2 where it is not written, -3 behind the end of the answer.
    failed: the denoiser gave nan; such a row stops where it is.
  """

  tokens: Int[Array, 'B T']
  block: Int[Array, ' B']
  passes: Int[Array, ' B']
  begun: Int[Array, ' B']
  nfe: Int[Array, ' B']
  order: Int[Array, 'B L']
  failed: Bool[Array, ' B']

  def answer(self, layout: Layout) -> Int[Array, 'B L']:
    return self.tokens[:, layout.prompt :]

  def masked(self, layout: Layout) -> Bool[Array, 'B L']:
    return self.answer(layout) == layout.mask_id

  def active(self, layout: Layout) -> Bool[Array, ' B']:
    """Rows that still have something to write."""
    return self.block < layout.blocks

  def where(self, layout: Layout) -> rules.Block:
    """What a rule is told of it; a row that is done is inside no block."""
    number_L = jnp.arange(layout.answer) // layout.block
    return rules.Block(
      inside=number_L == self.block[:, None],
      passes=self.passes,
      begun=self.begun,
      nfe=self.nfe,
    )


def _enter(canvas: Canvas, layout: Layout, block_B) -> Canvas:
  """At the first block from `block_B` on that has a mask."""
  masked = canvas.masked(layout)
  number_L = jnp.arange(layout.answer) // layout.block
  ahead_BL = masked & (number_L >= block_B[:, None])
  next_B = jnp.where(ahead_BL, number_L, layout.blocks).min(-1)
  fresh_B = next_B != canvas.block
  begun_B = (masked & (number_L == next_B[:, None])).sum(-1)
  return canvas.replace(
    block=next_B,
    passes=jnp.where(fresh_B, 0, canvas.passes),
    begun=jnp.where(fresh_B, begun_B, canvas.begun),
  )


def blank(
  prompts: Int[Array, 'B P'],
  layout: Layout,
  given: Int[Array, 'B L'] | None = None,
) -> Canvas:
  """Prompts with an answer of masks, or one that is partly `given`.

  A row without a mask is done before the first pass.
  """
  batch = prompts.shape[0]
  if given is None:
    given = jnp.full((batch, layout.answer), layout.mask_id, prompts.dtype)
  zero = jnp.zeros(batch, jnp.int32)
  canvas = Canvas(
    tokens=jnp.concatenate([prompts, given], axis=1),
    block=zero - 1,
    passes=zero,
    begun=zero,
    nfe=zero,
    order=jnp.where(given == layout.mask_id, -2, -1),
    failed=jnp.zeros(batch, bool),
  )
  return _enter(canvas, layout, zero)


def advance(
  canvas: Canvas,
  layout: Layout,
  stats: stats_lib.Stats,
  action: Bool[Array, 'B L'],
) -> Canvas:
  """After one pass: writes where `action`, and moves rows on.

  Only eligible positions are written, whatever `action` says. A block is left
  when it has no mask, or after as many passes as it has positions. Rows that
  are done stay as they are.
  """
  active_B = canvas.active(layout)
  eligible = canvas.masked(layout) & canvas.where(layout).inside
  nan_B = (jnp.isnan(stats.confidence) & eligible).any(-1)
  action = action & eligible & ~nan_B[:, None]
  answer = jnp.where(action, stats.token, canvas.answer(layout))
  order = jnp.where(action, canvas.nfe[:, None], canvas.order)
  if layout.eos_id is not None:
    # What lies behind an end that nothing masked precedes is decided.
    masked = answer == layout.mask_id
    seen_BL = jnp.cumsum(masked, -1) == 0
    ended_BL = jnp.cumsum(seen_BL & (answer == layout.eos_id), -1) > 0
    filled_BL = ended_BL & masked & active_B[:, None] & ~nan_B[:, None]
    answer = jnp.where(filled_BL, layout.eos_id, answer)
    order = jnp.where(filled_BL, -3, order)
  passes = canvas.passes + active_B
  moved = canvas.replace(
    tokens=jnp.concatenate([canvas.tokens[:, : layout.prompt], answer], 1),
    passes=passes,
    nfe=canvas.nfe + active_B,
    order=order,
    failed=canvas.failed | nan_B,
  )
  size_B = jnp.minimum(
    layout.block, layout.answer - canvas.block * layout.block
  )
  out_of_passes = active_B & (passes >= size_B)
  moved = _enter(moved, layout, canvas.block + out_of_passes)
  return moved.replace(
    block=jnp.where(moved.failed, layout.blocks, moved.block)
  )
