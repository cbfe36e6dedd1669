"""How sure a model is of its answers' meaning, from samples or likelihoods.

Sections 2 and 4 of docs/papers/semantic_calibration.md. Classes of a question
are numbered by first appearance, so that ties go to the one seen first.

Shapes: Q questions, S samples, K classes.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Confidence(NamedTuple):
  """The top class of each question, and its share of the mass.

  Attributes:
    top: number of the class.
    value: in [0, 1].
  """

  top: Int[Array, ' Q']
  value: Float[Array, ' Q']


@functools.partial(jax.jit, static_argnames='classes')
def counts(
  numbers: Int[Array, 'Q S'], *, classes: int, weights=None
) -> Float[Array, 'Q K']:
  """Number of samples in each class, or the sum of their weights.

  Args:
    numbers: class of each sample, in [0, classes).
    classes: K, the number of classes of the question that has most.
    weights: [Q, S]; None for weights of 1.
  """
  hot_QSK = jax.nn.one_hot(numbers, classes)
  if weights is None:
    return hot_QSK.sum(1)
  return jnp.einsum('qs,qsk->qk', weights, hot_QSK)


@functools.partial(jax.jit, static_argnames='classes')
def plug_in(numbers: Int[Array, 'Q S'], *, classes: int) -> Confidence:
  """Share of the samples in the most frequent class; section 4, step 4.

  Its value times S is a whole number, by which it should be binned. It is
  biased upwards: the largest of K noisy counts is above its mean.
  """
  mass_QK = counts(numbers, classes=classes)
  top_Q = jnp.argmax(mass_QK, -1).astype(jnp.int32)
  return Confidence(top_Q, mass_QK.max(-1) / numbers.shape[1])


@functools.partial(jax.jit, static_argnames='classes')
def split_half(
  numbers: Int[Array, 'Q S'], *, classes: int
) -> tuple[Confidence, Confidence]:
  """The top class of one half of the samples, with its share in the other.

  Both ways. The share is an unbiased estimate of the mass of the chosen class.

  Raises:
    ValueError: there are fewer than two samples.
  """
  half = numbers.shape[1] // 2
  if half < 1:
    raise ValueError(
      f'samples must be two at least to be split, got {numbers.shape[1]}'
    )
  sides = [
    counts(part, classes=classes) / part.shape[1]
    for part in (numbers[:, :half], numbers[:, half:])
  ]
  out = []
  for chosen, read in (sides, sides[::-1]):
    top_Q = jnp.argmax(chosen, -1).astype(jnp.int32)
    value_Q = jnp.take_along_axis(read, top_Q[:, None], -1)[:, 0]
    out.append(Confidence(top_Q, value_Q))
  return out[0], out[1]


@functools.partial(jax.jit, static_argnames='classes')
def likelihood_weighted(
  numbers: Int[Array, 'Q S'],
  logprobs: Float[Array, 'Q S'],
  unique: Bool[Array, 'Q S'],
  *,
  classes: int,
) -> Confidence:
  """The top class when the distinct samples are weighted by their likelihood.

  Args:
    numbers: see `counts`.
    logprobs: log-probabilities of whole samples, in nats.
    unique: False for a sample with the same tokens as an earlier one.
    classes: K.
  """
  shown_QS = jnp.where(unique, logprobs, -jnp.inf)
  weights_QS = jax.nn.softmax(shown_QS, axis=-1)
  mass_QK = counts(numbers, classes=classes, weights=weights_QS)
  top_Q = jnp.argmax(mass_QK, -1).astype(jnp.int32)
  return Confidence(top_Q, mass_QK.max(-1))


@jax.jit
def entropy(mass: Float[Array, 'Q K']) -> Float[Array, ' Q']:
  """Entropy over classes in nats, of the normalised mass."""
  p_QK = mass / mass.sum(-1, keepdims=True)
  return -jnp.sum(jax.scipy.special.xlogy(p_QK, p_QK), -1)
