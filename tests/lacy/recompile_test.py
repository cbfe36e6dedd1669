"""One compilation serves batches with any number of facts and documents."""

import chex
import flax.linen as nn
import jax
import numpy as np
from absl.testing import absltest, parameterized

from engine import optim
from lacy import data, experiment
from lm import init as model_init

CONFIG = {
  'data': {'context': 12, 'batch_size': 3, 'vocab_size': 32},
  'model': {
    'vocab_size': 32,
    'layers': 1,
    'width': 8,
    'heads': 2,
    'mlp_width': 12,
  },
  'optim': {'warmup_steps': 1},
  'run': {'steps': 5, 'seed': 0},
}


def batch(seed: int):
  rng = np.random.default_rng(seed)
  cut = rng.integers(3, 9)
  index = np.broadcast_to(np.arange(13), (3, 13))
  return data.to_batch(
    {
      'tokens': rng.integers(0, 27, (3, 13)),
      'segments': 1 + (index >= cut),
      'positions': np.where(index < cut, index, index - cut),
      'facts': rng.random((3, 13)) < 0.1 * seed,
    }
  )


class RecompileTest(parameterized.TestCase):
  @parameterized.parameters('lacy', 'loss', 'fact_random', 'standard')
  def test_a_step_is_traced_once(self, rule):
    chex.clear_trace_counter()
    settings = experiment.settings(CONFIG | {'lacy': {'rule': rule}})
    optimiser, _ = optim.make(settings.optim, settings.steps)
    init = model_init.train_state(settings.model, optimiser)
    state = jax.jit(lambda key: nn.unbox(init(key)))(jax.random.key(0))
    step = experiment.make_step(settings, 27, optimiser)
    step = jax.jit(chex.assert_max_traces(step, n=1))
    for seed in range(4):
      state, out = step(state, batch(seed), jax.random.key(seed))
    self.assertEqual(int(state.step), 4)
    self.assertTrue(np.isfinite(out['loss'].compute()))


if __name__ == '__main__':
  absltest.main()
