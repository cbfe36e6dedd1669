"""Calibration over the samples that contain an answer (ours).

Samples without an answer form a class of their own, "no answer", which is never
correct. A model that often stops before it answers looks overconfident in that
class, but this says nothing about its confidence in the answers that it does
give. This file leaves those samples out.

Shapes: Q questions, S samples, K classes.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from calibration.metrics import binned, reliability, resampling, smooth
from calibration.semantic import confidence


def _top(mass_QK):
  """(class with the largest mass, its share); NaN where the mass is zero."""
  top_Q = mass_QK.argmax(-1)
  total_Q = mass_QK.sum(-1)
  share_Q = mass_QK.max(-1) / np.where(total_Q > 0, total_Q, np.nan)
  return top_Q, share_Q


def _split_gap(numbers, answered, right) -> float:
  """`experiment.split_gap` over the halves that contain an answer."""
  half, classes = numbers.shape[1] // 2, right.shape[1]
  sides = [
    np.asarray(confidence.counts(jnp.asarray(part), classes=classes)) * answered
    for part in (numbers[:, :half], numbers[:, half:])
  ]
  gaps = []
  for chosen, read in (sides, sides[::-1]):
    top_Q, here_Q = _top(chosen)
    total_Q = read.sum(-1)
    share_Q = _at(read, top_Q) / np.where(total_Q > 0, total_Q, np.nan)
    gap_Q = share_Q - _at(right, top_Q)
    gaps.append(gap_Q[~np.isnan(here_Q + gap_Q)])
  gaps = np.concatenate(gaps)
  return float(gaps.mean()) if gaps.size else float('nan')


def _at(values_QK, index_Q):
  return np.take_along_axis(values_QK, index_Q[:, None], 1)[:, 0]


def measure(
  key: jax.Array,
  numbers: Int[np.ndarray, 'Q S'],
  answered: Bool[np.ndarray, 'Q K'],
  right: Bool[np.ndarray, 'Q K'],
  *,
  draws: int,
) -> dict[str, float]:
  """Computes results over the questions with an answer in some sample.

  Args:
    key: consumed here.
    numbers: the class of each sample.
    answered: whether each class is an answer.
    right: whether each class is correct.
    draws: number of replicates for the floor.

  Returns:
    'answered/n', '/right', '/confidence', '/gap', '/smece', '/floor' and
    '/floor_high', and '/split_gap' if some question has an answer in both
    halves. Empty if every sample is an answer, or none is.
  """
  mass_QK = np.asarray(
    confidence.counts(jnp.asarray(numbers), classes=right.shape[1])
  )
  kept_QK = mass_QK * answered
  some_Q = kept_QK.sum(-1) > 0
  if not some_Q.any() or (kept_QK == mass_QK).all():
    return {}
  top_Q, share_Q = _top(kept_QK[some_Q])
  conf = jnp.asarray(share_Q, jnp.float32)
  correct = jnp.asarray(_at(right[some_Q], top_Q), jnp.float32)
  floor = resampling.null_floor(reliability.smece, key, conf, draws=draws)
  out = {
    'answered/n': float(some_Q.sum()),
    'answered/right': float(correct.mean()),
    'answered/confidence': float(conf.mean()),
    'answered/gap': float(binned.gap(conf, correct)),
    'answered/smece': float(smooth.smece(conf, correct).value),
    'answered/floor': float(floor[0]),
    'answered/floor_high': float(floor[2]),
  }
  split = _split_gap(numbers, answered, right)
  if np.isfinite(split):
    out['answered/split_gap'] = split
  return out
