"""Why filling gaps is enough: section 2, on worlds that can be enumerated.

A summary is ideal when it says as much about a further answer as the sampled
answers do: I(S; B) = I(A; B), so p(B | a) = p(B | s(a)). Where every answer is
possible, that is the same as equality of all conditionals of a single word,
p(B_i | a, B_-i) = p(B_i | s(a), B_-i): a distribution with full support is
fixed by its single-word conditionals.

All of this is exact, in float64.

Shapes: K kinds of question; W words; A samples of answers (all sequences of N
answers); B = W W answers of two words.
"""

import itertools
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np


class World(NamedTuple):
  """What a model may answer, if nobody knows which kind of question it is.

  Attributes:
    samples: the A sequences of answers, numbers in 0..B-1.
    joint: p(sampled answers, a further answer), [A, B].
    words: W.
  """

  samples: list[tuple[int, ...]]
  joint: np.ndarray
  words: int


def world(prior: np.ndarray, answers: np.ndarray, count: int) -> World:
  """Enumerates N answers and one more.

  Args:
    prior: of the kinds, [K].
    answers: p(first word, second word) of each kind, [K, W, W]; all positive.
    count: N.

  Raises:
    ValueError: a probability that is not positive, or sums other than 1.
  """
  kinds, words, _ = answers.shape
  flat_KB = np.asarray(answers, np.float64).reshape(kinds, -1)
  prior = np.asarray(prior, np.float64)
  sums = np.concatenate([[prior.sum()], flat_KB.sum(1)])
  if (flat_KB <= 0).any() or not np.allclose(sums, 1.0):
    raise ValueError(
      'expected positive probabilities that sum to 1, came '
      f'{flat_KB.min():g} as the least and sums {sums}'
    )
  samples = list(itertools.product(range(words**2), repeat=count))
  seen_AK = np.array([flat_KB[:, list(a)].prod(1) for a in samples])
  return World(samples, (seen_AK * prior) @ flat_KB, words)


def classes(
  made: World, summary: Callable[[Sequence[int]], Hashable]
) -> np.ndarray:
  """The number of the summary of each sample, [A]."""
  seen: dict[Hashable, int] = {}
  return np.array(
    [seen.setdefault(summary(a), len(seen)) for a in made.samples]
  )


def merged(made: World, of_A: np.ndarray) -> np.ndarray:
  """p(summary, a further answer), [S, B]."""
  out = np.zeros((of_A.max() + 1, made.joint.shape[1]))
  np.add.at(out, of_A, made.joint)
  return out


def information(joint: np.ndarray) -> float:
  """Mutual information of rows and columns, in nats."""
  apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
  return float((joint * np.log(joint / apart)).sum())


def lost(made: World, of_A: np.ndarray) -> float:
  """I(A; B) - I(S; B), in nats; 0 for a sufficient summary."""
  return information(made.joint) - information(merged(made, of_A))


def _given(made: World, joint: np.ndarray) -> list[np.ndarray]:
  """p(one word | the row, the other word), for each of the two words."""
  cube = joint.reshape(-1, made.words, made.words)
  return [cube / cube.sum(axis, keepdims=True) for axis in (1, 2)]


def apart(made: World, of_A: np.ndarray) -> float:
  """The largest difference of p(B | a) and p(B | s(a))."""
  rows = merged(made, of_A)
  by_sample = made.joint / made.joint.sum(1, keepdims=True)
  by_summary = rows / rows.sum(1, keepdims=True)
  return float(np.abs(by_sample - by_summary[of_A]).max())


def conditionals_apart(made: World, of_A: np.ndarray) -> float:
  """The largest difference of any conditional of a single word."""
  pairs = zip(
    _given(made, made.joint), _given(made, merged(made, of_A)), strict=True
  )
  return float(max(np.abs(one - other[of_A]).max() for one, other in pairs))


def score(made: World, of_A: np.ndarray) -> float:
  """SelfReflect with a judge that knows the world.

  The mean, over samples, further answers and their two words, of the total
  variation between the conditionals of that word.
  """
  weight = made.joint.reshape(-1, made.words, made.words)
  total = 0.0
  pairs = zip(
    _given(made, made.joint), _given(made, merged(made, of_A)), strict=True
  )
  for axis, (one, other) in zip((1, 2), pairs, strict=True):
    far = 0.5 * np.abs(one - other[of_A]).sum(axis)
    total += float((weight.sum(axis) * far).sum())
  return total / 2
