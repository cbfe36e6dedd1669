"""GRPO for unmasking policies: rewards, advantages, the clipped loss.

Section 7: advantages are the reward less the mean of the group,
not divided by its spread; a likelihood ratio for every pass of a rollout, the
sum over positions inside it; no KL term, no entropy bonus, no value network.

Shapes: M passes, B sequences, of which every `group` in a row share a prompt.
"""

import dataclasses
import math
from typing import Any

import einops
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from diffusion_sampler.policy import actions, network
from diffusion_sampler.policy import rollout as rollout_lib

REWARDS = ('multiplicative', 'additive')
# Advantages below this teach nothing.
NOTHING = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class GrpoConfig:
  """How rollouts become updates.

  Attributes:
    alpha: how much speed counts; see `reward`.
    reward: 'multiplicative', or 'additive', the ablation that collapses.
    group: G, rollouts of the policy a prompt.
    experts: confidence thresholds of the expert rollouts that join each group
      (E of them); none unless steered.
    expert_block: their block; 32 in the paper, whatever the policy's.
    clip: epsilon of the likelihood ratio.
    iterations: updates from one batch of rollouts.
    temperature: of tokens in rollouts; the paper's is 0.
    fallback: whether rollouts write something in every pass; the paper's only
      do so at test time.
  """

  alpha: float = 1.0
  reward: str = 'multiplicative'
  group: int = 8
  experts: tuple[float, ...] = ()
  expert_block: int = 32
  clip: float = 0.5
  iterations: int = 2
  temperature: float = 0.0
  fallback: bool = False

  def __post_init__(self):
    if self.reward not in REWARDS:
      raise ValueError(
        f'grpo.reward must be one of {", ".join(REWARDS)}, got {self.reward!r}'
      )
    if self.group + len(self.experts) < 2:
      raise ValueError(
        f'grpo.group={self.group} must be at least 2: an advantage compares '
        'rollouts of one prompt'
      )
    if self.alpha < 0 or self.clip <= 0 or self.iterations < 1:
      raise ValueError(
        'grpo.alpha must not be negative, grpo.clip positive and '
        f'grpo.iterations at least 1; got {self.alpha}, {self.clip}, '
        f'{self.iterations}'
      )

  @property
  def size(self) -> int:
    """G + E."""
    return self.group + len(self.experts)


def reward(
  config: GrpoConfig,
  right: Bool[Array, ' B'],
  nfe: Int[Array, ' B'],
  length: int,
) -> Float[Array, ' B']:
  """r ((L - min(n, L) + 1) / L) ** alpha, or r - alpha n / L.

  As released; the paper prints (1 - n / L) ** alpha.
  """
  spent = jnp.minimum(nfe, length)
  right = right.astype(jnp.float32)
  if config.reward == 'additive':
    return right - config.alpha * spent / length
  return right * ((length - spent + 1) / length) ** config.alpha


def advantages(rewards: Float[Array, ' B'], group: int) -> Float[Array, ' B']:
  """Each reward less the mean of its group."""
  grouped = einops.rearrange(rewards, '(p g) -> p g', g=group)
  centred = grouped - grouped.mean(-1, keepdims=True)
  return einops.rearrange(centred, 'p g -> (p g)')


def mixture(log_prob: Array, config: GrpoConfig) -> Array:
  """log of the mixture of policy and expert, for an expert's action.

  log(G / (G + E) pi + 1 / (G + E)): as the action is what the expert does for
  certain, its ratio stays near 1 where the policy would hardly do it.
  """
  size = config.size
  return jnp.logaddexp(
    math.log(config.group / size) + log_prob, -math.log(size)
  )


class Batch(struct.PyTreeNode):
  """Rollouts ready for updates; `expert` marks rows of an expert."""

  trajectory: rollout_lib.Trajectory
  advantage: Float[Array, ' B']
  expert: Bool[Array, ' B']


class Terms(struct.PyTreeNode):
  """Sums over the passes of a chunk."""

  loss: Float[Array, '']
  clipped: Float[Array, '']


def surrogate(
  config: GrpoConfig,
  log_prob: Float[Array, '*M B'],
  old_log_prob: Float[Array, '*M B'],
  advantage: Float[Array, ' B'],
  active: Bool[Array, '*M B'],
  expert: Bool[Array, ' B'],
  passes: Float[Array, ' B'],
) -> Terms:
  """The clipped loss of some passes: add up over passes to get the whole.

  loss = -1/B sum_b 1/T_b sum_t min(rho A, clip(rho, 1 - eps, 1 + eps) A),
  which is the mean over prompts of the group's mean. T_b is `passes`, those in
  which the row was active.
  """
  new = jnp.where(expert, mixture(log_prob, config), log_prob)
  old = jnp.where(expert, mixture(old_log_prob, config), old_log_prob)
  # What is not active must not reach the exponential: its gradient is nan.
  ratio = jnp.exp(jnp.where(active, new - old, 0.0))
  low, high = 1.0 - config.clip, 1.0 + config.clip
  plain, bounded = ratio * advantage, jnp.clip(ratio, low, high) * advantage
  gain = jnp.minimum(plain, bounded) / jnp.maximum(passes, 1.0)
  share = jnp.where(active, bounded < plain, False)
  return Terms(
    loss=-jnp.where(active, gain, 0.0).sum() / advantage.shape[0],
    clipped=share.sum().astype(jnp.float32),
  )


def gradients(
  config: GrpoConfig,
  policy_config: network.PolicyConfig,
  action: actions.ActionConfig,
  params: Any,
  batch: Batch,
) -> tuple[Any, Terms]:
  """Of the loss, pass by pass, so that one pass' activations live at a time.

  Passes in which no row was active are skipped.
  """
  net = network.Policy(policy_config)
  spent_B = batch.trajectory.active.sum(0).astype(jnp.float32)

  def loss(params, one: rollout_lib.Trajectory):
    logits = net.apply({'params': params}, one.confidence, one.masked, one.time)
    log_prob = actions.log_prob(action, logits, one.place, one.counted)
    terms = surrogate(
      config,
      log_prob,
      one.log_prob,
      batch.advantage,
      one.active,
      batch.expert,
      spent_B,
    )
    return terms.loss, terms

  def add(total, one):
    grads, terms = jax.grad(loss, has_aux=True)(params, one)
    return jax.tree.map(jnp.add, total, (grads, terms))

  def body(total, one):
    return jax.lax.cond(
      one.active.any(), add, lambda total, _: total, total, one
    ), None

  zeros = jax.tree.map(jnp.zeros_like, params)
  zero = jnp.float32(0)
  start = (zeros, Terms(loss=zero, clipped=zero))
  (grads, terms), _ = jax.lax.scan(body, start, batch.trajectory)
  return grads, terms
