"""Rollouts of a policy, or of an expert beside it, with all that GRPO needs.

The denoiser is frozen: what an update needs of it are the confidences that the
policy saw, so that it is never run twice. A scan over a fixed number of passes;
once every row is done the rest of the scan costs nothing.

Shapes: M passes, B sequences, P prompt columns, L answer positions, K
confidences a position.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key

from diffusion_sampler.policy import actions, network
from diffusion_sampler.sampling import canvas as canvas_lib
from diffusion_sampler.sampling import denoiser as denoiser_lib
from diffusion_sampler.sampling import rules


class Trajectory(struct.PyTreeNode):
  """Inputs and actions of every pass.

  Attributes:
    confidence, masked, time: what the policy saw.
    place: the action, see `actions`.
    counted: positions whose decision enters the likelihood.
    log_prob: of the action under the policy that drew it, or would have.
    active: rows that had something to decide in that pass.
  """

  confidence: Float[Array, 'M B L K']
  masked: Bool[Array, 'M B L']
  time: Float[Array, 'M B']
  place: Int[Array, 'M B L']
  counted: Bool[Array, 'M B L']
  log_prob: Float[Array, 'M B']
  active: Bool[Array, 'M B']


# (logits of the policy, stats, masked, block, keys) -> places.
Act = Callable[..., Array]


def rollout(
  denoiser: denoiser_lib.Denoiser,
  policy_config: network.PolicyConfig,
  params: Any,
  action: actions.ActionConfig,
  layout: canvas_lib.Layout,
  prompts: Int[Array, 'B P'],
  keys: Key[Array, ' B'],
  *,
  act: Act | None = None,
  count_all: bool = False,
  fallback: bool = False,
  prompt_present: Bool[Array, 'B P'] | None = None,
  temperature: float = 0.0,
) -> tuple[canvas_lib.Canvas, Trajectory]:
  """Rolls out from blank answers; differentiates nothing.

  Args:
    denoiser: the frozen model.
    policy_config, params: the network.
    action: its distribution.
    layout: sizes and blocks; M is `layout.most_passes`.
    prompts: rows; a group of rollouts is one prompt repeated.
    keys: one a row; consumed.
    act: who decides; the policy itself, without fallback, by default.
    count_all: whether a decision is about all masked positions, not the
      eligible ones alone (expert steering, section 7.1).
    fallback: write the position of the largest logit where nothing was drawn.
      The likelihood stays that of the draw.
    prompt_present: false where a prompt is padding.
    temperature: of tokens; training uses 0.

  Raises:
    ValueError: a mask that is no token of the vocabulary.
  """
  layout.check(denoiser.table.shape[0])
  net = network.Policy(policy_config)
  start = canvas_lib.blank(prompts, layout)
  present = denoiser_lib.present_mask(
    prompt_present, start.tokens, layout.prompt
  )

  def one_pass(canvas):
    token_keys, rule_keys = denoiser_lib.pass_keys(keys, canvas.nfe)
    stats, _ = denoiser_lib.look(
      denoiser,
      canvas,
      layout,
      present,
      token_keys,
      temperature,
      tops=policy_config.confidences,
    )
    masked, block = canvas.masked(layout), canvas.where(layout)
    eligible = masked & block.inside
    time = block.nfe / layout.answer
    logits = net.apply({'params': params}, stats.top, masked, time)
    if act is None:
      place = actions.draw(action, logits, eligible, rule_keys)
    else:
      place = act(logits, stats, masked, block, rule_keys)
    active = canvas.active(layout)
    counted = (masked if count_all else eligible) & active[:, None]
    out = Trajectory(
      confidence=stats.top,
      masked=masked,
      time=time,
      place=place,
      counted=counted,
      log_prob=actions.log_prob(action, logits, place, counted),
      active=active,
    )
    write = place >= 0
    if fallback:
      write = rules.at_least_one(write, logits, eligible)
    return canvas_lib.advance(canvas, layout, stats, write), out

  def idle(canvas):
    shapes = jax.eval_shape(one_pass, canvas)[1]
    return canvas, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

  def body(canvas, _):
    busy = canvas.active(layout).any()
    return jax.lax.cond(busy, one_pass, idle, canvas)

  return jax.lax.scan(body, start, length=layout.most_passes)


def by_rule(rule) -> Act:
  """An expert: decides as a rule does, whatever the policy thinks."""

  def act(logits, stats, masked, block, keys):
    del logits
    return jnp.where(rule(stats, masked, block, keys), 0, -1)

  return act
