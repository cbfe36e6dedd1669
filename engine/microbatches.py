"""One large batch in parts: sums of gradients, divided once."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def split(batch, count: int):
  """[B, ...] leaves as [count, B / count, ...].

  Raises:
    ValueError: B does not divide.
  """

  def part(x):
    if x.shape[0] % count:
      raise ValueError(
        f'data.batch_size={x.shape[0]} must divide into accumulate={count} '
        'microbatches; change --config.data.batch_size or --config.accumulate'
      )
    return x.reshape(count, x.shape[0] // count, *x.shape[1:])

  return jax.tree.map(part, batch)


def add_up(sums: Callable, params, parts):
  """Adds up `sums(params, part)` over the leading axis of `parts`.

  With sums of gradients and counts this equals one big batch, whose division
  by the count comes after it.
  """
  shapes = jax.eval_shape(sums, params, jax.tree.map(lambda x: x[0], parts))
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

  def body(total, part):
    return jax.tree.map(jnp.add, total, sums(params, part)), None

  return jax.lax.scan(body, zeros, parts)[0]
