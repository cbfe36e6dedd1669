"""A linear model on numbers: the smallest experiment that trains.

Run as a module it trains in a folder, for tests that kill a process.
"""

import functools
import os
import sys
import time
from unittest import mock

import flax.linen as nn
import grain
import jax
import jax.numpy as jnp
import numpy as np

from engine import experiment, loop, metrics, optim, stop
from engine.runs import checksums

WIDTH = 8
SCHEDULE = 16  # steps of the learning rate, however long a run is


@functools.cache
def _functions(width):
  """`init` and `step`: the same ones every time, so that they compile once."""
  optimiser, _ = optim.make(
    optim.OptimConfig(peak_lr=0.2, warmup_steps=2), SCHEDULE
  )

  def init(key):
    w = jax.random.normal(key, (width,))
    params = {'w': nn.LogicallyPartitioned(w, ('embed',))}
    return experiment.TrainState(
      step=jnp.int32(0), params=params, opt_state=optimiser.init(params)
    )

  def step(state, batch, key):
    def loss(params):
      noise = 0.1 * jax.random.normal(key, batch.shape[:1])
      error = batch @ params['w'] - batch.sum(-1) - noise
      return jnp.mean(error**2)

    value, grads = jax.value_and_grad(loss)(state.params)
    state, norms = optim.apply(optimiser, state, grads)
    count = jnp.float32(len(batch))
    mean = metrics.Mean(total=value * count, count=count)
    return state, {'loss': mean, 'tokens': count, **norms}

  return init, step


def make(
  *,
  width=WIDTH,
  poison=None,
  slow=0.0,
  seen=None,
  item=None,
):
  """The experiment.

  Args:
    width: of the model.
    poison: a step whose batch is nan.
    slow: seconds to wait for a batch.
    seen: a list that collects the batches read.
    item: called with the step for each of two items of an evaluation.
  """
  init, step = _functions(width)

  def row(i):
    time.sleep(slow)
    if seen is not None:
      seen.append(int(i))
    x = np.random.default_rng(i).normal(size=(8, width)).astype(np.float32)
    return x * np.nan if i == poison else x

  def train_data():
    options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    return grain.MapDataset.range(10_000).map(row).to_iter_dataset(options)

  def probe(state, key):
    for _ in range(2):
      stop.check()
      if item is not None:
        item(int(state.step))
    w = np.asarray(state.params['w'])
    return {
      'norm': float(np.sum(w**2)),
      'draw': float(jax.random.uniform(key)),
      'weights': w,
    }

  return experiment.Program(
    init=init,
    step=step,
    train_data=train_data,
    evals={'probe': probe},
    final={'last': lambda state, key: {'kind': 'toy'}},
  )


def run(workdir, *, steps=12, save_every=3, full_config=None, **kw):
  """Trains the toy in `workdir`."""
  config = loop.RunConfig(
    steps=steps, log_every=2, eval_every=4, save_every=save_every
  )
  return loop.run(
    make(**kw),
    config,
    workdir,
    full_config=full_config,
    progress=False,
  )


def _lives(workdir, count, **kw):
  """Runs in children of this process, which has imported all they need.

  Prints the number of each, and how it ended. A save lingers before it is
  whole, so that a signal finds it unfinished.
  """
  write = checksums.write

  def linger(folder, **more):
    time.sleep(0.3)
    write(folder, **more)

  for _ in range(count):
    child = os.fork()
    if not child:
      with mock.patch.object(checksums, 'write', linger):
        run(workdir, **kw)
      os._exit(0)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == '__main__':
  _lives(
    sys.argv[1],
    int(sys.argv[2]),
    steps=int(sys.argv[3]),
    save_every=int(sys.argv[4]),
    width=int(sys.argv[5]),
    slow=float(sys.argv[6]),
  )
