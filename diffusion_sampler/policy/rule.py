"""A trained policy as a rule: every sampler is measured by the same loop.

Shapes: B sequences, L answer positions.
"""

from typing import Any

from flax import struct

from diffusion_sampler.policy import actions, network
from diffusion_sampler.sampling import rules


class PolicyRule(struct.PyTreeNode, rules.Reach):
  """Unmasks what the policy draws (sections 6.1, 6.3).

  Attributes:
    params: of the network.
    config, action: network and distribution.
    temperature: divides logits.
    scale: multiplies the probabilities of 'bernoulli'.
    fallback: take the largest logit where nothing was drawn; else a pass may
      unmask nothing.
  """

  params: Any
  config: network.PolicyConfig = struct.field(pytree_node=False)
  action: actions.ActionConfig = struct.field(pytree_node=False)
  temperature: float = 1.0
  scale: float = 1.0
  fallback: bool = struct.field(pytree_node=False, default=True)

  @property
  def tops(self) -> int:
    return self.config.confidences

  def __call__(self, stats, masked, block, key):
    logits = network.Policy(self.config).apply(
      {'params': self.params},
      stats.top,
      masked,
      block.nfe / masked.shape[-1],
    )
    place = actions.draw(
      self.action,
      logits,
      masked & block.inside,
      key,
      temperature=self.temperature,
      scale=self.scale,
      fallback=self.fallback,
    )
    return place >= 0
