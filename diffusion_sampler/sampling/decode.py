"""Decoding: every rule in one compiled loop (section 2.4).

Rows go through their blocks and stop by themselves; what a row gets does not
depend on the others. The loop ends when the last row is done.

Shapes: B sequences, P prompt columns, L answer positions, T = P + L.
"""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Int, Key

from diffusion_sampler.sampling import canvas as canvas_lib
from diffusion_sampler.sampling import denoiser as denoiser_lib
from diffusion_sampler.sampling import rules


class Decoded(struct.PyTreeNode):
  """What came out.

  Attributes:
    answer: tokens. Masks are left only by a policy without its fallback, or
      in a row that failed.
    nfe: passes of each row.
    order: as in `canvas.Canvas`.
    failed: rows for which the denoiser gave nan; their answer stops there.
  """

  answer: Int[Array, 'B L']
  nfe: Int[Array, ' B']
  order: Int[Array, 'B L']
  failed: Bool[Array, ' B']

  @classmethod
  def of(cls, canvas: canvas_lib.Canvas, layout) -> 'Decoded':
    return cls(
      answer=canvas.answer(layout),
      nfe=canvas.nfe,
      order=canvas.order,
      failed=canvas.failed,
    )


def sample(
  denoiser: denoiser_lib.Denoiser,
  rule: rules.Rule,
  layout: canvas_lib.Layout,
  prompts: Int[Array, 'B P'],
  keys: Key[Array, ' B'],
  *,
  given: Int[Array, 'B L'] | None = None,
  prompt_present: Bool[Array, 'B P'] | None = None,
  temperature: float = 0.0,
) -> Decoded:
  """Fills the answers in. Traceable; compile it with the layout and rule fixed.

  Args:
    denoiser: the model.
    rule: which positions to write, see `rules`.
    layout: sizes, blocks, mask and end.
    prompts: `layout.prompt` columns.
    keys: one a row; consumed.
    given: answers with masks where something is to be filled in; all by
      default.
    prompt_present: false where a prompt is padding; it is not attended to.
    temperature: of tokens; 0 takes the most probable.

  Raises:
    ValueError: a mask that is no token of the vocabulary.
  """
  layout.check(denoiser.table.shape[0])
  start = canvas_lib.blank(prompts, layout, given)
  present = denoiser_lib.present_mask(
    prompt_present, start.tokens, layout.prompt
  )
  reach = rule.passes

  def unfinished(carry):
    return carry[0].active(layout).any()

  def one_pass(carry):
    canvas, before, past = carry
    token_keys, rule_keys = denoiser_lib.pass_keys(keys, canvas.nfe)
    stats, hidden = denoiser_lib.look(
      denoiser,
      canvas,
      layout,
      present,
      token_keys,
      temperature,
      tops=rule.tops,
      before=before,
    )
    if reach:
      first_B1 = (canvas.nfe == 0)[:, None]
      newest = jnp.where(first_B1, jnp.inf, stats.divergence[0])
      past = jnp.concatenate([newest[None], past])[:reach]
      stats = stats.replace(divergence=past)
      before = hidden
    action = rule(stats, canvas.masked(layout), canvas.where(layout), rule_keys)
    return canvas_lib.advance(canvas, layout, stats, action), before, past

  before = past = None
  if reach:
    _, hidden = jax.eval_shape(
      lambda canvas: denoiser_lib.look(
        denoiser, canvas, layout, present, keys, temperature
      ),
      start,
    )
    before = jnp.zeros(hidden.shape, hidden.dtype)
    past = jnp.full((reach, *hidden.shape[:2]), jnp.inf)
  canvas, _, _ = jax.lax.while_loop(unfinished, one_pass, (start, before, past))
  return Decoded.of(canvas, layout)
