"""A trained policy as a rule: it sees what it saw in training."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest

from diffusion_sampler.policy import actions, network
from diffusion_sampler.policy import rule as policy_rule
from tests.diffusion_sampler import support


class PolicyRuleTest(absltest.TestCase):
  def test_the_time_is_the_share_of_passes_spent_altogether(self):
    config = network.PolicyConfig(
      width=8, mlp_width=8, heads=1, time_features=2, bias=0.0
    )
    stats = support.confident([0.9, 0.6, 0.3, 0.8])
    everything = np.ones((1, 4), bool)
    net = network.Policy(config)
    params = jax.jit(net.init)(
      jax.random.key(0),
      np.asarray(stats.top),
      everything,
      np.zeros(1, np.float32),
    )['params']
    # At first the time has no influence; a drawn modulation has one.
    kernel = params['modulation']['kernel']
    drawn = np.random.default_rng(0).standard_normal(kernel.shape)
    params['modulation']['kernel'] = drawn.astype(np.float32)
    rule = policy_rule.PolicyRule(
      params=params, config=config, action=actions.ActionConfig()
    )

    @jax.jit
    def chances(nfe, passes):
      """How often each is drawn, over many keys."""
      keys = support.keys(512)
      block = support.block_of(everything, passes=0)
      block = block.replace(nfe=nfe[None], passes=passes[None])
      masked = jnp.asarray(everything)
      return jax.vmap(lambda key: rule(stats, masked, block, key[None]))(
        keys
      ).mean((0, 1))

    first, again, later = (
      chances(*np.int32([nfe, passes]))
      for nfe, passes in ((1, 0), (1, 1), (3, 0))
    )
    np.testing.assert_array_equal(first, again)
    self.assertGreater(np.abs(first - later).max(), 0.01)


if __name__ == '__main__':
  absltest.main()
