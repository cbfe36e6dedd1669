"""Decoding with stale keys and values: Fast-dLLM's two caches (section 3).

A row that enters a block is read whole, and the keys and values are kept.
That pass is the first of the block. Later ones run again, of that row,

  'dual': the columns of the block;
  'prefix': the columns of the block and all behind it;

and sees everything else as it was at the start of the block. Where position i
predicts token i + 1, the column before the block runs too: it predicts the
first one.

What a row gets, and its NFE, depend on that row alone; but all rows are read
whole together, and those that have left a block wait for the last one. Out of
step, some row would enter a block at nearly every pass, and that pass would be
a full one for all.

A position that did not run keeps the statistics of the pass in which it last
did, and has no divergence (infinite). With a temperature 'dual' draws from the
same distributions as a loop without a cache would, but other tokens for the
same key, a block's first pass excepted: noise comes in shapes of what runs.

Shapes: B sequences, P prompt columns, L answer positions, T = P + L, D width,
h earlier passes.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key

from diffusion_sampler.sampling import canvas as canvas_lib
from diffusion_sampler.sampling import decode, rules
from diffusion_sampler.sampling import denoiser as denoiser_lib
from diffusion_sampler.sampling import stats as stats_lib
from lm import transformer, two_way_cache

# Everything runs at every pass.
NONE = 'none'
MODES = (NONE, 'prefix', 'dual')


class _Known(struct.PyTreeNode):
  """What the latest pass over each answer position has shown.

  `stats.divergence` are of the last passes of the row, newest first.
  """

  hidden: Float[Array, 'B L D']
  stats: stats_lib.Stats


def _widths(mode: str, layout: canvas_lib.Layout) -> list[int]:
  """How many answer positions a pass may run again, ascending.

  'prefix' has as many as there are left, rounded up to a block times a power
  of two: each width is compiled by itself. Rounding runs at most twice the
  positions that need it; always running all L would be less to compile, and
  twice the positions on average.
  """
  widths = [min(layout.block, layout.answer)]
  while mode == 'prefix' and widths[-1] < layout.answer:
    widths.append(min(2 * widths[-1], layout.answer))
  return widths


def _span(begin_B, layout, width: int) -> two_way_cache.Span:
  """Of `width` answer positions, from `begin_B` on where there are so many."""
  first_B = jnp.minimum(begin_B, layout.answer - width)
  return two_way_cache.Span(first=first_B, begin=begin_B)


def _inside(canvas, layout) -> Bool[Array, ' B']:
  """Rows that have begun their block: the others wait to be read whole."""
  return canvas.active(layout) & (canvas.passes > 0)


def _select(rows_B, new, old):
  """Rows of `new` where `rows_B`, of `old` elsewhere; rows are axis 0."""

  def pick(new, old):
    return jnp.where(rows_B.reshape(-1, *[1] * (new.ndim - 1)), new, old)

  return jax.tree.map(pick, new, old)


def sample(
  config: transformer.TransformerConfig,
  params: Any,
  rule: rules.Rule,
  layout: canvas_lib.Layout,
  prompts: Int[Array, 'B P'],
  keys: Key[Array, ' B'],
  *,
  mode: str,
  given: Int[Array, 'B L'] | None = None,
  prompt_present: Bool[Array, 'B P'] | None = None,
  temperature: float = 0.0,
  shifted: bool = False,
) -> decode.Decoded:
  """Fills the answers in, as `decode.sample` does, with or without a cache.

  Args:
    config: of the model.
    params: of the model.
    rule: which positions to write, see `rules`.
    layout: sizes, blocks, mask and end.
    prompts: `layout.prompt` columns.
    keys: one a row; consumed.
    mode: 'prefix', 'dual', or 'none' for `decode.sample` itself.
    given: as in `decode.sample`.
    prompt_present: as in `decode.sample`.
    temperature: of tokens; 0 takes the most probable.
    shifted: position i predicts token i + 1, see `denoiser.Denoiser`.

  Raises:
    ValueError: no such mode, a mask that is no token of the vocabulary, or a
      shifted model without a prompt.
  """
  if mode not in MODES:
    raise ValueError(f'mode must be one of {", ".join(MODES)}, got {mode!r}')
  if mode == NONE:
    return decode.sample(
      denoiser_lib.of_transformer(config, params, shifted=shifted),
      rule,
      layout,
      prompts,
      keys,
      given=given,
      prompt_present=prompt_present,
      temperature=temperature,
    )
  layout.check(config.vocab_size)
  model = transformer.Transformer(config)
  table = transformer.unembedding(params)
  start = canvas_lib.blank(prompts, layout, given)
  present = denoiser_lib.present_mask(
    prompt_present, start.tokens, layout.prompt
  )
  positions = jnp.maximum(jnp.cumsum(present, -1) - 1, 0)
  reach = rule.passes
  widths = _widths(mode, layout)
  # Statistics: of all in 'prefix', so that draws are those without a cache.
  looked = layout.answer if mode == 'prefix' else widths[0]

  def judge(hidden, token_keys, before=None):
    return stats_lib.stats(
      hidden,
      table,
      layout.mask_id,
      keys=token_keys,
      temperature=temperature,
      before=before,
      tops=rule.tops,
    )

  def full_pass(tokens):
    out = model.apply(
      {'params': params},
      tokens,
      positions,
      present.astype(jnp.int32),
      causal=False,
      keep=True,
    )
    hidden = denoiser_lib.answer_hidden(out.hidden, layout, shifted)
    return hidden, out.cache

  def partial_pass(width, tokens, cache, hidden, begin_B):
    """`hidden` with what answer positions from `begin_B` on give now."""
    span = _span(begin_B, layout, width)
    # Of a shifted model the column before runs too, and the last one as well:
    # it predicts nothing here, but others see what is written there.
    offset, count = layout.prompt - shifted, width + shifted
    cache = cache.at(span.first + offset, span.begin + offset)
    out = model.apply(
      {'params': params},
      two_way_cache.take(tokens, cache.span, count),
      two_way_cache.take(positions, cache.span, count),
      causal=False,
      cache=cache,
    )
    return two_way_cache.put(hidden, out.hidden[:, :width], span), out.cache

  def write(canvas, known, hidden, going_B, span, width):
    """Statistics of a span, the rule, and what it writes in rows that go."""
    token_keys, rule_keys = denoiser_lib.pass_keys(keys, canvas.nfe)
    now, before = (
      two_way_cache.take(a, span, width) for a in (hidden, known.hidden)
    )
    new = judge(now, token_keys, before if reach else None)
    past = known.stats.divergence
    if reach:
      first_B1 = (canvas.nfe == 0)[:, None]
      newest = jnp.where(first_B1, jnp.inf, new.divergence[0])
      nothing = jnp.full(past.shape[1:], jnp.inf)
      newest = two_way_cache.put(nothing, newest, span)
      moved = jnp.concatenate([newest[None], past])[:reach]
      past = jnp.where(going_B[:, None], moved, past)
    stats = jax.tree.map(
      lambda old, new: two_way_cache.put(old, new, span),
      known.stats.replace(divergence=None),
      new.replace(divergence=None),
    ).replace(divergence=past)
    action = rule(stats, canvas.masked(layout), canvas.where(layout), rule_keys)
    moved = canvas_lib.advance(canvas, layout, stats, action)
    return _select(going_B, moved, canvas), _Known(hidden=hidden, stats=stats)

  def one_block(carry):
    canvas, known = carry
    hidden, cache = full_pass(canvas.tokens)
    whole = _span(jnp.zeros_like(canvas.block), layout, layout.answer)
    going_B = canvas.active(layout)
    canvas, known = write(canvas, known, hidden, going_B, whole, layout.answer)
    canvas, known, _ = jax.lax.while_loop(
      lambda carry: _inside(carry[0], layout).any(),
      one_pass,
      (canvas, known, cache),
    )
    return canvas, known

  def one_pass(carry):
    canvas, known, cache = carry
    going_B = _inside(canvas, layout)
    # Of a row that waits, nothing is kept.
    begin_B = jnp.where(going_B, canvas.block * layout.block, layout.answer)
    most = layout.answer - begin_B.min()
    hidden, cache = jax.lax.switch(
      sum((most > width).astype(jnp.int32) for width in widths[:-1]),
      [functools.partial(partial_pass, width) for width in widths],
      *(canvas.tokens, cache, known.hidden, begin_B),
    )
    span = _span(begin_B, layout, looked)
    canvas, known = write(canvas, known, hidden, going_B, span, looked)
    return canvas, known, cache

  shape = len(keys), layout.answer
  hidden = jnp.zeros((*shape, config.width), config.activations)
  stats = jax.tree.map(
    lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(judge, hidden, keys)
  )
  stats = stats.replace(divergence=jnp.full((reach, *shape), jnp.inf))
  known = _Known(hidden=hidden, stats=stats)
  canvas, _ = jax.lax.while_loop(
    lambda carry: carry[0].active(layout).any(), one_block, (start, known)
  )
  return decode.Decoded.of(canvas, layout)
